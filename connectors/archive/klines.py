"""Klines of others → `Kline`, exact, in order of time, with what is missing or twice named.

Read are Binance's twelve columns (csv with or without header, or JSON; times in ms, us or ISO
text) and files that have only open, high, low, close and volume. What a file does not say (quote
volume, number of trades, the takers' share) is 0. No file of klines carries trade ids: `first_id`
and `last_id` are -1.

A file is held in columns, some 100 bytes a row, because its scales and its repetitions are known
only at its end.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from connectors.archive.facts import FileFacts
from connectors.archive.klinejson import json_blocks
from connectors.archive.klinetable import Windows, checks, interval_of, windows_of
from connectors.archive.layout import layout_of
from connectors.archive.names import ArchiveFile
from connectors.archive.opening import Block, Told, blocks, head
from connectors.archive.refusals import Refusals
from connectors.archive.table import Bad, Parser, Table, refuse
from core.market.errors import FileError
from core.market.events import KlineGap, Quarantined
from core.market.intervals import Interval
from core.market.kline import Kline
from core.market.position import Positions

Out: TypeAlias = Kline | KlineGap | Quarantined

_HEAD_BYTES = 1 << 16


class KlinesReader:
    """Reads one file.

    Args:
        file: The file.
        positions: Those of the instrument, which go on from file to file.
        told: Told of bytes read.
        expected_us: End of the last kline of the files before, None for the first one; windows
            before it are dropped and counted, windows missing behind it are named.

    Attributes:
        facts: What was found out so far.
        expected_us: End of the last kline handed out.

    """

    def __init__(
        self,
        file: ArchiveFile,
        positions: Positions | None = None,
        told: Told | None = None,
        expected_us: int | None = None,
    ) -> None:
        self.facts = FileFacts(file.path, file.kind.value, file.key)
        self.expected_us = expected_us
        self._file = file
        self._told = told
        self._interval = file.interval
        self._positions = positions or Positions()
        start_us = file.period[0] if file.period else expected_us or 0
        self._refusals = Refusals(file.key, file.path, self._positions, start_us)

    def items(self) -> Iterator[Out]:
        """Yield lines that cannot be used, then klines, gaps and repetitions in order of time.

        Raises:
            FileError: It cannot be unpacked, its columns are not those of klines, or its interval
                cannot be told.

        """
        tables: list[Table] = []
        for block, parser in self._blocks():
            if parser is not None and block.data:
                table, bad = self._table(block, parser)
                tables.append(table)
                yield from self._refuse(bad)
            if block.torn:
                self.facts.torn = block.torn
                line = block.next_line
                yield self._refusals.torn(line, block.torn)
        if self._interval is not None and any(len(table.lines) for table in tables):
            yield from self._in_order(windows_of(tables), self._interval)
        yield from self._refusals.rest()

    def _blocks(self) -> Iterator[tuple[Block, Parser | None]]:
        path = self._file.path
        is_json = head(path).lstrip()[:1] in (b"[", b"{")
        parser: Parser | None = None
        for block in json_blocks(path) if is_json else blocks(path, self._told):
            if parser is None:
                text = block.data[:_HEAD_BYTES].decode("utf-8", "replace")
                layout = layout_of(self._file, text)
                parser = None if layout is None else Parser(layout)
            yield block, parser

    def _refuse(self, bad: list[Bad]) -> list[Quarantined]:
        said = self._refusals.lines(bad)
        self.facts.refused = self._refusals.count
        return said

    def _table(self, block: Block, parser: Parser) -> tuple[Table, list[Bad]]:
        table, bad = parser.parse(block)
        self.facts.units |= table.time_units
        if not len(table.lines):
            return table, bad
        if self._interval is None:
            self._interval = interval_of(table)
        if self._interval is None:
            why = "its interval cannot be told: name the file like BTCUSDT-1m.csv"
            raise FileError(self._file.path, why)
        return refuse(table, checks(table, self._interval), block, bad)

    def _in_order(self, windows: Windows, interval: Interval) -> Iterator[Out]:
        lines = windows.lines
        self.facts.ordered = not bool((lines[1:] < lines[:-1]).any())
        starts = np.flatnonzero(~windows.is_repeated).tolist()
        again = 0
        for (row, end), values in zip(
            pairwise([*starts, len(windows)]), windows.rows(starts), strict=True
        ):
            open_us = values[0]
            if self.expected_us is not None and open_us < self.expected_us:
                again += end - row
                continue
            yield from self._missing(open_us, interval)
            self._refusals.time_us = open_us
            if end - row > 1:
                yield from self._repeated(windows, row, end)
            self.facts.rows += 1
            yield self._kline(windows, interval, values)
        if again:
            self.facts.repeated += again
            why = f"{again} klines are of windows that an earlier file gave"
            yield self._refusals.say(why, int(lines[0]), "")

    def _kline(self, windows: Windows, interval: Interval, values: tuple[int, ...]) -> Kline:
        open_us, o, h, low, c, volume, taker, quote, taker_quote, trades = values
        self.expected_us = interval.end_of(open_us)
        close_us = self.expected_us - 1
        return Kline(
            key=self._file.key,
            interval=interval,
            open_us=open_us,
            close_us=close_us,
            price_scale=windows.price_scale,
            quantity_scale=windows.quantity_scale,
            open_units=o,
            high_units=h,
            low_units=low,
            close_units=c,
            volume_units=volume,
            quote_volume_units=quote,
            trades=trades,
            taker_buy_volume_units=taker,
            taker_buy_quote_volume_units=taker_quote,
            first_id=-1,
            last_id=-1,
            seq=self._positions.at(close_us),
        )

    def _missing(self, open_us: int, interval: Interval) -> Iterator[KlineGap]:
        expected_us = self.expected_us
        if expected_us is not None and open_us > expected_us:
            at = self._positions.at(open_us)
            yield KlineGap(self._file.key, open_us, at, interval.name, expected_us, open_us)

    def _repeated(self, windows: Windows, kept: int, end: int) -> Iterator[Quarantined]:
        same = [windows.same(kept, row) for row in range(kept, end)]
        if sum(same) > 1:
            self.facts.repeated += sum(same) - 1
            line = int(windows.lines[kept + same.index(True, 1)])
            why = f"the same kline stands {sum(same)} times, it is used once"
            yield self._refusals.say(why, line, windows.text(kept))
        why = f"contradicts the kline of line {windows.lines[kept]}, which is kept"
        yield from self._refuse(
            [
                (int(windows.lines[kept + n]), why, windows.text(kept + n))
                for n, equal in enumerate(same)
                if not equal
            ]
        )


def read_klines(file: ArchiveFile) -> Iterator[Out]:
    """Yield a file's klines in order of their windows, and what is to be said about them.

    Raises:
        FileError: As `KlinesReader.items`.

    """
    yield from KlinesReader(file).items()
