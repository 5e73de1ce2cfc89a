"""One instrument's windows of all intervals: a change at the base, and what follows from it above.

    base     |····|····|····|····|····|     built from trades
    higher   |·········|·········|····      each a fold of the base windows inside it

Every method that changes final windows returns them in the order in which they are to be issued.
"""

from typing import TypeAlias

from core.klines.merge import Fold, merge
from core.klines.windows import Series, SeriesState, Window
from core.market.intervals import Interval

Changed: TypeAlias = list[tuple[Interval, Window]]

LadderState: TypeAlias = tuple[int, int | None, int, tuple[SeriesState, ...]]


class Ladder:
    """The base series and those folded from it.

    Attributes:
        cursor_us: Start of the first base window that is not final.
        witnessed_us: A window that starts here or later was seen from its start; None: none was.
        price: Price at the end of the last final base window, in units.

    """

    def __init__(self, base: Interval, higher: tuple[Interval, ...], keep: int) -> None:
        self.base = Series(base)
        self.higher = [Series(interval) for interval in higher]
        self.cursor_us = 0
        self.witnessed_us: int | None = None
        self.price = 0
        self._keep = keep

    @property
    def oldest_us(self) -> int:
        """Start of the oldest base window that can still change."""
        return next(iter(self.base.kept), self.cursor_us)

    def open(self, open_us: int, *, complete: bool = True) -> Window:
        """Return a new base window; `complete` as far as its start was seen."""
        end_us = self.base.interval.end_of(open_us)
        return Window(open_us, end_us, self.price, complete and self._is_witnessed(open_us))

    def close(self, window: Window) -> Changed:
        """Make a base window final, and the higher ones that end with it.

        The longest comes first, so that who sees the shorter one has seen all that end with it.
        """
        changed: Changed = []
        self.base.kept[window.open_us] = window
        self.base.current = None
        self.base.keep_newest(self._keep)
        self.price = window.close
        self.cursor_us = window.end_us
        for series in self.higher:
            current = self._fold_up(series, window, window.fold)
            if window.end_us >= current.end_us:
                changed.append(self._finish(series, current))
        return [*reversed(changed), (self.base.interval, window)]

    def jump(self, open_us: int) -> Changed:
        """Go on at a later base window; what is skipped is unknown. The current one is closed."""
        self.cursor_us = open_us
        return [
            self._finish(series, series.current)
            for series in reversed(self.higher)
            if series.current is not None and series.current.end_us <= open_us
        ]

    def amend(self, open_us: int, fold: Fold, *, complete: bool = True) -> Changed:
        """Add late trades to a final base window, which must not be older than `oldest_us`.

        Empty windows behind it carry its new close.
        """
        window = self.base.open_late(open_us)
        window.add(fold)
        window.complete &= complete
        flats = self._carry_on(window)
        self.base.keep_newest(self._keep)
        changed = [(self.base.interval, one) for one in (window, *flats)]
        for series in self.higher:
            changed += self._amend_higher(series, window, fold, flats)
        return changed

    def lose(self) -> None:
        """Note that trades of all windows that are not final may be missing."""
        for series in (self.base, *self.higher):
            if series.current is not None:
                series.current.complete = False

    def forming(self) -> Changed:
        """Return the unfinished window of each interval, as far as it is known."""
        windows = ((series.interval, self._forming(series)) for series in self.higher)
        found = [(self.base.interval, self.base.current), *windows]
        return [(interval, window) for interval, window in found if window is not None]

    def rescale(self, price: int, quantity: int) -> None:
        """Hold everything in units finer by these factors."""
        self.price *= price
        for series in (self.base, *self.higher):
            series.rescale(price, quantity)

    def snapshot(self) -> LadderState:
        """Return the state as plain values."""
        states = tuple(series.snapshot() for series in (self.base, *self.higher))
        return self.cursor_us, self.witnessed_us, self.price, states

    def restore(self, state: LadderState) -> None:
        """Take over what `snapshot` was taken of."""
        self.cursor_us, self.witnessed_us, self.price, states = state
        for series, saved in zip((self.base, *self.higher), states, strict=True):
            series.restore(saved)

    def _is_witnessed(self, open_us: int) -> bool:
        return self.witnessed_us is not None and open_us >= self.witnessed_us

    def _fold_up(self, series: Series, window: Window, fold: Fold) -> Window:
        # `fold` is what the base window gained: all of it, or a late trade.
        current = series.current
        if current is None:
            open_us = series.interval.open_of(window.open_us)
            end_us = series.interval.end_of(open_us)
            current = Window(open_us, end_us, window.carried, self._is_witnessed(open_us))
            series.current = current
        current.add(fold)
        current.carried = window.carried
        current.complete &= window.complete
        return current

    def _finish(self, series: Series, window: Window) -> tuple[Interval, Window]:
        series.kept[window.open_us] = window
        series.current = None
        series.forget_before(self.oldest_us)
        return series.interval, window

    def _carry_on(self, window: Window) -> list[Window]:
        flats = self.base.flats_after(window.open_us)
        newest = flats[-1] if flats else window
        if newest.open_us == next(reversed(self.base.kept)):
            self.price = window.close
            if self.base.current is not None:
                self.base.current.carried = window.close
        changed = [flat for flat in flats if flat.carried != window.close]
        for flat in changed:
            flat.carried = window.close
        return changed

    def _amend_higher(
        self, series: Series, window: Window, fold: Fold, flats: list[Window]
    ) -> Changed:
        changed: Changed = []
        forming_us = series.interval.open_of(self.cursor_us)
        open_us = series.interval.open_of(window.open_us)
        if open_us == forming_us:
            self._fold_up(series, window, fold)
        else:
            holder = series.open_late(open_us)
            holder.add(fold)
            holder.complete &= window.complete
            changed.append((series.interval, holder))
        for flat in flats:
            open_us = series.interval.open_of(flat.open_us)
            above = series.current if open_us == forming_us else series.kept.get(open_us)
            if above is not None and above.is_empty and above.carried != flat.carried:
                above.carried = flat.carried
                changed += [] if above is series.current else [(series.interval, above)]
        return changed

    def _forming(self, series: Series) -> Window | None:
        own, base = series.current, self.base.current
        if base is None:
            return own
        open_us = series.interval.open_of(base.open_us)
        if own is None:
            end_us = series.interval.end_of(open_us)
            complete = base.complete and self._is_witnessed(open_us)
            return Window(open_us, end_us, base.carried, complete, fold=base.fold)
        return Window(
            own.open_us,
            own.end_us,
            base.carried,
            own.complete and base.complete,
            fold=merge(own.fold, base.fold),
        )
