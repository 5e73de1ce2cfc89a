"""A rolling hash of what was emitted: two runs that say the same have the same last link.

    link[n] = BLAKE2b(link[n-1] + canonical text of record n)

The text is the record as Redis shows it, but for `seq`: where a run went on after a crash, a kline
may be closed by a trade where a tick had closed it, which moves its place and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

import orjson

from core.market.errors import SnapshotError
from core.market.kline import Kline, Status
from core.market.ml import FeatureRow, Prediction
from core.market.paper import Equity, Fill
from core.market.records import (
    equity_fields,
    feature_fields,
    fill_fields,
    kline_fields,
    prediction_fields,
    signal_fields,
)
from core.market.signal import Signal

Chained: TypeAlias = Kline | Signal | Fill | Equity | FeatureRow | Prediction
"""What is in a chain."""

SIGNALS = "signals"
FILLS = "fills"
EQUITY = "equity"
_MARKS = 16
_SIZE = 32
_UNSAID = ("seq", "open_ms", "signal_seq")

_NAMES: dict[type, str] = {Signal: SIGNALS, Fill: FILLS, Equity: EQUITY}

State: TypeAlias = tuple[int, int, bytes, int, tuple[tuple[int, bytes], ...]]


@dataclass(slots=True)
class Chain:
    """The chain of one stream of records.

    Attributes:
        count: Records so far.
        last_seq: Data position of the last one.
        link: The last link, 32 bytes.
        marks: Links at earlier counts, evenly apart, at most 16: where two chains part is between
            two of them.

    """

    count: int = 0
    last_seq: int = -1
    link: bytes = bytes(_SIZE)
    stride: int = 1
    marks: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, text: bytes, seq: int) -> None:
        """Take a record.

        >>> chain = Chain()
        >>> for n in range(100):
        ...     chain.add(b"record %d" % n, n)
        >>> chain.count, [count for count, _ in chain.marks]
        (100, [8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96])
        """
        self.link = blake2b(self.link + text, digest_size=_SIZE).digest()
        self.count += 1
        self.last_seq = seq
        if self.count % self.stride == 0:
            self.marks.append((self.count, self.link))
            if len(self.marks) > _MARKS:
                self.stride *= 2
                self.marks = [mark for mark in self.marks if mark[0] % self.stride == 0]

    def targets(self) -> dict[int, bytes]:
        """Return every link that is known, by count."""
        return {**dict(self.marks), self.count: self.link}

    def snapshot(self) -> State:
        """Return the state as plain values."""
        return self.count, self.last_seq, self.link, self.stride, tuple(self.marks)

    @classmethod
    def restore(cls, state: State) -> "Chain":
        """Return what `snapshot` was taken of."""
        count, last_seq, link, stride, marks = state
        if len(link) != _SIZE:
            raise SnapshotError("a chain of hashes", len(link), _SIZE)
        return cls(count, last_seq, link, stride, list(marks))


def stream_of(record: object) -> str | None:
    """Return the stream that a record belongs to; None for what is in no chain."""
    if isinstance(record, Kline):
        return f"klines {record.interval.name}" if record.status is Status.FINAL else None
    if isinstance(record, FeatureRow):
        return f"features {record.features}"
    if isinstance(record, Prediction):
        return f"predictions {record.model}"
    return next((name for kind, name in _NAMES.items() if isinstance(record, kind)), None)


def text_of(record: Chained) -> bytes:
    """Return the canonical text: JSON of the published fields in their order, without `seq`."""
    if isinstance(record, Signal):
        return sorted_text(signal_fields(record))
    if isinstance(record, Fill):
        return sorted_text(fill_fields(record))
    if isinstance(record, Equity):
        return sorted_text(equity_fields(record))
    row = _fields(record)
    del row["seq"]
    return orjson.dumps(row)


def _fields(record: Kline | FeatureRow | Prediction) -> dict[str, str]:
    if isinstance(record, Kline):
        return kline_fields(record)
    return feature_fields(record) if isinstance(record, FeatureRow) else prediction_fields(record)


def sorted_text(fields: dict[str, str]) -> bytes:
    """Return the canonical text of fields of any record but a kline, in whatever order."""
    return orjson.dumps({k: fields[k] for k in sorted(fields) if k not in _UNSAID})


class Chains:
    """All chains of some instruments, by key and stream."""

    def __init__(self) -> None:
        self.by_key: dict[str, dict[str, Chain]] = {}

    def add(self, record: object) -> str | None:
        """Take a record; return its stream, None for what is in no chain."""
        stream = stream_of(record)
        if stream is not None and isinstance(record, Chained):
            chain = self.by_key.setdefault(record.key, {}).setdefault(stream, Chain())
            chain.add(text_of(record), record.seq)
        return stream

    def map(self, told: Callable[[Chain], object]) -> dict[str, dict[str, object]]:
        """Return the same tree with `told` of each chain."""
        return {
            key: {stream: told(chain) for stream, chain in streams.items()}
            for key, streams in self.by_key.items()
        }
