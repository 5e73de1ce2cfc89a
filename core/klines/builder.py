"""Trades and ticks in, klines out: the state of one instrument between batches.

    run of a later window ─► _enter ─► the current window is final, empty ones are filled in
    tick past the grace  ─┘
    run of an earlier window ─► _late ─► a final window changes and is issued again

The same rows, ticks and gaps in the same order give the same klines, however they were batched.
"""

from typing import Any, Literal, TypeAlias

from core.klines.fold import FEW_ROWS, Run, fold_columns, fold_rows
from core.klines.ladder import Changed, Ladder
from core.klines.merge import Fold, fold_of, rescaled
from core.klines.windows import Window
from core.market.errors import ConfigError, SnapshotError
from core.market.events import Gap, Late
from core.market.intervals import INTERVALS, Interval, interval
from core.market.kline import Kline, Status
from core.market.position import Positions
from core.market.trades import Trades

Out: TypeAlias = Kline | Late

_VERSION = "klines-2"


class KlineBuilder:
    """Builds the klines of one instrument.

    A kline's `seq` stands at the end of its window, or behind what was issued later; its scales are
    the finest seen when it was issued.

    Args:
        key: The instrument's key.
        base: What is built from trades; of a fixed length (1m or 1s).
        intervals: What is issued. All are folded from the base, which is issued only if named.
        grace_us: How far a tick must be past a window's end to close it.
        empty: ``carry`` issues a window without trades as a flat kline at the price before it,
            from the first trade on; ``skip`` issues none.
        keep: How many final windows of the base can still take a late trade. An older one is in
            no kline and becomes a `Late`.
        max_fill: More empty windows than this in a row are not issued, whatever `empty` says, so
            that one wrong timestamp cannot exhaust the memory. What follows is as usual.

    Raises:
        ConfigError: An interval that cannot be folded from the base.

    """

    def __init__(
        self,
        key: str,
        *,
        base: Interval,
        intervals: tuple[Interval, ...],
        grace_us: int = 1_000_000,
        empty: Literal["carry", "skip"] = "carry",
        keep: int = 120,
        max_fill: int = 100_000,
    ) -> None:
        _check(base, intervals)
        self.key = key
        self.base = base
        self.intervals = tuple(i for i in INTERVALS.values() if i in intervals)
        self.price_scale = self.quantity_scale = 0
        self._config = grace_us, empty, keep, max_fill
        self._grace_us = grace_us
        self._carries = empty == "carry"
        self._issues_base = base in intervals
        self._max_fill = max_fill
        self._ladder = Ladder(base, tuple(i for i in self.intervals if i != base), keep)
        self._positions = Positions()
        self._watermark_us = 0
        self._begun = False  # a trade or kline was seen
        self._hole = False  # trades are missing before the next one
        self._in_break = False
        self._factors = 1, 1  # from the scales of the batch at hand to ours
        self._out: list[Out] = []

    def on_trades(self, trades: Trades) -> list[Out]:
        """Take trades in id order; return what became final or changed, in order of emission."""
        few = len(trades) <= FEW_ROWS
        runs = fold_rows(trades, self.base) if few else fold_columns(trades, self.base)
        if not runs:
            return []
        self._adopt_scales(trades.price_scale, trades.quantity_scale)
        for run in runs:
            current = self._ladder.base.current
            if current is None or run.open_us != current.open_us:
                if self._begun and run.open_us < self._ladder.cursor_us:
                    self._late(trades, run)
                    continue
                self._watermark_us = max(self._watermark_us, run.first_us)
                current = self._enter(run.open_us)
            current.add(self._scaled(run.fold))
            self._watermark_us = max(self._watermark_us, run.latest_us)
            self._hole = False
        return self._drain()

    def on_tick(self, time_us: int) -> list[Out]:
        """Take the exchange's time; return what became final by it."""
        self._watermark_us = max(self._watermark_us, time_us)
        ladder = self._ladder
        if not self._begun:
            seen_us = ladder.witnessed_us
            ladder.witnessed_us = time_us if seen_us is None else min(seen_us, time_us)
            return []
        reached_us = self.base.open_of(time_us - self._grace_us)
        if reached_us > ladder.cursor_us:
            if not self._hole:
                self._enter(reached_us)
            elif ladder.base.current is not None:
                # Behind it all is unknown until a trade says how far the hole reaches.
                self._issue(ladder.close(ladder.base.current))
        return self._drain()

    def on_gap(self, gap: Gap) -> None:
        """Note that the trades `gap` names are missing for good between what came and what comes.

        The window that is not yet final is not complete, nor is that of the next trade; windows
        between them are unknown and not issued. A trade that comes late into a final window
        before the hole has ended makes it incomplete too.
        """
        self._hole = True
        self._ladder.lose()

    def on_status(self, status: str) -> None:
        """Take the symbol's trading status: while it is BREAK there are no klines of nothing.

        In a HALT the exchange goes on with flat klines; in a BREAK it gives none (spot_glossary.md,
        binance-public-data#230).
        """
        self._in_break = status == "BREAK"

    def on_kline(self, kline: Kline) -> list[Out]:
        """Take a final kline of the base interval that was built elsewhere: a file, the exchange.

        It stands for all trades of its window. Windows that are missing before it are unknown,
        and so is what lies between it and a trade that follows. One whose window is final
        already changes nothing.

        Raises:
            ConfigError: A kline of another interval than the base.

        """
        if kline.interval != self.base:
            why = f"klines of {kline.interval} cannot be folded as if of {self.base}"
            raise ConfigError("klines.base", why, hint=f"give klines of {self.base}")
        ladder, open_us = self._ladder, self.base.open_of(kline.open_us)
        if self._begun and open_us < ladder.cursor_us:
            return []
        self._adopt_scales(kline.price_scale, kline.quantity_scale)
        self._watermark_us = max(self._watermark_us, kline.close_us)
        if not self._begun or open_us > ladder.cursor_us:
            self._skip_to(open_us)
        window = ladder.open(open_us, complete=kline.complete)
        window.carried = kline.close_units * self._factors[0]
        window.add(self._scaled(fold_of(kline)))
        self._issue(ladder.close(window))
        self._hole = True
        return self._drain()

    def forming(self) -> list[Kline]:
        """Return the unfinished klines in order of interval; they have no place (`seq` 0)."""
        scales = self.price_scale, self.quantity_scale
        return [
            window.to_kline(self.key, of, scales, Status.FORMING)
            for of, window in self._ladder.forming()
            if self._is_issued(of, window)
        ]

    def snapshot(self) -> tuple[object, ...]:
        """Return the state as plain values."""
        names = tuple(i.name for i in self.intervals)
        config = (self.key, self.base.name, names, *self._config)
        state = (
            self.price_scale, self.quantity_scale, self._positions.last, self._watermark_us,
            self._begun, self._hole, self._in_break,
        )  # fmt: skip
        return _VERSION, config, state, self._ladder.snapshot()

    @classmethod
    def restore(cls, state: tuple[object, ...]) -> "KlineBuilder":
        """Return what `snapshot` was taken of, or raise `SnapshotError`."""
        match state:
            case (str(version), tuple(config), tuple(own), tuple(ladder)) if version == _VERSION:
                try:
                    return cls._restored(config, own, ladder)
                except (TypeError, ValueError) as error:
                    raise SnapshotError("klines", f"broken: {error}", _VERSION) from error
        raise SnapshotError("klines", state[0] if state else None, _VERSION)

    @classmethod
    def _restored(
        cls, config: tuple[Any, ...], own: tuple[Any, ...], ladder: tuple[Any, ...]
    ) -> "KlineBuilder":
        key, base, names, grace_us, empty, keep, max_fill = config
        found = cls(
            key,
            base=interval(base),
            intervals=tuple(map(interval, names)),
            grace_us=grace_us,
            empty=empty,
            keep=keep,
            max_fill=max_fill,
        )
        (
            found.price_scale, found.quantity_scale, found._positions.last, found._watermark_us,
            found._begun, found._hole, found._in_break,
        ) = own  # fmt: skip
        cursor_us, witnessed_us, price, series = ladder
        found._ladder.restore((cursor_us, witnessed_us, price, series))
        return found

    def _drain(self) -> list[Out]:
        out, self._out = self._out, []
        return out

    def _adopt_scales(self, price: int, quantity: int) -> None:
        ours = self.price_scale, self.quantity_scale
        if (price, quantity) == ours:
            self._factors = 1, 1
            return
        self.price_scale, self.quantity_scale = max(price, ours[0]), max(quantity, ours[1])
        growth = 10 ** (self.price_scale - ours[0]), 10 ** (self.quantity_scale - ours[1])
        if growth != (1, 1):
            self._ladder.rescale(*growth)
        self._factors = 10 ** (self.price_scale - price), 10 ** (self.quantity_scale - quantity)

    def _scaled(self, fold: Fold) -> Fold:
        return fold if self._factors == (1, 1) else rescaled(fold, *self._factors)

    def _enter(self, open_us: int) -> Window:
        # The window at `open_us` becomes the current one; all before it become final.
        ladder = self._ladder
        if not self._begun:
            end_us = self.base.end_of(open_us)
            seen_us = ladder.witnessed_us
            ladder.witnessed_us = end_us if seen_us is None else min(seen_us, end_us)
            ladder.cursor_us = open_us
            self._begun = True
        elif ladder.base.current is not None:
            self._issue(ladder.close(ladder.base.current))
        if not self._hole:
            self._fill(open_us)
        elif open_us > ladder.cursor_us:
            ladder.lose()
        self._issue(ladder.jump(open_us))
        ladder.base.current = ladder.open(open_us, complete=not self._hole)
        return ladder.base.current

    def _fill(self, open_us: int) -> None:
        ladder = self._ladder
        if (open_us - ladder.cursor_us) // self.base.length_us <= self._max_fill:
            while ladder.cursor_us < open_us:
                self._issue(ladder.close(ladder.open(ladder.cursor_us)))

    def _skip_to(self, open_us: int) -> None:
        # Of what lies before `open_us` some is missing: unlike in a gap, up to there exactly.
        ladder = self._ladder
        ladder.lose()
        if ladder.base.current is not None:
            self._issue(ladder.close(ladder.base.current))
        self._issue(ladder.jump(open_us))
        ladder.witnessed_us = open_us
        self._begun = True

    def _late(self, trades: Trades, run: Run) -> None:
        # Row by row: whoever cut the batch must not decide how often a window is issued again.
        for row in fold_rows(trades, self.base, run.start, run.end):
            if row.open_us >= self._ladder.oldest_us:
                fold = self._scaled(row.fold)
                self._issue(self._ladder.amend(row.open_us, fold, complete=not self._hole))
            else:
                at = self._positions.at(self._watermark_us)
                trade_id = int(trades.id[row.start])
                self._out.append(Late(self.key, self._watermark_us, at, trade_id, row.first_us))

    def _is_issued(self, of: Interval, window: Window) -> bool:
        if not self._issues_base and of is self.base:
            return False
        return not window.is_empty or (self._carries and not self._in_break)

    def _issue(self, changed: Changed) -> None:
        for of, window in changed:
            if self._is_issued(of, window):
                window.revision += 1
                # Not when it was noticed: after a crash other ticks are heard.
                seq = self._positions.at(window.end_us - 1)
                scales = self.price_scale, self.quantity_scale
                self._out.append(window.to_kline(self.key, of, scales, Status.FINAL, seq))


def _check(base: Interval, intervals: tuple[Interval, ...]) -> None:
    if not base.length_us:
        raise ConfigError("klines.base", f"`{base}` has no fixed length", hint="use 1m or 1s")
    for one in intervals:
        if not one.holds(base):
            why = f"`{one}` cannot be folded from klines of {base}"
            raise ConfigError("klines.intervals", why, hint="use a base that divides it")
