-- Records as in the lake (docs/reference/records.md), with the instrument's key in front.
-- A record's key is (key, seq): the same however often it comes. Klines have one sequence for all
-- intervals, events one per lane: the part of the flow that numbers them.

CREATE TABLE trades (
    key text NOT NULL,
    id bigint NOT NULL,
    time timestamptz NOT NULL,
    price numeric NOT NULL,
    quantity numeric NOT NULL,
    buyer_is_maker boolean NOT NULL,
    repaired boolean,
    first_id bigint,
    last_id bigint,
    PRIMARY KEY (key, id)
);
COMMENT ON COLUMN trades.repaired IS 'only the lake tells: null for what came from Redis';
CREATE INDEX trades_time ON trades (key, time);

CREATE TABLE klines (
    key text NOT NULL,
    seq bigint NOT NULL,
    interval text NOT NULL,
    open_time timestamptz NOT NULL,
    close_time timestamptz NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume numeric NOT NULL,
    quote_volume numeric NOT NULL,
    trades bigint NOT NULL,
    taker_buy_volume numeric NOT NULL,
    taker_buy_quote_volume numeric NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    complete boolean NOT NULL,
    revision integer NOT NULL,
    PRIMARY KEY (key, interval, seq)
);
CREATE INDEX klines_time ON klines (key, interval, open_time, revision);

CREATE VIEW klines_latest AS
SELECT DISTINCT ON (key, interval, open_time) *
FROM klines
ORDER BY key, interval, open_time, revision DESC, seq DESC;
COMMENT ON VIEW klines_latest IS 'each window once, by its newest revision';

CREATE TABLE signals (
    key text NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    interval text NOT NULL,
    strategy text NOT NULL,
    instance text NOT NULL,
    side text NOT NULL,
    price numeric NOT NULL,
    reason text NOT NULL,
    values jsonb NOT NULL,
    PRIMARY KEY (key, seq)
);
CREATE INDEX signals_time ON signals (time);

CREATE TABLE fills (
    key text NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    interval text NOT NULL,
    strategy text NOT NULL,
    instance text NOT NULL,
    side text NOT NULL,
    price numeric NOT NULL,
    quantity numeric NOT NULL,
    fee numeric NOT NULL,
    position numeric NOT NULL,
    entry numeric NOT NULL,
    realised numeric NOT NULL,
    cash numeric NOT NULL,
    signal_seq bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (key, seq)
);
CREATE INDEX fills_time ON fills (time);

CREATE TABLE equity (
    key text NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    interval text NOT NULL,
    strategy text NOT NULL,
    instance text NOT NULL,
    price numeric NOT NULL,
    position numeric NOT NULL,
    cash numeric NOT NULL,
    equity numeric NOT NULL,
    realised numeric NOT NULL,
    unrealised numeric NOT NULL,
    fees numeric NOT NULL,
    peak numeric NOT NULL,
    drawdown numeric NOT NULL,
    fills bigint NOT NULL,
    PRIMARY KEY (key, seq)
);
CREATE INDEX equity_time ON equity (instance, key, time);

CREATE TABLE events (
    key text NOT NULL,
    lane text NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    kind text NOT NULL,
    detail jsonb NOT NULL,
    PRIMARY KEY (key, lane, seq)
);
CREATE INDEX events_time ON events (time);

CREATE TABLE quarantine (
    key text NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    reason text NOT NULL,
    source text NOT NULL,
    payload text NOT NULL,
    PRIMARY KEY (key, seq)
);

CREATE TABLE features (
    key text NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    interval text NOT NULL,
    open_time timestamptz NOT NULL,
    features text NOT NULL,
    definition text NOT NULL,
    close numeric NOT NULL,
    values double precision[] NOT NULL,
    PRIMARY KEY (key, seq)
);

CREATE TABLE predictions (
    key text NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    interval text NOT NULL,
    open_time timestamptz NOT NULL,
    model text NOT NULL,
    version text NOT NULL,
    definition text NOT NULL,
    shadow boolean NOT NULL,
    value double precision,
    reason text NOT NULL,
    PRIMARY KEY (key, seq)
);
CREATE INDEX predictions_time ON predictions (model, key, time);

CREATE TABLE scores (
    key text NOT NULL,
    seq bigint NOT NULL,
    time timestamptz NOT NULL,
    interval text NOT NULL,
    open_time timestamptz NOT NULL,
    model text NOT NULL,
    version text NOT NULL,
    shadow boolean NOT NULL,
    rows bigint NOT NULL,
    accuracy double precision,
    baseline double precision,
    error double precision,
    ic double precision,
    psi jsonb NOT NULL,
    PRIMARY KEY (key, seq)
);

-- What went by trimming before a worker was given it. filled_at: since when the lake has given all
-- of it; null: not all, or nobody can know.
CREATE TABLE missed (
    stream text NOT NULL,
    after_id text NOT NULL,
    before_id text NOT NULL,
    entries bigint,
    reason text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    filled_at timestamptz,
    PRIMARY KEY (stream, after_id, before_id)
);

-- Files of the lake that are loaded; one that changed since is loaded again.
CREATE TABLE lake_files (
    path text PRIMARY KEY,
    size bigint NOT NULL,
    changed_ns bigint NOT NULL,
    rows bigint NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
