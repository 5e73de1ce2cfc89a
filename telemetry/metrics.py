"""Every metric of a flow, in one place; its exporter serves them (`telemetry.exporter`).

The books balance per instrument: received = accepted + duplicate + rejected. At the end of a run
accepted = stored, in rows of trades. Labels: `key` is an instrument (``binance:BTCUSDT``), `shard`
a connection's part of them, `strategy` a strategy's name; all are bounded by the settings. Names
and units are those of Prometheus: seconds, bytes, ``_total`` for what only rises.
"""

from collections.abc import Mapping

from prometheus_client import REGISTRY, Counter, Gauge

from telemetry.catalogue import QUICK, SLOW, Catalogue

FLOW = Catalogue(REGISTRY)
_counter, _gauge, _histogram = FLOW.counter, FLOW.gauge, FLOW.histogram

_PASSING = (
    0.0001, 0.0002, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05,
    0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
_DECIDING = (1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 1e-3, 1e-2, 0.1, 1.0)

# ---- rows ----

RECEIVED = _counter("cryptotools_trades_received", "Trade rows that a source read.", ["key"])
ACCEPTED = _counter("cryptotools_trades_accepted", "Trade rows that entered the flow.", ["key"])
DUPLICATE = _counter("cryptotools_trades_duplicate", "Trade rows already seen.", ["key"])
REJECTED = _counter("cryptotools_trades_rejected", "Trade rows that cannot be trades.", ["key"])
REPAIRED = _counter("cryptotools_trades_repaired", "Accepted rows that came by REST.", ["key"])
QUARANTINED = _counter("cryptotools_quarantined", "Inputs that could not be used.", ["key"])
GAPS = _counter(
    "cryptotools_gaps", "Holes in the trade ids: opened, repaired or permanent.", ["key", "state"]
)
KLINES = _counter("cryptotools_klines", "Final klines emitted.", ["key", "interval"])
KLINE_MISMATCHES = _counter(
    "cryptotools_kline_mismatches", "Final klines that differ from the exchange's.", ["key"]
)
BOOKS = _gauge(
    "cryptotools_books_unexplained_rows",
    "Rows that are neither here nor there, those in flight included: its least over minutes is 0, "
    "or rows were lost (above) or doubled (below). Of flows of one process.",
    ["books"],
)

# ---- what is said ----

SIGNALS = _counter("cryptotools_signals", "Signals emitted.", ["strategy"])
STRATEGY_ERRORS = _counter(
    "cryptotools_strategy_errors", "Instances stopped by an error.", ["strategy"]
)
DECISIONS = FLOW.row_histogram(
    "cryptotools_strategy_decision_seconds",
    "Time an instance takes for a kline; at most 100 strategies have a series of their own.",
    "strategy", _DECIDING,
)  # fmt: skip
INSTANCES = _gauge(
    "cryptotools_strategy_instances",
    "Instances on symbols: running, warming, paused or errored.", ["state"],
)  # fmt: skip
PAPER_FILLS = _counter("cryptotools_paper_fills", "Fills of paper accounts.", ["strategy"])
PAPER_NOTICES = _counter(
    "cryptotools_paper_notices", "Orders that buy nothing (unfilled), accounts closed (bankrupt).",
    ["kind", "strategy"],
)  # fmt: skip
FEATURE_ROWS = _counter("cryptotools_feature_rows", "Rows of features emitted.", ["features"])
PREDICTIONS = _counter(
    "cryptotools_predictions", "Predictions: said, none (see why) or shadow.", ["model", "state"]
)
MODEL_QUALITY = _gauge(
    "cryptotools_model_quality", "How good a version's predictions were of late.",
    ["key", "model", "version", "metric"],
)  # fmt: skip
MODEL_DRIFT = _gauge(
    "cryptotools_model_psi", "Population stability index of a feature: above 0.25 it drifted.",
    ["key", "model", "version", "feature"],
)  # fmt: skip

# ---- the exchange ----

FRAMES = _counter("cryptotools_frames_received", "Messages of WebSockets.", ["shard"])
RECONNECTS = _counter("cryptotools_reconnects", "Links lost; a replaced one is not lost.",
                      ["shard"])  # fmt: skip
LINKS_OPEN = _gauge("cryptotools_links_open", "Open links; two while one replaces another.",
                    ["shard"])  # fmt: skip
LINK_OPENED = _gauge(
    "cryptotools_link_opened_timestamp_seconds", "When the oldest open link was opened.", ["shard"]
)
CLOCK_SKEW = _gauge("cryptotools_clock_skew_seconds", "The exchange's clock minus ours.")
LAG = _gauge("cryptotools_lag_seconds", "Behind the exchange: its clock minus what is known.",
             ["key"])  # fmt: skip
LAST_TRADE = _gauge("cryptotools_last_trade_timestamp_seconds", "Time of the newest trade.",
                    ["key"])  # fmt: skip
GAPS_OPEN = _gauge("cryptotools_gaps_open", "Holes that are not closed yet.", ["key"])
REPAIRS = _histogram(
    "cryptotools_repair_seconds", "From finding a hole to its end: repaired or permanent.",
    ["outcome"], SLOW,
)  # fmt: skip
SOURCE_PENDING = _gauge(
    "cryptotools_source_pending_rows", "Rows received that wait for the flow or for a repair.",
    ["shard"],
)  # fmt: skip
REST_WEIGHT = _counter("cryptotools_rest_weight", "Weight of the REST requests sent.")
REST_USED = _gauge(
    "cryptotools_rest_weight_used", "Weight used in this minute, by the exchange's own count."
)
REST_LIMIT = _gauge("cryptotools_rest_weight_limit", "Weight that may be used in a minute.")
REST_REFUSED = _counter(
    "cryptotools_rest_refusals", "Answers 403, 418 and 429 of the exchange.", ["status"]
)

# ---- latency ----

LATENCY = FLOW.row_histogram(
    "cryptotools_latency_seconds",
    "Time of trades (strategies: of batches) by stage; of a batch its oldest row counts for all. "
    "exchange: event time to received; source: received to handed out; klines, strategies: handed "
    "out to done; redis: received to acknowledged; lake: received to lasting.",
    "stage", _PASSING,
)  # fmt: skip
SNAPSHOTS = _histogram(
    "cryptotools_snapshot_seconds", "Snapshots of the source and of sinks.", ["step"]
)
SNAPSHOT_AT = _gauge(
    "cryptotools_snapshot_timestamp_seconds", "When the last snapshot was taken.", ["step"]
)

# ---- where records go ----

STORED = _counter("cryptotools_rows_stored", "Rows in closed lake files.", ["kind"])
RESTORED = _counter(
    "cryptotools_rows_restored", "Rows of the lake's log that a start took over.", ["kind"]
)
LAKE_PENDING = _gauge("cryptotools_lake_pending_rows", "Rows in no file yet.", ["writer"])
LAKE_CLOSES = _histogram("cryptotools_lake_file_seconds", "Making and publishing a file.", ["kind"])
PUBLISHED = _counter("cryptotools_entries_published", "Entries added to Redis.", ["kind"])
PUBLISH_DUPLICATES = _counter(
    "cryptotools_entries_duplicate", "Entries that Redis already held.", ["kind"]
)
REDIS_CALLS = _histogram(
    "cryptotools_redis_call_seconds", "Calls whose answer was waited for.", bounds=QUICK
)
REDIS_CONNECTS = _counter("cryptotools_redis_connects", "Connections made to publish.", ["writer"])
BACKLOG = _gauge("cryptotools_redis_backlog_rows", "Rows that Redis has not taken yet.", ["writer"])
HELD = _gauge(
    "cryptotools_redis_held_rows", "Rows that Redis took and may still forget in a crash.",
    ["writer"],
)  # fmt: skip
AWAY_SINCE = _gauge(
    "cryptotools_redis_away_timestamp_seconds", "Since when Redis takes none; 0: it does.",
    ["writer"],
)  # fmt: skip
BLOCKED = _gauge(
    "cryptotools_redis_blocked", "1: the backlog is full and the flow waits.", ["writer"]
)
DISK_FREE = _gauge("cryptotools_disk_free_bytes", "Free space where the lake is.", ["volume"])
DISK_SIZE = _gauge("cryptotools_disk_size_bytes", "Size of where the lake is.", ["volume"])

# ---- the process ----

HEARTBEAT = _gauge("cryptotools_heartbeat_timestamp_seconds", "When the flow last told of itself.")
TURNS = _counter("cryptotools_engine_turns", "Calls of the engine: while it rises, it works.")
BUILD = _gauge(
    "cryptotools_build_info", "1; what runs.", ["version", "python_version", "bytewax_version"]
)


_SHOWN: dict[Gauge, set[str]] = {}
_GROWN: dict[Counter, dict[str, int]] = {}


def values(gauge: Gauge) -> dict[str, float]:
    """Return a gauge's values by their only label."""
    (family,) = gauge.collect()
    return {label: s.value for s in family.samples for label in s.labels.values()}


def show(gauge: Gauge, found: Mapping[str, float]) -> None:
    """Set a gauge's values by its only label; those of labels that are gone go."""
    for label in _SHOWN.get(gauge, set()) - found.keys():
        gauge.remove(label)
    for label, value in found.items():
        gauge.labels(label).set(value)
    _SHOWN[gauge] = set(found)


def grow(counter: Counter, found: Mapping[str, int]) -> None:
    """Bring a counter up to totals by its only label (empty: it has none) that others count."""
    seen = _GROWN.setdefault(counter, {})
    for label, count in found.items():
        child = counter.labels(label) if label else counter
        child.inc(max(0, count - seen.get(label, 0)))
        seen[label] = count


def total(counter: Counter, **labels: str) -> int:
    """Return the sum of a counter over all its children that have these label values."""
    (family,) = counter.collect()
    return int(
        sum(
            sample.value
            for sample in family.samples
            if sample.name.endswith("_total") and labels.items() <= sample.labels.items()
        )
    )


def snapshot() -> dict[str, float]:
    """Return every counter of the project as ``name{label=value,…}``: for `--json` and tests."""
    return {
        _series(sample.name, sample.labels): sample.value
        for family in REGISTRY.collect()
        if family.name.startswith("cryptotools_")
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def _series(name: str, labels: dict[str, str]) -> str:
    inner = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
    return f"{name}{{{inner}}}" if inner else name


class RowBooks:
    """Turns a session's running totals into increments of the counters above."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}

    def show(self, totals: dict[str, tuple[int, int, int]]) -> None:
        """Take (received, duplicate, rejected) rows by key, as counted since the start.

        A buffer that overflows takes received rows back, which are received again: they count
        once. A symbol that was given up and is followed again begins anew.
        """
        for key in self._seen.keys() - totals.keys():
            del self._seen[key]
        for key, (received, duplicate, rejected) in totals.items():
            old = self._seen.get(key, (0, 0, 0))
            if (received, duplicate, rejected) == old:
                continue
            if duplicate < old[1] or rejected < old[2]:
                old = (0, 0, 0)
            RECEIVED.labels(key).inc(max(0, received - old[0]))
            DUPLICATE.labels(key).inc(duplicate - old[1])
            REJECTED.labels(key).inc(rejected - old[2])
            self._seen[key] = (max(received, old[0]), duplicate, rejected)
