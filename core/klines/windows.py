"""The windows of one interval: the one that is forming, and final ones that may still change."""

from dataclasses import dataclass

from core.klines.merge import EMPTY, Fold, merge, rescaled
from core.market.errors import SnapshotError
from core.market.intervals import Interval
from core.market.kline import Kline, Status

WindowState = tuple[int, ...]
SeriesState = tuple[WindowState | None, tuple[WindowState, ...]]

_OWN_FIELDS = 5


@dataclass(slots=True)
class Window:
    """One window and what is known of it.

    Attributes:
        open_us: Its start, microseconds since the epoch.
        end_us: Its end, exclusive.
        carried: The price before it, in units; its own price as long as nothing trades.
        complete: Whether all its trades were seen.
        revision: -1 until it is issued, then 0, then one more each time it is issued again.

    """

    open_us: int
    end_us: int
    carried: int
    complete: bool
    revision: int = -1
    fold: Fold = EMPTY

    @property
    def is_empty(self) -> bool:
        """Whether nothing traded."""
        return self.fold.last_id == -1

    @property
    def close(self) -> int:
        """Price at the end of the window, in units."""
        return self.carried if self.is_empty else self.fold.close

    def add(self, fold: Fold) -> None:
        """Add trades."""
        self.fold = merge(self.fold, fold)

    def rescale(self, price: int, quantity: int) -> None:
        """Hold everything in units finer by these factors."""
        self.carried *= price
        self.fold = rescaled(self.fold, price, quantity)

    def to_kline(
        self, key: str, interval: Interval, scales: tuple[int, int], status: Status, seq: int = 0
    ) -> Kline:
        """Return the kline as it stands; `scales` are those of price and quantity."""
        fold, price = self.fold, self.carried
        flat = self.is_empty
        return Kline(
            key,
            interval,
            self.open_us,
            self.end_us - 1,
            *scales,
            price if flat else fold.open,
            price if flat else fold.high,
            price if flat else fold.low,
            price if flat else fold.close,
            fold.volume,
            fold.quote_volume,
            fold.trades,
            fold.taker_buy_volume,
            fold.taker_buy_quote_volume,
            max(fold.first_id, -1),
            max(fold.last_id, -1),
            status,
            self.complete,
            max(self.revision, 0),
            seq,
        )

    def snapshot(self) -> WindowState:
        """Return the state as plain integers."""
        own = (self.open_us, self.end_us, self.carried, int(self.complete), self.revision)
        return (*own, *self.fold)

    @classmethod
    def restore(cls, state: WindowState) -> "Window":
        """Return what `snapshot` was taken of."""
        fields = [int(field) for field in state]
        if len(fields) != _OWN_FIELDS + len(EMPTY):
            raise SnapshotError("kline window", len(fields), _OWN_FIELDS + len(EMPTY))
        open_us, end_us, carried, complete, revision, *fold = fields
        return cls(open_us, end_us, carried, bool(complete), revision, Fold(*fold))


class Series:
    """The windows of one interval; `kept` holds final ones by their start, oldest first."""

    __slots__ = ("current", "interval", "kept")

    def __init__(self, interval: Interval) -> None:
        self.interval = interval
        self.current: Window | None = None
        self.kept: dict[int, Window] = {}

    def open_late(self, open_us: int) -> Window:
        """Return the final window that starts at `open_us`.

        One that was never kept lies where a hole or a jump was: it is new, and not complete.
        """
        window = self.kept.get(open_us)
        if window is None:
            window = Window(open_us, self.interval.end_of(open_us), 0, complete=False)
            self.kept[open_us] = window
            self.kept = dict(sorted(self.kept.items()))
        return window

    def flats_after(self, open_us: int) -> list[Window]:
        """Return the empty windows between the one at `open_us` and the next that is not empty."""
        flats: list[Window] = []
        for window in reversed(self.kept.values()):
            if window.open_us <= open_us:
                break
            flats = [*flats, window] if window.is_empty else []
        return flats[::-1]

    def keep_newest(self, count: int) -> None:
        """Forget all final windows but the newest `count`."""
        while len(self.kept) > count:
            del self.kept[next(iter(self.kept))]

    def forget_before(self, time_us: int) -> None:
        """Forget final windows that end at or before `time_us`."""
        while self.kept:
            oldest = next(iter(self.kept.values()))
            if oldest.end_us > time_us:
                break
            del self.kept[oldest.open_us]

    def rescale(self, price: int, quantity: int) -> None:
        """Hold everything in units finer by these factors."""
        for window in self.kept.values():
            window.rescale(price, quantity)
        if self.current is not None:
            self.current.rescale(price, quantity)

    def snapshot(self) -> SeriesState:
        """Return the state as plain values."""
        current = None if self.current is None else self.current.snapshot()
        return current, tuple(window.snapshot() for window in self.kept.values())

    def restore(self, state: SeriesState) -> None:
        """Take over what `snapshot` was taken of."""
        current, kept = state
        self.current = None if current is None else Window.restore(current)
        windows = map(Window.restore, kept)
        self.kept = {window.open_us: window for window in windows}
