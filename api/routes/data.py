"""Recorded and live rows: klines, trades, signals, events, fills, equity, features, predictions."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from api.data.asked import interval_of, key_of
from api.data.join import is_known
from api.data.query import Query as Rows
from api.data.shapes import (
    EQUITY,
    EVENTS,
    FEATURES,
    FILLS,
    KLINES,
    PREDICTIONS,
    SIGNALS,
    TRADES,
    Shape,
)
from api.problems import ProblemError
from api.routes.forming import with_forming
from api.routes.pages import Filter, Paging, Symbol, answer, described
from api.security.guard import Reader
from api.services import Services, With
from client.data import (
    EquityItem,
    EventItem,
    FeatureItem,
    FillItem,
    KlineItem,
    Page,
    PredictionItem,
    SignalItem,
    TradeItem,
)

router = APIRouter(tags=["data"])

Interval = Annotated[str, Query(description="Of the klines.", examples=["1m"])]
SymbolFilter = Annotated[
    str | None, Query(description="Only of this symbol; all unless given.", max_length=80)
]


@router.get(
    "/klines/{symbol}", summary="Klines of a symbol", responses=described(Page[KlineItem]),
    response_class=Response,
)  # fmt: skip
async def klines(
    symbol: Symbol,
    own: With,
    _caller: Reader,
    asked: Paging,
    *,
    interval: Interval = "1m",
    revisions: Annotated[
        str | None,
        Query(pattern="^all$", description="all: klines that were issued again come again."),
    ] = None,
    forming: Annotated[
        bool, Query(description="Add the kline that is not final yet, where the newest ones are.")
    ] = False,
) -> Response:
    """Give final klines by the time they open, each in its last revision, from lake and Redis."""
    key = await known(own, symbol)
    query = Rows(
        KLINES, (key,), interval_of(interval), asked.start_us, asked.end_us,
        revisions=revisions == "all",
    )  # fmt: skip
    if forming and asked.format == "json":
        return await with_forming(own, query, asked)
    return await answer(own, query, asked, f"klines-{file_name(key)}-{interval}")


@router.get(
    "/trades/{symbol}", summary="Trades of a symbol", responses=described(Page[TradeItem]),
    response_class=Response,
)  # fmt: skip
async def trades(symbol: Symbol, own: With, _caller: Reader, asked: Paging) -> Response:
    """Give trades in the order of their ids, each once; none is left out but for known gaps."""
    key = await known(own, symbol)
    query = Rows(TRADES, (key,), "", asked.start_us, asked.end_us)
    return await answer(own, query, asked, f"trades-{file_name(key)}")


@router.get(
    "/signals", summary="Signals", responses=described(Page[SignalItem]), response_class=Response
)
async def signals(
    own: With,
    _caller: Reader,
    asked: Paging,
    symbol: SymbolFilter = None,
    instance: Filter = None,
    strategy: Filter = None,
    interval: Filter = None,
) -> Response:
    """Give what instances of strategies advised, by the close of the kline."""
    wanted = {"instance": instance, "strategy": strategy, "interval": interval}
    return await _records(own, SIGNALS, asked, symbol, wanted)


@router.get(
    "/events", summary="Events", responses=described(Page[EventItem]), response_class=Response
)
async def events(
    own: With,
    _caller: Reader,
    asked: Paging,
    symbol: SymbolFilter = None,
    kind: Annotated[
        str | None, Query(max_length=40, description="Such as gap, connected, model_changed.")
    ] = None,
) -> Response:
    """Give what happened to the data: gaps, repairs, connections, halts, errors, changes.

    Events of a whole connection are those of the symbol `shard-<n>`.
    """
    return await _records(own, EVENTS, asked, symbol, {"kind": kind})


@router.get(
    "/fills", summary="Fills on paper", responses=described(Page[FillItem]), response_class=Response
)
async def fills(
    own: With,
    _caller: Reader,
    asked: Paging,
    symbol: SymbolFilter = None,
    instance: Filter = None,
    strategy: Filter = None,
) -> Response:
    """Give what paper accounts would have bought and sold. No order was placed."""
    wanted = {"instance": instance, "strategy": strategy}
    return await _records(own, FILLS, asked, symbol, wanted)


@router.get(
    "/equity", summary="Equity on paper", responses=described(Page[EquityItem]),
    response_class=Response,
)  # fmt: skip
async def equity(
    own: With,
    _caller: Reader,
    asked: Paging,
    symbol: SymbolFilter = None,
    instance: Annotated[
        str | None, Query(max_length=80, description="`*`: all accounts of an instrument.")
    ] = None,
    strategy: Filter = None,
) -> Response:
    """Give what paper accounts were worth at closes of klines."""
    wanted = {"instance": instance, "strategy": strategy}
    return await _records(own, EQUITY, asked, symbol, wanted)


@router.get(
    "/features/{symbol}", summary="Rows of features", responses=described(Page[FeatureItem]),
    response_class=Response,
)  # fmt: skip
async def features(
    symbol: Symbol,
    own: With,
    _caller: Reader,
    asked: Paging,
    features: Annotated[str | None, Query(max_length=80, description="Name of the set.")] = None,
    interval: Filter = None,
) -> Response:
    """Give rows of features; their columns are named in the definition of the set."""
    wanted = {"features": features, "interval": interval}
    return await _records(own, FEATURES, asked, symbol, wanted, needed=True)


@router.get(
    "/predictions/{symbol}", summary="Predictions", responses=described(Page[PredictionItem]),
    response_class=Response,
)  # fmt: skip
async def predictions(
    symbol: Symbol,
    own: With,
    _caller: Reader,
    asked: Paging,
    model: Filter = None,
    version: Filter = None,
    interval: Filter = None,
) -> Response:
    """Give what versions of models said, shadows included."""
    wanted = {"model": model, "version": version, "interval": interval}
    return await _records(own, PREDICTIONS, asked, symbol, wanted, needed=True)


async def known(own: Services, symbol: str) -> str:
    """Return the key of a symbol of which anything is held; 404 for others."""
    key = key_of(own.settings, symbol)
    if not await is_known(own, key):
        hint = "GET /api/v1/symbols tells which are followed"
        raise ProblemError(404, f"nothing is known of {key}", field="symbol", hint=hint)
    return key


def file_name(key: str) -> str:
    """Return a key as part of a file's name."""
    return key.replace(":", "-")


async def _records(
    own: Services,
    shape: Shape,
    asked: Paging,
    symbol: str | None,
    wanted: dict[str, str | None],
    *,
    needed: bool = False,
) -> Response:
    key = None if symbol is None else key_of(own.settings, symbol)
    if needed and symbol is not None:
        key = await known(own, symbol)
    filters = tuple((name, value) for name, value in wanted.items() if value is not None)
    query = Rows(
        shape, None if key is None else (key,), "", asked.start_us, asked.end_us, filters=filters
    )
    name = shape.kind.value if key is None else f"{shape.kind.value}-{file_name(key)}"
    return await answer(own, query, asked, name)
