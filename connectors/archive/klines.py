"""Klines of others → `Kline`, exact, in order of time, with what is missing or twice named.

Read are Binance's twelve columns (csv, or a JSON list of lists; times in ms, us or as ISO text) and
lists of ``[ms, open, high, low, close, volume]``, which have neither quote volume nor counts: those
are 0. Files of klines carry no trade ids: `first_id` and `last_id` are -1.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from connectors.archive.names import ArchiveFile
from connectors.archive.opening import BROKEN, open_bytes
from connectors.archive.trades import bad, has_header, lines, plain
from core.exchange.official import parse_sum
from core.exchange.wire import to_us
from core.market.errors import FileError, MarketError
from core.market.events import KlineGap, Quarantined
from core.market.intervals import INTERVALS, Interval
from core.market.kline import Kline
from core.market.position import Positions

Out: TypeAlias = Kline | KlineGap | Quarantined

_TWELVE = 12
_OHLCV = 6


@dataclass(frozen=True, slots=True)
class _Read:
    line: int
    text: str
    kline: Kline


def read_klines(file: ArchiveFile) -> Iterator[Out]:
    """Yield a file's klines in order of their windows.

    Raises:
        FileError: It cannot be read at all, or its interval cannot be told.

    """
    good: list[_Read] = []
    refused: list[Quarantined] = []
    of = file.interval
    for number, text, cells in _rows(file):
        if cells is None:
            refused.append(bad(file.key, file.path, number, text, ""))
            continue
        try:
            of = of or _interval(file, cells)
            good.append(_Read(number, text, _kline(file.key, of, cells)))
        except MarketError as error:
            refused.append(bad(file.key, file.path, number, str(error), text))
    yield from refused
    good.sort(key=lambda read: read.kline.open_us)
    yield from _in_order(file, good)


def _in_order(file: ArchiveFile, good: list[_Read]) -> Iterator[Out]:
    positions = Positions()
    last: Kline | None = None
    for run in _runs(good):
        first = run[0].kline
        if len(run) > 1:
            yield _repeated(file, run)
        if last is not None and first.open_us > last.close_us + 1:
            at = positions.at(first.open_us)
            start = last.close_us + 1
            yield KlineGap(file.key, first.open_us, at, first.interval.name, start, first.open_us)
        last = replace(first, seq=positions.at(first.close_us))
        yield last


def _runs(good: list[_Read]) -> Iterator[list[_Read]]:
    run: list[_Read] = []
    for read in good:
        if run and read.kline.open_us != run[0].kline.open_us:
            yield run
            run = []
        run.append(read)
    if run:
        yield run


def _repeated(file: ArchiveFile, run: list[_Read]) -> Quarantined:
    first = run[0]
    differing = [read for read in run if read.kline != first.kline]
    if differing:
        why = f"contradicts the kline of the same window in line {first.line}, which is kept"
        shown = differing[0]
    else:
        why = f"the same kline stands {len(run)} times, it is used once"
        shown = run[1]
    return bad(file.key, file.path, shown.line, why, shown.text, first.kline.close_us)


def _rows(file: ArchiveFile) -> Iterator[tuple[int, str, list[str] | None]]:
    # (line, text, cells); without cells the text says why the line cannot be read.
    name = file.path.name.removesuffix(".gz").removesuffix(".zip")
    if name.endswith(".json"):
        yield from _json_rows(file)
        return
    for number, text in lines(file.path):
        if number < 0:
            yield -number, f"the file is cut off or damaged here ({text})", None
        elif number > 1 or not _is_header(text):
            yield number, text, [cell.strip() for cell in next(csv.reader([text]))]


def _is_header(text: str) -> bool:
    return has_header(text) and not text[:4].isdigit()  # an ISO time begins with its year


def _json_rows(file: ArchiveFile) -> Iterator[tuple[int, str, list[str] | None]]:
    try:
        with open_bytes(file.path) as stream:
            # Numbers stay text: a float would not be the number that was written.
            found = json.load(stream, parse_float=str, parse_int=str)
    except (*BROKEN, ValueError) as error:
        raise FileError(file.path, f"is no JSON ({error})") from None
    if not isinstance(found, list):
        raise FileError(file.path, "expected a list of klines")
    for number, row in enumerate(found, start=1):
        if isinstance(row, list):
            cells = [str(cell) for cell in row]
            yield number, ",".join(cells), cells
        else:
            yield number, f"row {number} is no list: {str(row)[:60]}", None


def _kline(key: str, of: Interval, cells: list[str]) -> Kline:
    whole = len(cells) >= _TWELVE  # some add a thirteenth: the symbol
    if not whole and len(cells) != _OHLCV:
        raise MarketError(f"{len(cells)} columns, expected {_TWELVE} or {_OHLCV}")
    open_us = _time(cells[0])
    if of.open_of(open_us) != open_us:
        raise MarketError(f"`{cells[0]}` is no start of a window of {of}")
    prices = [parse_sum(plain(cell)) for cell in cells[1:5]]
    volumes = [parse_sum(plain(cells[n])) for n in ((5, 9) if whole else (5,))]
    quotes = [parse_sum(cells[n]) for n in (7, 10)] if whole else []
    quantity_scale = max(scale for _, scale in volumes)
    price_scale = max(scale for _, scale in prices)
    price_scale = max(price_scale, *(scale - quantity_scale for _, scale in quotes), 0)
    quote_scale = price_scale + quantity_scale
    o, h, low, c = (units * 10 ** (price_scale - scale) for units, scale in prices)
    if low > min(o, c) or h < max(o, c) or low <= 0:
        raise MarketError(f"low, open, close and high do not fit: {cells[1:5]}")
    sums = [units * 10 ** (quantity_scale - scale) for units, scale in volumes] + [0]
    quote_sums = [units * 10 ** (quote_scale - scale) for units, scale in quotes] + [0, 0]
    return Kline(
        key=key, interval=of, open_us=open_us, close_us=of.end_of(open_us) - 1,
        price_scale=price_scale, quantity_scale=quantity_scale,
        open_units=o, high_units=h, low_units=low, close_units=c,
        volume_units=sums[0], quote_volume_units=quote_sums[0],
        trades=_count(cells[8]) if whole else 0,
        taker_buy_volume_units=sums[1], taker_buy_quote_volume_units=quote_sums[1],
        first_id=-1, last_id=-1,
    )  # fmt: skip


def _time(text: str) -> int:
    if text.isascii() and text.isdigit():
        return to_us(int(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise MarketError(f"`{text}` is no time") from None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise MarketError(f"`{text}` is no number of trades")
    return int(text)


def _interval(file: ArchiveFile, cells: list[str]) -> Interval:
    if len(cells) >= _TWELVE:
        length = _time(cells[6]) - _time(cells[0])
        for known in INTERVALS.values():
            if known.length_us and 0 <= known.length_us - length <= 1_000:
                return known
    raise FileError(file.path, "its interval cannot be told: name the file BTCUSDT-1m.csv")
