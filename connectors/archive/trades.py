"""Binance's files of trades and aggTrades → columns, in id order.

Rows are sorted within windows of four million, so that memory is bounded and a file of up to eight
million rows is in order whatever its own order was. A row that is farther from its place comes
late; the flow's own check refuses and names it. Repeated ids are kept for that check to count.
"""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from connectors.archive.facts import FileFacts
from connectors.archive.layout import layout_of
from connectors.archive.names import ArchiveFile, Kind
from connectors.archive.opening import Block, Told, ahead, blocks, head
from connectors.archive.refusals import Refusals
from connectors.archive.table import Bad, Bools, Ints, Parser, Table, Units, reduce, refuse
from core.market.decimals import MAX_DIGITS
from core.market.events import Quarantined
from core.market.position import Positions
from core.market.trades import Trades, concat

Out: TypeAlias = Trades | Quarantined

WINDOW_ROWS = 4_000_000
BATCH_ROWS = 1 << 16
_LIMIT = 10**MAX_DIGITS


class Scale:
    """Decimal places of prices, or of quantities, over a file: as few as its rows need.

    They never grow so far that an earlier row would need more than 18 digits.
    """

    def __init__(self) -> None:
        self.places = 0
        self._largest = 0

    def fit(self, units: Units, places: int) -> tuple[Units, Bools]:
        """Return a column at the scale it needs, and which rows do not fit there."""
        (units,), needed = reduce([units], places)
        wanted = max(self.places, needed)
        while self._largest * 10 ** (wanted - self.places) >= _LIMIT:
            wanted -= 1
        bad = np.zeros(len(units), np.bool_)
        if needed > wanted:
            bad |= (units % 10 ** (needed - wanted) != 0).astype(np.bool_)
            units, needed = units // 10 ** (needed - wanted), wanted
        bad |= (units >= _LIMIT // 10 ** (wanted - needed)).astype(np.bool_)
        fitting = units if not bad.any() else units[~bad]
        largest = int(fitting.max()) if len(fitting) else 0
        self._largest *= 10 ** (wanted - self.places)
        self._largest = max(self._largest, largest * 10 ** (wanted - needed))
        self.places = wanted
        return units * 10 ** (wanted - needed), bad


class TradesReader:
    """Reads one file.

    Attributes:
        facts: What was found out so far.
        starts_whole: Nothing was refused before the lowest id, as far as the file has been read.
        ends_whole: The file was read to its end, and nothing was refused behind the highest id.

    """

    def __init__(
        self,
        file: ArchiveFile,
        positions: Positions | None = None,
        told: Told | None = None,
    ) -> None:
        self.facts = FileFacts(file.path, file.kind.value, file.key)
        self._file = file
        self._told = told
        start_us = file.period[0] if file.period else 0
        self._refusals = Refusals(file.key, file.path, positions or Positions(), start_us)
        self._price, self._quantity = Scale(), Scale()
        self._lowest: tuple[int, int] | None = None  # id, line
        self._highest: tuple[int, int] | None = None

    @property
    def starts_whole(self) -> bool:
        """Whether the row of the lowest id is the first of the file that says anything."""
        refused = self._refusals.first
        return self._lowest is not None and (not refused or refused > self._lowest[1])

    @property
    def ends_whole(self) -> bool:
        """Whether the row of the highest id is the last of the file that says anything."""
        whole = self._highest is not None and self._refusals.last < self._highest[1]
        return whole and not self.facts.torn

    def items(self) -> Iterator[Out]:
        """Yield batches of up to 65,536 rows, and what of the file cannot be used.

        Raises:
            FileError: It cannot be unpacked, or its columns are not those of its kind.

        """
        window: list[Trades] = []
        rows = 0
        for item in self._blocks():
            if isinstance(item, Quarantined):
                yield item
                continue
            window.append(item)
            rows += len(item)
            if rows >= 2 * WINDOW_ROWS:
                whole = self._sorted(window)
                yield from self._batches(whole.take(slice(0, rows - WINDOW_ROWS)))
                window, rows = [whole.take(slice(rows - WINDOW_ROWS, rows))], WINDOW_ROWS
        if window:
            yield from self._batches(self._sorted(window))

    def _blocks(self) -> Iterator[Out]:
        layout = layout_of(self._file, head(self._file.path).decode("utf-8", "replace"))
        parser = None if layout is None else Parser(layout)
        for block in ahead(blocks(self._file.path, self._told)):
            if parser is not None and block.data:
                table, bad = parser.parse(block)
                trades, bad = self._trades(table, bad, block)
                if len(trades):
                    self._refusals.time_us = int(trades.time_us[-1])
                    yield trades
                yield from self._refuse(bad)
            if block.torn:
                self.facts.torn = block.torn
                line = block.next_line
                yield self._refusals.torn(line, block.torn)
        yield from self._refusals.rest()

    def _refuse(self, bad: list[Bad]) -> list[Quarantined]:
        said = self._refusals.lines(bad)
        self.facts.refused = self._refusals.count
        return said

    def _trades(self, table: Table, bad: list[Bad], block: Block) -> tuple[Trades, list[Bad]]:
        columns = table.columns
        aggregate = self._file.kind is Kind.AGGREGATES
        reasons = [(columns["id"] < 0, "its id is negative")]
        if aggregate:
            first, last = columns["first"], columns["last"]
            # Both are -1 in an aggregate that was invalidated.
            crossed = (first > last) | (first < -1) | ((first < 0) != (last < 0))
            reasons.append((crossed, "first and last id do not fit"))
        table, bad = refuse(table, reasons, block, bad)
        columns = table.columns
        columns["price"], wide_price = self._price.fit(columns["price"], table.places)
        columns["quantity"], wide_size = self._quantity.fit(columns["quantity"], table.places)
        why = "needs more than 18 digits beside the other rows"
        reasons = [(wide_price, f"price {why}"), (wide_size, f"quantity {why}")]
        table, bad = refuse(table, reasons, block, bad)
        columns = table.columns
        self._note(table)
        return Trades(
            key=self._file.key,
            price_scale=self._price.places,
            quantity_scale=self._quantity.places,
            id=columns["id"],
            time_us=columns["time"],
            price=columns["price"].astype(np.int64, copy=False),
            quantity=columns["quantity"].astype(np.int64, copy=False),
            buyer_is_maker=columns["maker"],
            first_id=columns["first"] if aggregate else None,
            last_id=columns["last"] if aggregate else None,
        ), bad

    def _note(self, table: Table) -> None:
        self.facts.units |= table.time_units
        ids: Ints = table.columns["id"]
        if not len(ids):
            return
        in_order = not bool((ids[1:] < ids[:-1]).any())
        low, high = (0, len(ids) - 1) if in_order else (int(ids.argmin()), int(ids.argmax()))
        behind = self._highest is None or int(ids[low]) >= self._highest[0]
        self.facts.ordered &= in_order and behind
        lowest = int(ids[low]), int(table.lines[low])
        highest = int(ids[high]), int(table.lines[high])
        self._lowest = lowest if self._lowest is None else min(self._lowest, lowest)
        self._highest = highest if self._highest is None else max(self._highest, highest)

    def _sorted(self, window: list[Trades]) -> Trades:
        whole = concat(window)
        if self.facts.ordered:
            return whole
        return whole.take(np.argsort(whole.id, kind="stable"))

    def _batches(self, trades: Trades) -> Iterator[Trades]:
        for start in range(0, len(trades), BATCH_ROWS):
            batch = trades.take(slice(start, start + BATCH_ROWS))
            self.facts.rows += len(batch)
            yield batch


def read_trades(file: ArchiveFile) -> Iterator[Out]:
    """Yield a file's rows as batches of up to 65,536, and what of it cannot be used.

    Raises:
        FileError: It cannot be unpacked, or its columns are not those of its kind.

    """
    yield from TradesReader(file).items()
