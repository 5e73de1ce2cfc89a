"""The lake's rows as canonical texts: they tell which record of a replay differs first."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.parquet.encoding import BROKEN
from connectors.parquet.layout import Kind, Wanted, find
from connectors.parquet.learned import read_features, read_predictions
from connectors.parquet.paper import read_equity, read_fills
from connectors.parquet.reader import read_klines
from core.ledger.certificate import time_text
from core.ledger.chain import EQUITY, FILLS, SIGNALS, sorted_text, text_of
from core.market.decimals import to_text
from core.market.errors import FileError
from core.market.schemas import SUM

_Mark = tuple[str, ...]
_MARKS: dict[str, _Mark] = {
    "klines": ("open_ms", "revision"),
    SIGNALS: ("close_ms", "instance"),
    FILLS: ("time_us", "instance", "side"),
    EQUITY: ("time_us", "instance", "interval"),
    "features": ("open_ms",),
    "predictions": ("open_ms", "version"),
}
"""By the first word of a stream's name, the fields that name one of its records."""


def first_difference(
    lake: Path, key: str, stream: str, bounds: tuple[int, int], window: list[bytes]
) -> str:
    """Say which record is the first that differs.

    Args:
        lake: The lake of the live run.
        key: The instrument's key.
        stream: ``klines 1m``, ``signals``, ``fills`` or ``equity``.
        bounds: Counts between which it lies: the last link that is equal, the first that is not.
        window: The replay's texts between them.

    """
    between = f"differs in records {bounds[0] + 1} to {bounds[1]}"
    names = _MARKS[stream.partition(" ")[0]]
    try:
        stored = _stored(lake, key, stream, names)
    except FileError as error:
        return f"{between}; the lake cannot say more: {error}"
    for number, text in enumerate(window, start=bounds[0] + 1):
        ours = orjson.loads(text)
        mark = tuple(ours[name] for name in names)
        rows = stored.get(mark, [])
        if text not in rows:
            what = f"record {number}, {_named(ours)}"
            return (
                f"{what}: {_fields(orjson.loads(rows[-1]), ours)}"
                if rows
                else f"{what}: not in the lake"
            )
    absent = _absent(stored, window, names)
    if absent:
        return f"{between}: the replay lacks {_named(orjson.loads(absent))}"
    return f"{between}; the lake's rows equal the replay's, so the stored hash is what differs"


def _stored(lake: Path, key: str, stream: str, names: _Mark) -> dict[_Mark, list[bytes]]:
    found: dict[_Mark, list[bytes]] = {}
    for text in _texts(lake, key, stream):
        row = orjson.loads(text)
        found.setdefault(tuple(row[name] for name in names), []).append(text)
    return found


def _texts(lake: Path, key: str, stream: str) -> Iterator[bytes]:
    kind, _, name = stream.partition(" ")
    match kind:
        case "klines":
            return map(text_of, read_klines(lake, {key}, {name}))
        case "features":
            return map(text_of, read_features(lake, name, {key}))
        case "predictions":
            return (text_of(p) for p in read_predictions(lake, {key}) if p.model == name)
        case "fills":
            return map(text_of, read_fills(lake, {key}))
        case "equity":
            return map(text_of, read_equity(lake, {key}))
    return _signals(lake, key)


def _signals(lake: Path, key: str) -> Iterator[bytes]:
    for part in find(lake, Wanted(Kind.SIGNALS, {key})):
        try:
            with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
                for batch in file.iter_batches():
                    times = batch.column("time").view(pa.int64()).to_pylist()
                    for row, at in zip(batch.to_pylist(), times, strict=True):
                        yield _signal(row, at)
        except BROKEN as error:
            raise FileError(part.path, str(error)) from error


def _signal(row: dict[str, Any], close_us: int) -> bytes:
    names = ("interval", "strategy", "instance", "side", "reason", "values")
    fields = {name: row[name] for name in names}
    fields["price"] = to_text(int(row["price"].scaleb(SUM.scale)), SUM.scale)
    return sorted_text(fields | {"close_ms": str(close_us // 1000)})


def _absent(stored: dict[_Mark, list[bytes]], window: list[bytes], names: _Mark) -> bytes | None:
    marks = {tuple(orjson.loads(text)[name] for name in names) for text in window}
    times = sorted(int(mark[0]) for mark in marks)
    for mark in sorted(stored, key=_time):
        if times and times[0] <= int(mark[0]) <= times[-1] and mark not in marks:
            return stored[mark][-1]
    return None


def _time(mark: _Mark) -> int:
    return int(mark[0])


def _named(row: dict[str, str]) -> str:
    if "time_us" in row:
        what = "fill" if "side" in row else "equity"
        return f"{what} of {row['instance']} at {time_text(int(row['time_us']))}"
    at = time_text(int(row.get("open_ms") or row["close_ms"]) * 1000)
    if "instance" in row:
        return f"signal of {row['instance']} at {at}"
    if "model" in row:
        return f"prediction of {row['model']} for {at}"
    if "features" in row:
        return f"row of {row['features']} of {at}"
    return f"kline {row['interval']} of {at}"


def _fields(live: dict[str, str], replayed: dict[str, str]) -> str:
    return ", ".join(
        f"{name} was {live.get(name)}, the replay gives {replayed[name]}"
        for name in replayed
        if live.get(name) != replayed[name]
    )
