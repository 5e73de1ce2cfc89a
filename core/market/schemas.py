"""One Arrow schema per record: what the lake stores, documented in ``docs/reference/records.md``.

Times are UTC microseconds. Prices and quantities of trades are decimals of 18 digits at the
instrument's own scale, so that Parquet stores them as integers; sums in klines have 38 digits.
"""

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")
SUM = pa.decimal128(38, 18)
"""Any price, volume or quote volume of a kline: 20 digits before the point, 18 after."""


def _field(name: str, kind: pa.DataType, about: str, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"about": about})


def trades(price_scale: int, quantity_scale: int, *, aggregate: bool = False) -> pa.Schema:
    """Return the schema of trades (or aggregates) at these scales."""
    fields = [
        _field("id", pa.int64(), "trade id; aggregate id where the exchange gives aggregates"),
        _field("time", TIME, "trade time"),
        _field("price", pa.decimal128(18, price_scale), "price"),
        _field("quantity", pa.decimal128(18, quantity_scale), "base asset"),
        _field("buyer_is_maker", pa.bool_(), "true: the taker sold"),
        _field("repaired", pa.bool_(), "true: came by REST instead of the live stream"),
    ]
    if aggregate:
        fields += [
            _field("first_id", pa.int64(), "first trade id of the aggregate; -1: invalidated"),
            _field("last_id", pa.int64(), "last trade id of the aggregate; -1: invalidated"),
        ]
    return pa.schema(fields)


KLINES = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("interval", pa.string(), "Binance's name: 1m, 1h, 1M"),
        _field("open_time", TIME, "start of the window"),
        _field("close_time", TIME, "last microsecond of the window"),
        _field("open", SUM, "price of the first trade"),
        _field("high", SUM, "highest price"),
        _field("low", SUM, "lowest price"),
        _field("close", SUM, "price of the last trade"),
        _field("volume", SUM, "base asset traded"),
        _field("quote_volume", SUM, "sum of price times quantity"),
        _field("trades", pa.int64(), "number of trades"),
        _field("taker_buy_volume", SUM, "base asset that takers bought"),
        _field("taker_buy_quote_volume", SUM, "quote asset that takers paid"),
        _field("first_id", pa.int64(), "first trade id; -1: no trade"),
        _field("last_id", pa.int64(), "last trade id; -1: no trade"),
        _field("complete", pa.bool_(), "no gap inside, and its start was witnessed"),
        _field("revision", pa.int32(), "0, then +1 each time it is issued again"),
    ]
)

SIGNALS = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("time", TIME, "last microsecond of the kline that caused it"),
        _field("interval", pa.string(), "interval of that kline"),
        _field("strategy", pa.string(), "registered name of the strategy"),
        _field("instance", pa.string(), "name of the instance"),
        _field("side", pa.string(), "long, short or flat"),
        _field("price", SUM, "close of that kline"),
        _field("reason", pa.string(), "for people"),
        _field("values", pa.string(), "indicator values behind it, a JSON object"),
    ]
)

FILLS = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("time", TIME, "time of the trade, or start of the kline, whose price it took"),
        _field("interval", pa.string(), "interval of the signal"),
        _field("strategy", pa.string(), "registered name of the strategy"),
        _field("instance", pa.string(), "name of the instance"),
        _field("side", pa.string(), "buy or sell"),
        _field("price", SUM, "price paid, slippage included"),
        _field("quantity", SUM, "base asset bought or sold"),
        _field("fee", SUM, "paid in the quote asset"),
        _field("position", SUM, "base asset held afterwards; negative: owed"),
        _field("entry", SUM, "price of that position; 0: there is none"),
        _field("realised", SUM, "profit that it realised, before its fee"),
        _field("cash", SUM, "quote asset held afterwards"),
        _field("signal_seq", pa.int64(), "data position of the signal"),
        _field("reason", pa.string(), "the signal's, or why it was closed without one"),
    ]
)

EQUITY = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("time", TIME, "last microsecond of the kline"),
        _field("interval", pa.string(), "interval of that kline"),
        _field("strategy", pa.string(), "registered name of the strategy; empty: a total"),
        _field("instance", pa.string(), "name of the instance; *: all of the instrument"),
        _field("price", SUM, "close of that kline"),
        _field("position", SUM, "base asset held; negative: owed"),
        _field("cash", SUM, "quote asset held; negative: owed"),
        _field("equity", SUM, "cash and position together"),
        _field("realised", SUM, "profit realised so far, before fees"),
        _field("unrealised", SUM, "profit that the open position would bring at that price"),
        _field("fees", SUM, "paid so far"),
        _field("peak", SUM, "highest equity so far"),
        _field("drawdown", SUM, "equity minus peak; never positive"),
        _field("fills", pa.int64(), "number of fills so far"),
    ]
)

FEATURES = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("time", TIME, "last microsecond of the kline"),
        _field("interval", pa.string(), "interval of the kline"),
        _field("open_time", TIME, "start of the kline"),
        _field("features", pa.string(), "name of the set of features"),
        _field("definition", pa.string(), "hash of what the set computes"),
        _field("close", SUM, "close of the kline"),
        _field(
            "values",
            pa.list_(pa.field("element", pa.float64(), nullable=False)),
            "a number per feature, in the order of the definition",
        ),
    ]
)

PREDICTIONS = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("time", TIME, "last microsecond of the kline"),
        _field("interval", pa.string(), "interval of the kline"),
        _field("open_time", TIME, "start of the kline"),
        _field("model", pa.string(), "name of the model"),
        _field("version", pa.string(), "which version of it; empty: none"),
        _field("definition", pa.string(), "hash of the features it sees"),
        _field("shadow", pa.bool_(), "true: it is only scored"),
        _field("value", pa.float64(), "probability of a rise, or expected return", null=True),
        _field("reason", pa.string(), "why there is no value"),
    ]
)

SCORES = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("time", TIME, "last microsecond of the kline"),
        _field("interval", pa.string(), "interval of the kline"),
        _field("open_time", TIME, "start of the kline"),
        _field("model", pa.string(), "name of the model"),
        _field("version", pa.string(), "which version of it; empty: none"),
        _field("shadow", pa.bool_(), "true: it is only scored"),
        _field("rows", pa.int64(), "predictions whose outcome is known"),
        _field("accuracy", pa.float64(), "share with the right direction", null=True),
        _field("baseline", pa.float64(), "share of the more frequent direction", null=True),
        _field("error", pa.float64(), "mean squared error; of probabilities: Brier", null=True),
        _field("ic", pa.float64(), "rank correlation of prediction and return", null=True),
        _field("psi", pa.string(), "drift per feature, a JSON object"),
    ]
)

EVENTS = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("time", TIME, "the exchange's time as far as it was known"),
        _field("kind", pa.string(), "connected, gap, gap_repaired, ..."),
        _field("detail", pa.string(), "the event's own fields, a JSON object"),
    ]
)

QUARANTINE = pa.schema(
    [
        _field("seq", pa.int64(), "data position of the emission"),
        _field("time", TIME, "the exchange's time as far as it was known"),
        _field("reason", pa.string(), "why it could not be used"),
        _field("source", pa.string(), "where it came from: link 3, file.csv:17"),
        _field("payload", pa.string(), "what came, cut to 4096 characters"),
    ]
)

FRAMES = pa.schema(
    [
        _field("received", TIME, "our clock when it came"),
        _field("kind", pa.string(), "start, open, close, frame, page, time or alarm"),
        _field("link", pa.int32(), "number of the connection within the run"),
        _field("payload", pa.string(), "the text as received"),
    ]
)
