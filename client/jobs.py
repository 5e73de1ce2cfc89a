"""Replays and back-tests as jobs: what is asked for, and how they are."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from client.models import Model

State = Literal["queued", "running", "done", "failed", "cancelled"]
Sort = Literal[
    "sharpe", "return", "sortino", "calmar", "drawdown", "trades", "win-rate", "profit-factor",
    "volatility", "fees",
]  # fmt: skip

Name = Annotated[str, Field(min_length=1, max_length=80)]
Symbol = Annotated[str, Field(pattern=r"^[^\s:{}/\\@=*?]{2,40}$")]
Value = Annotated[str, Field(pattern=r"^[^,=]{1,200}$")] | int | float | bool


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    data: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...],
        Field(min_length=1, max_length=50, description="`lake`, `recordings`, or paths of files "
              "and folders in these or in `api.data_dirs`."),
    ] = ("lake",)  # fmt: skip
    strategies: Annotated[
        tuple[Name, ...],
        Field(max_length=50, description="Names of instances or strategies; all that are set if "
              "none."),
    ] = ()  # fmt: skip
    market: Annotated[
        Literal["spot", "usdm"] | None, Field(description="Where no name of a file says it.")
    ] = None


class BacktestRequest(_Asked):
    """A back-test, as `cryptotools backtest` takes it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "example": {
                "kind": "backtest", "data": ["lake"], "strategies": ["rsi_reversal"],
                "params": {"period": [7, 14, 21], "oversold": "20:40:5"}, "symbols": ["BTCUSDT"],
                "from": "2025-01-01", "to": "2025-02-01", "fee_bps": "10",
            }
        },
    )  # fmt: skip

    kind: Literal["backtest"]
    params: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[\w.-]{1,80}$")],
            Value | Annotated[list[Value], Field(min_length=1, max_length=1000)],
        ],
        Field(max_length=20, description="By name, or `strategy.name`: a value, several, or a "
              "range such as `5:30:5`."),
    ] = {}  # fmt: skip
    symbols: Annotated[
        tuple[Symbol, ...], Field(max_length=100, description="Only these; all if none.")
    ] = ()
    interval: Annotated[str | None, Field(description="Of the klines that strategies see.")] = None
    from_: Annotated[
        str | int | None, Field(alias="from", description="Earlier data only warm up.")
    ] = None
    to: Annotated[str | int | None, Field(description="End of time, not included.")] = None
    warmup: Annotated[
        Literal["converged", "lookback"],
        Field(description="When signals begin to count: once exact, or as soon as given."),
    ] = "converged"
    cash: Annotated[Decimal | None, Field(description="What each account begins with.")] = None
    fee_bps: Annotated[Decimal | None, Field(description="Per fill, in basis points.")] = None
    slippage_bps: Annotated[Decimal | None, Field(description="Likewise.")] = None
    size: Annotated[Decimal | None, Field(description="Of a position.")] = None
    size_mode: Annotated[
        Literal["equity", "quote", "base"] | None, Field(description="What `size` is.")
    ] = None
    fill: Annotated[
        Literal["next", "open"] | None, Field(description="At the next trade, or kline's open.")
    ] = None
    short: Annotated[bool | None, Field(description="Whether short signals sell.")] = None
    sort: Annotated[Sort, Field(description="What is best.")] = "sharpe"
    top: Annotated[int, Field(ge=1, le=1000, description="Combinations in the report.")] = 20
    max_combinations: Annotated[int, Field(ge=1, le=10_000, description="More are refused.")] = 2000


class ReplayRequest(_Asked):
    """A replay, as `cryptotools replay` takes it; it writes nothing but its figures."""

    kind: Literal["replay"]
    symbol: Annotated[
        Symbol | None, Field(description="Where the name of a file does not say.")
    ] = None


JobRequest: TypeAlias = Annotated[BacktestRequest | ReplayRequest, Field(discriminator="kind")]


class JobItem(Model):
    """A job."""

    id: str
    kind: Literal["backtest", "replay"]
    state: State
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    rows: Annotated[int, Field(description="Rows of data read so far.")] = 0
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    error: Annotated[str | None, Field(description="Why it failed.")] = None
    hint: Annotated[str | None, Field(description="The way out.")] = None
    host: Annotated[str, Field(description="Where its results are, unless they are shared.")] = ""
    request: Annotated[dict[str, Any], Field(description="What was asked for.")]


class Jobs(Model):
    """Jobs, the newest first."""

    items: list[JobItem]
