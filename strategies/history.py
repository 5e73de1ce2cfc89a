"""The last klines of one instrument and interval, packed: a new instance warms up from them.

A kline takes 190 bytes here and 500 as an object, so 500 symbols with five intervals of 500 klines
each take 240 MB. A snapshot is one byte string, written in microseconds.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import merge
from struct import Struct

from core.market.errors import SnapshotError
from core.market.intervals import DAY_US, Interval
from core.market.kline import Kline

# Open and close time, scales, four prices, the sums of 128 bits, trades, ids, and what is said
# about the kline. The volumes of a window may exceed 64 bits at fine scales.
_ROW = Struct("<qqBB4q16s16s16s16sqqq?iq")
_LAYOUT = f"kline {_ROW.format}"


class History:
    """At most `keep` final klines, in the order of their windows."""

    __slots__ = ("_interval", "_key", "_rows", "keep", "last_open_us")

    def __init__(self, key: str, interval: Interval, keep: int) -> None:
        self._key = key
        self._interval = interval
        self._rows: deque[bytes] = deque(maxlen=keep)
        self.keep = keep
        # Start of the newest window; before all windows as long as there is none.
        self.last_open_us = -(2**63)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Kline]:
        return map(self._unpacked, self._rows)

    @property
    def last(self) -> Kline | None:
        """The newest; None where there is none."""
        return self._unpacked(self._rows[-1]) if self._rows else None

    def add(self, kline: Kline) -> None:
        """Take the kline of a later window than all before."""
        self._rows.append(_packed(kline))
        self.last_open_us = kline.open_us

    def grow(self, keep: int) -> None:
        """Keep at least so many."""
        if keep > self.keep:
            self.keep = keep
            self._rows = deque(self._rows, maxlen=keep)

    def prepend(self, klines: Iterable[Kline]) -> int:
        """Put klines before those kept, as many as may be; return how many.

        Those of windows that are kept already, and forming ones, are left out.
        """
        first_us = self._unpacked(self._rows[0]).open_us if self._rows else None
        older = [k for k in klines if first_us is None or k.open_us < first_us]
        room = self.keep - len(self._rows)
        taken = older[len(older) - room :] if room < len(older) else older
        self._rows.extendleft(_packed(k) for k in reversed(taken))
        if first_us is None and taken:
            self.last_open_us = taken[-1].open_us
        return len(taken)

    def take_until(self, close_us: int) -> list[Kline]:
        """Remove the oldest klines, up to those that end at `close_us`, and return them."""
        taken: list[Kline] = []
        while self._rows:
            kline = self._unpacked(self._rows[0])
            if kline.close_us > close_us:
                break
            taken.append(kline)
            self._rows.popleft()
        return taken

    def replace(self, kline: Kline) -> bool:
        """Put a kline in the place of the one with the same window; say whether there was one."""
        start = kline.open_us.to_bytes(8, "little", signed=True)
        for i in range(len(self._rows) - 1, -1, -1):
            if self._rows[i].startswith(start):
                self._rows[i] = _packed(kline)
                return True
        return False

    def snapshot(self) -> tuple[str, bytes]:
        """Return the layout of a row, and all rows."""
        return (_LAYOUT, b"".join(self._rows))

    def restore(self, snapshot: tuple[str, bytes]) -> None:
        """Go on from a snapshot, whatever the `keep` it was taken with.

        Raises:
            SnapshotError: Its rows have another layout.

        """
        layout, rows = snapshot
        if layout != _LAYOUT or len(rows) % _ROW.size:
            raise SnapshotError("kept klines", f"{layout}, {len(rows)} bytes", _LAYOUT)
        starts = range(0, len(rows), _ROW.size)
        self._rows = deque((rows[i : i + _ROW.size] for i in starts), maxlen=self.keep)
        if self._rows:
            self.last_open_us = self._unpacked(self._rows[-1]).open_us

    def _unpacked(self, row: bytes) -> Kline:
        (open_us, close_us, price_scale, quantity_scale, open_, high, low, close,
         volume, quote, taker, taker_quote,
         trades, first, last, complete, revision, seq) = _ROW.unpack(row)  # fmt: skip
        return Kline(
            self._key,
            self._interval,
            open_us,
            close_us,
            price_scale,
            quantity_scale,
            open_,
            high,
            low,
            close,
            volume_units=_int(volume),
            quote_volume_units=_int(quote),
            trades=trades,
            taker_buy_volume_units=_int(taker),
            taker_buy_quote_volume_units=_int(taker_quote),
            first_id=first,
            last_id=last,
            complete=complete,
            revision=revision,
            seq=seq,
        )


def in_order(histories: Iterable[Iterable[Kline]]) -> Iterator[Kline]:
    """Return the klines of several histories by the time they end.

    Of those that end together the longest come first, and among equally long ones those of the
    earlier history: as the flow gives them.
    """
    return merge(*histories, key=lambda kline: (kline.close_us, -_length_of(kline.interval)))


def _length_of(interval: Interval) -> int:
    return interval.length_us or 31 * DAY_US


def _packed(kline: Kline) -> bytes:
    return _ROW.pack(
        kline.open_us,
        kline.close_us,
        kline.price_scale,
        kline.quantity_scale,
        kline.open_units,
        kline.high_units,
        kline.low_units,
        kline.close_units,
        _bytes(kline.volume_units),
        _bytes(kline.quote_volume_units),
        _bytes(kline.taker_buy_volume_units),
        _bytes(kline.taker_buy_quote_volume_units),
        kline.trades,
        kline.first_id,
        kline.last_id,
        kline.complete,
        kline.revision,
        kline.seq,
    )


def _bytes(units: int) -> bytes:
    return units.to_bytes(16, "little", signed=True)


def _int(field: bytes) -> int:
    return int.from_bytes(field, "little", signed=True)
