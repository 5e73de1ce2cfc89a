"""What the accounts of an instance did, from their fills and equity: exact where it is money."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from api.data.columns import values
from client.data import PerformanceItem, TripItem
from connectors.parquet.tables import Table
from core.market.decimals import plain
from core.market.paper import Equity, Fill
from core.market.records import equity_of, fill_of
from core.paper.total import entry_of, quote_of
from core.paper.trips import Trip, trips_of

_TRIPS = 50


@dataclass(slots=True)
class Account:
    """One account as its rows go by; only what sums them up is held.

    Attributes:
        since_us: Time of its first row.
        deepest: Deepest drawdown as a fraction of the peak before; not positive.
        fills: All of them.

    """

    last: Equity | None = None
    since_us: int = 0
    deepest: float = 0.0
    fills: list[Fill] = field(default_factory=list)

    def equity(self, row: Equity) -> None:
        """Take a row."""
        if self.last is None:
            self.since_us = row.time_us
        self.last = row
        if row.peak > 0:
            self.deepest = min(self.deepest, float(row.drawdown / row.peak))


def fills_of(table: Table | None) -> Iterable[Fill]:
    """Yield the fills of a page."""
    if table is not None:
        for row in _rows(table):
            yield fill_of(row["key"], row)


def equities_of(table: Table | None) -> Iterable[Equity]:
    """Yield the rows of equity of a page."""
    if table is not None:
        for row in _rows(table):
            yield equity_of(row["key"], row)


def performance_of(key: str, account: Account) -> PerformanceItem | None:
    """Return how an account did; None: it has not traded yet."""
    row = account.last
    if row is None:
        return None
    trips = trips_of(account.fills, row.price)
    capital = row.equity - row.realised - row.unrealised + row.fees
    profit = row.equity - capital
    return PerformanceItem(
        key=key,
        symbol=key.partition(":")[2],
        strategy=row.strategy,
        interval=row.interval,
        quote=quote_of(key),
        since_us=account.fills[0].time_us if account.fills else account.since_us,
        time_us=row.time_us,
        capital=plain(capital),
        profit=plain(profit),
        total_return=float(profit / capital) if capital else 0.0,
        max_drawdown=account.deepest,
        entry=plain(entry_of(row)),
        bankrupt=row.equity <= 0 and not row.position,
        fills=row.fills,
        **_amounts(row),
        **_counted(trips),
        trips=[_trip(trip) for trip in reversed(trips[-_TRIPS:])],
    )


def _rows(table: Table) -> Iterable[dict[str, str]]:
    names = [name for name in table.schema.names if not name.startswith("~")]
    columns = {("time_us" if name == "time" else name): values(table, name) for name in names}
    for row in zip(*columns.values(), strict=True):
        yield {name: str(value) for name, value in zip(columns, row, strict=True)}


def _amounts(row: Equity) -> dict[str, str]:
    names = (
        "equity", "realised", "unrealised", "fees", "peak", "drawdown", "position", "price",
    )  # fmt: skip
    return {name: plain(getattr(row, name)) for name in names}


def _counted(trips: Sequence[Trip]) -> dict[str, float | int | None]:
    ended = [trip for trip in trips if not trip.is_open]
    won = [trip for trip in ended if trip.profit > 0]
    lost = [trip for trip in ended if trip.profit <= 0]
    gains = sum((trip.profit for trip in won), Decimal(0))
    losses = -sum((trip.profit for trip in lost), Decimal(0))
    return {
        "trades": len(ended),
        "won": len(won),
        "win_rate": len(won) / len(ended) if ended else None,
        "profit_factor": float(gains / losses) if losses else None,
        "average_win": _mean(won),
        "average_loss": _mean(lost),
    }


def _mean(trips: Sequence[Trip]) -> float | None:
    return sum(trip.gain for trip in trips) / len(trips) if trips else None


def _trip(trip: Trip) -> TripItem:
    return TripItem(
        side=trip.side,
        quantity=plain(trip.quantity),
        entry_us=trip.entry_us,
        entry=plain(trip.entry),
        exit_us=trip.exit_us or None,
        exit=plain(trip.exit),
        fees=plain(trip.fees),
        profit=plain(trip.profit),
        gain=trip.gain,
        why=trip.why,
        why_closed=trip.why_closed,
    )
