"""Rows of data as the API gives them: pages of klines, trades, signals and the other records."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field

from client.models import Model

Item = TypeVar("Item")

Amount = Annotated[str, Field(description="Exact decimal.", examples=["61837.63"])]
Seq = Annotated[
    str, Field(description="Data position: rises in the order of emission; text, as it is large.")
]


class Page(Model, Generic[Item]):
    """Some rows, and where to go on."""

    items: list[Item]
    next: Annotated[
        str | None, Field(description="`cursor` of the next page; null: this is the last one.")
    ] = None


class KlineItem(Model):
    """A kline; empty windows have no trades, and the ids -1."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        json_schema_extra={
            "example": {
                "open_time": "2025-01-31T00:00:00Z", "open_us": 1738281600000000,
                "close_us": 1738281659999999, "open": "61837.63", "high": "61850",
                "low": "61830.01", "close": "61844", "volume": "3.21",
                "quote_volume": "198500.12", "trades": 412, "taker_buy_volume": "1.9",
                "taker_buy_quote_volume": "117490.7", "first_id": 3735683259,
                "last_id": 3735683670, "complete": True, "status": "final", "revision": 0,
                "seq": "1822728683520000000",
            }
        },
    )  # fmt: skip

    open_time: datetime
    open_us: int
    close_us: Annotated[int, Field(description="Last microsecond of the window.")]
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: Amount
    quote_volume: Amount
    trades: int
    taker_buy_volume: Amount
    taker_buy_quote_volume: Amount
    first_id: int
    last_id: int
    complete: Annotated[bool, Field(description="No gap inside, and its start was witnessed.")]
    status: Literal["final", "forming"]
    revision: Annotated[int, Field(description="How often it was issued again.")]
    seq: Seq


class TradeItem(Model):
    """A trade, or an aggregate where the exchange gives only these."""

    id: int
    time: datetime
    time_us: int
    price: Amount
    quantity: Amount
    taker: Literal["buy", "sell"]
    repaired: Annotated[
        bool | None, Field(description="Came by REST; null: only Redis has it, which does not say.")
    ]
    first_id: int | None = None
    last_id: int | None = None


class Record(Model):
    """What records of an instrument have in common."""

    key: Annotated[str, Field(examples=["binance:BTCUSDT"])]
    symbol: Annotated[str, Field(examples=["BTCUSDT"])]
    time: datetime
    time_us: int
    seq: Seq


class SignalItem(Record):
    """What an instance advised at the close of a kline."""

    interval: str
    strategy: str
    instance: str
    side: Literal["long", "short", "flat"]
    price: Amount
    reason: str
    values: Annotated[dict[str, Any], Field(description="Values of indicators behind it.")]


class EventItem(Record):
    """Something that happened to the data, or to who computes with them."""

    kind: Annotated[str, Field(examples=["gap_repaired"])]
    detail: Annotated[dict[str, Any], Field(examples=[{"first_id": 7, "last_id": 9}])]


class FillItem(Record):
    """What a paper account would have bought or sold."""

    interval: str
    strategy: str
    instance: str
    side: Literal["buy", "sell"]
    price: Amount
    quantity: Amount
    fee: Amount
    position: Amount
    entry: Amount
    realised: Amount
    cash: Amount
    signal_seq: Seq
    reason: str


class EquityItem(Record):
    """What a paper account was worth at the close of a kline; `*`: all of the instrument."""

    interval: str
    strategy: str
    instance: str
    price: Amount
    position: Amount
    cash: Amount
    equity: Amount
    realised: Amount
    unrealised: Amount
    fees: Amount
    peak: Amount
    drawdown: Amount
    fills: int


class FeatureItem(Record):
    """A row of features at the close of a kline."""

    open_us: int
    interval: str
    features: str
    definition: str
    close: Amount
    values: list[float]


class PredictionItem(Record):
    """What a version of a model said at the close of a kline."""

    open_us: int
    interval: str
    model: str
    version: str
    definition: str
    shadow: bool
    value: float | None
    reason: str


class IndicatorPage(Model):
    """Values of an indicator at the closes of klines."""

    items: Annotated[
        list[dict[str, float | int | None]],
        Field(
            description="`open_us` and a number per output; null: not known yet.",
            examples=[[{"open_us": 1738281600000000, "value": 61.2}]],
        ),
    ]
    next: str | None = None
    name: str
    parameters: dict[str, float | int | str]
    outputs: list[str]
    lookback: Annotated[int, Field(description="Klines until it has a value.")]
    convergence: Annotated[
        int, Field(description="Klines until its start does not matter any more.")
    ]
    converged_from_us: Annotated[
        int | None,
        Field(description="From which kline on the values are those of one that ran forever."),
    ]


class GapItem(Model):
    """Ids that the lake does not hold."""

    key: str
    first_id: int | None
    last_id: int | None
    trades: int | None
    start_time: datetime
    end_time: datetime
    evidence: str
    between: Annotated[bool, Field(description="Whether trades are held on both sides.")]
    get: Annotated[str, Field(description="The command that asks for them.")]


class Gaps(Model):
    """All that is missing."""

    items: list[GapItem]
    complete: Annotated[bool, Field(description="Nothing is missing between trades held.")]


class DayItem(Model):
    """A day in the calendar of certificates."""

    date: Annotated[str, Field(examples=["2025-01-31"])]
    state: Annotated[
        Literal["complete", "complete-repaired", "complete-with-halt", "incomplete", "open",
                "unchecked"],
        Field(description="`open`: the day lasts; `unchecked`: ask again, it is a lot to read."),
    ]  # fmt: skip
    rows: int | None = None
    repaired: int | None = None
    missing: Annotated[int | None, Field(description="How many ranges of ids.")] = None
    reasons: tuple[str, ...] = ()


class Calendar(Model):
    """A symbol's days, and whether each is proven complete."""

    items: list[DayItem]


class TripItem(Model):
    """A position from its beginning to its end."""

    side: Literal["long", "short"]
    quantity: Amount
    entry_us: int
    entry: Amount
    exit_us: int | None
    exit: Amount
    fees: Amount
    profit: Amount
    gain: Annotated[float, Field(description="Profit as a fraction of what was paid.")]
    why: str
    why_closed: str


class PerformanceItem(Model):
    """How one account of an instance did. Fractions, not percent; amounts are exact."""

    key: str
    symbol: str
    strategy: str
    interval: str
    quote: Annotated[str, Field(examples=["USDT"])]
    since_us: int
    time_us: Annotated[int, Field(description="Of the newest row.")]
    capital: Amount
    equity: Amount
    profit: Amount
    total_return: float
    realised: Amount
    unrealised: Amount
    fees: Amount
    peak: Amount
    drawdown: Amount
    max_drawdown: Annotated[float, Field(description="Deepest, as a fraction; not positive.")]
    position: Amount
    entry: Amount
    price: Amount
    bankrupt: bool
    fills: int
    trades: Annotated[int, Field(description="Round trips that ended.")]
    won: int
    win_rate: float | None
    profit_factor: float | None
    average_win: float | None
    average_loss: float | None
    trips: Annotated[list[TripItem], Field(description="The newest, newest first.")]


class Performance(Model):
    """What an instance would have earned."""

    instance: str
    items: list[PerformanceItem]
