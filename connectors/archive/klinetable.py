"""The columns of a file of klines: what a window must fulfil, and all of it at one scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from connectors.archive.table import Bools, Ints, Table, Units, reduce, refine
from core.market.decimals import to_text
from core.market.intervals import DAY_US, INTERVALS, Interval

PRICES = ("open", "high", "low", "close")
VOLUMES = ("volume", "taker_volume")
QUOTES = ("quote", "taker_quote")
_SLICE = 4096


@dataclass(frozen=True, slots=True)
class Windows:
    """Klines in order of (window, line); columns of equal length, units at these scales.

    `measures` has open, high, low, close, volume, taker_volume, quote and taker_quote, in this
    order.
    """

    lines: Ints
    opens_us: Ints
    price_scale: int
    quantity_scale: int
    measures: dict[str, Units]
    trades: Ints

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def is_repeated(self) -> Bools:
        """Whether the row before is of the same window."""
        found = np.zeros(len(self), np.bool_)
        found[1:] = self.opens_us[1:] == self.opens_us[:-1]
        return found

    def rows(self, starts: list[int]) -> Iterator[tuple[int, ...]]:
        """Yield the open time, the measures in their order, and the trades of these rows."""
        columns = (self.opens_us, *self.measures.values(), self.trades)
        for begin in range(0, len(starts), _SLICE):
            index = np.array(starts[begin : begin + _SLICE])
            yield from zip(*(column[index].tolist() for column in columns), strict=True)

    def text(self, row: int) -> str:
        """Return a row's numbers, for people."""
        prices = [to_text(int(self.measures[name][row]), self.price_scale) for name in PRICES]
        volume = to_text(int(self.measures["volume"][row]), self.quantity_scale)
        return ",".join([str(self.opens_us[row] // 1000), *prices, volume])

    def same(self, one: int, other: int) -> bool:
        """Say whether two rows have the same numbers."""
        columns = (*self.measures.values(), self.trades)
        return all(bool(column[one] == column[other]) for column in columns)


def interval_of(table: Table) -> Interval | None:
    """Return the interval that rows with a close time show; None if there is none."""
    if "close_time" not in table.columns or not len(table.lines):
        return None
    open_us = int(table.columns["open_time"][0])
    close_us = int(table.columns["close_time"][0])
    for known in INTERVALS.values():
        # The close time is the last millisecond, or microsecond, of the window.
        if 0 < known.end_of(open_us) - close_us <= 1000 and known.open_of(open_us) == open_us:
            return known
    return None


def checks(table: Table, interval: Interval) -> list[tuple[Bools, str]]:
    """Return which rows cannot be klines of that interval, each with the reason."""
    get = table.columns
    opens: Ints = get["open_time"]
    top = np.maximum(get["open"], get["close"])
    bottom = np.minimum(get["open"], get["close"])
    found = [
        (interval.opens_of(opens) != opens, f"open_time is no start of a window of {interval}"),
        ((get["high"] < top) | (get["low"] > bottom), "open, high, low and close do not fit"),
        (get["low"] <= 0, "a price is 0"),
    ]
    if "trades" in get:
        found.append((get["trades"] < 0, "a negative number of trades"))
    if "close_time" in get:
        longest = interval.length_us or 31 * DAY_US
        later = get["close_time"] - opens >= longest
        found.append((later | (get["close_time"] < opens), f"close_time is not that of {interval}"))
    for part, whole in (("taker_volume", "volume"), ("taker_quote", "quote")):
        if part in get and whole in get:
            found.append((get[part] > get[whole], f"{part} is more than {whole}"))
    if "closed" in get:
        found.append((~get["closed"], "the window was not closed yet"))
    return [(mask.astype(np.bool_), why) for mask, why in found]


def windows_of(tables: Sequence[Table]) -> Windows:
    """Return the rows of all tables, which must not be none, in order, at one scale.

    A quote volume has the places of price and quantity together; where it has more, the price
    scale makes room for them.
    """
    lines = np.concatenate([table.lines for table in tables])
    opens = np.concatenate([table.columns["open_time"] for table in tables])
    order = np.lexsort((lines, opens))
    prices, price_scale = _joined(tables, PRICES)
    volumes, quantity_scale = _joined(tables, VOLUMES)
    quotes, quote_scale = _joined(tables, QUOTES)
    finer = max(0, quote_scale - quantity_scale - price_scale)
    prices = {name: refine(units, 10**finer) for name, units in prices.items()}
    price_scale += finer
    missing = price_scale + quantity_scale - quote_scale
    quotes = {name: refine(units, 10**missing) for name, units in quotes.items()}
    count, _ = _joined(tables, ("trades",))
    return Windows(
        lines=lines[order],
        opens_us=opens[order],
        price_scale=price_scale,
        quantity_scale=quantity_scale,
        measures={name: units[order] for name, units in (prices | volumes | quotes).items()},
        trades=count["trades"][order],
    )


def _joined(tables: Sequence[Table], names: tuple[str, ...]) -> tuple[dict[str, Units], int]:
    reduced: list[tuple[list[Units], int]] = []
    for table in tables:
        units = [table.columns.get(n, np.zeros(len(table.lines), np.int64)) for n in names]
        reduced.append(reduce(units, _places(table, names)))
    scale = max(places for _, places in reduced)
    return {
        name: np.concatenate([refine(u[n], 10 ** (scale - places)) for u, places in reduced])
        for n, name in enumerate(names)
    }, scale


def _places(table: Table, names: tuple[str, ...]) -> int:
    if names == QUOTES:
        return table.sum_places
    return 0 if names == ("trades",) else table.places
