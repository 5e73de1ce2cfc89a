"""For any stream, however it is cut: the klines that a plain, slow oracle finds, in its order."""

import pickle
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.klines import KlineBuilder
from core.market.events import Gap, Late
from core.market.intervals import INTERVALS, Interval
from core.market.kline import MEASURES, Kline
from core.market.trades import Trades

KEY = "binance:BTCUSDT"
SECOND = 1_000_000
GRACE = SECOND
START = 1_719_791_400 * SECOND  # 2024-06-30 23:50, Sunday: a day, a week and a month end soon


@pytest.fixture(autouse=True, params=[0, 12], scope="module", ids=["columns", "rows"])
def _few_rows(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run all with and without the way for few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.klines.builder.FEW_ROWS", request.param)
        yield


class Trade(NamedTuple):
    id: int
    time_us: int
    price: Decimal
    quantity: Decimal
    maker: bool
    scales: tuple[int, int]


class Tick(NamedTuple):
    time_us: int


Step = Trade | Tick | Literal["gap"]


class Plan(NamedTuple):
    base: Interval
    intervals: tuple[Interval, ...]
    empty: Literal["carry", "skip"]
    keep: int
    max_fill: int


class Oracle:
    """Keeps every trade and computes each kline anew from all of them, in decimals."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.higher = [i for i in plan.intervals if i != plan.base]
        self.trades: list[Trade] = []
        self.held: list[int] = []  # final windows that can still change
        self.lost: list[tuple[int, int]] = []  # ranges in which trades may be missing
        self.open: dict[Interval, int] = {}  # higher windows that have begun
        self.final: set[tuple[Interval, int]] = set()
        self.revisions: defaultdict[tuple[Interval, int], int] = defaultdict(lambda: -1)
        self.cursor = 0  # the first window that is not final
        self.begun = self.current = self.hole = False
        self.witnessed = 1 << 62
        self.watermark = 0
        self.scales = (0, 0)
        self.seq = -1
        self.out: list[tuple[object, ...]] = []

    def feed(self, step: Step) -> None:
        if step == "gap":
            self.hole = True
            if self.begun:
                self.lost.append((self.cursor, self.end(self.cursor)))
        elif isinstance(step, Tick):
            self.tick(step.time_us)
        elif step.price and step.quantity:
            price, quantity = map(max, step.scales, self.scales)
            self.scales = price, quantity
            self.trade(step, self.plan.base.open_of(step.time_us))

    def end(self, open_us: int) -> int:
        return self.plan.base.end_of(open_us)

    def tick(self, time_us: int) -> None:
        self.watermark = max(self.watermark, time_us)
        if not self.begun:
            self.witnessed = min(self.witnessed, time_us)
            return
        reached = self.plan.base.open_of(time_us - GRACE)
        if reached > self.cursor and not self.hole:
            self.advance(reached)
        elif reached > self.cursor and self.current:
            self.close(self.cursor)
            self.current = False

    def trade(self, trade: Trade, at: int) -> None:
        if self.begun and at < self.cursor:
            self.late(trade, at)
            return
        self.watermark = max(self.watermark, trade.time_us)
        if not self.begun:
            self.witnessed = min(self.witnessed, self.end(at))
            self.begun, self.cursor = True, at
        if self.hole:
            self.lost.append((self.cursor, self.end(at)))
        if at > self.cursor:
            self.advance(at)
        self.current, self.hole = True, False
        self.trades.append(trade)

    def advance(self, to: int) -> None:
        if self.current:
            self.close(self.cursor)
        if not self.hole and (to - self.cursor) // self.plan.base.length_us <= self.plan.max_fill:
            while self.cursor < to:
                self.close(self.cursor)
        for interval in reversed(self.higher):
            if interval in self.open and interval.end_of(self.open[interval]) <= to:
                self.emit(interval, self.open.pop(interval))
        self.cursor, self.current = to, True

    def close(self, at: int) -> None:
        self.hold(at)
        self.cursor = self.end(at)
        for interval in reversed(self.higher):
            self.open[interval] = interval.open_of(at)
            if interval.end_of(self.open[interval]) == self.cursor:
                self.emit(interval, self.open.pop(interval))
        self.emit(self.plan.base, at)

    def hold(self, at: int) -> None:
        self.held = sorted({*self.held, at})[-self.plan.keep :]

    def late(self, trade: Trade, at: int) -> None:
        if at < min(self.held, default=self.cursor):
            self.seq = max(self.seq + 1, self.watermark // 1000 << 20)
            self.out.append(("late", trade.id, trade.time_us, self.watermark, self.seq))
            return
        if self.hole or (self.plan.base, at) not in self.final:
            self.lost.append((at, self.end(at)))
        before = self.flats()
        self.trades.append(trade)
        self.hold(at)
        flat = {window for window, price in self.flats().items() if before.get(window) != price}
        for interval in (self.plan.base, *self.higher):
            home = interval.open_of(at)
            forming = interval.open_of(self.cursor)
            amended = [] if home == forming else [home]
            amended += sorted(w for i, w in flat if i == interval and w > home)
            if home == forming:
                self.open[interval] = home
            for window in amended:
                self.emit(interval, window)

    def flats(self) -> dict[tuple[Interval, int], Decimal]:
        return {(i, w): self.price(w) for i, w in self.final if not self.inside(i, w)}

    def inside(self, interval: Interval, at: int) -> list[Trade]:
        end = interval.end_of(at)
        return sorted(t for t in self.trades if at <= t.time_us < end)

    def price(self, at: int) -> Decimal:
        """Return the close of the last window before `at` in which something traded."""
        window = max(self.plan.base.open_of(t.time_us) for t in self.trades if t.time_us < at)
        return self.inside(self.plan.base, window)[-1].price

    def row(self, interval: Interval, at: int) -> tuple[object, ...] | None:
        trades = self.inside(interval, at)
        if interval not in self.plan.intervals or (not trades and self.plan.empty == "skip"):
            return None
        prices = [t.price for t in trades] or [self.price(at)]
        bought = [t for t in trades if not t.maker]
        end = interval.end_of(at)
        touched = any(first < end and at < last for first, last in self.lost)
        return (
            interval.name, at, end - 1,
            prices[0], max(prices), min(prices), prices[-1],
            sum(t.quantity for t in trades), sum(t.quantity for t in bought),
            sum(t.price * t.quantity for t in trades), sum(t.price * t.quantity for t in bought),
            len(trades), trades[0].id if trades else -1, trades[-1].id if trades else -1,
            at >= self.witnessed and not touched, self.scales,
        )  # fmt: skip

    def emit(self, interval: Interval, at: int) -> None:
        self.final.add((interval, at))
        row = self.row(interval, at)
        if row is None:
            return
        self.revisions[interval, at] += 1
        self.seq = max(self.seq + 1, (interval.end_of(at) - 1) // 1000 << 20)
        self.out.append((*row, "final", self.revisions[interval, at], self.seq))

    def forming(self) -> list[tuple[object, ...]]:
        begun = dict(self.open)
        if self.current:
            begun = {i: i.open_of(self.cursor) for i in (self.plan.base, *self.higher)}
        ordered = [(i, begun[i]) for i in (self.plan.base, *self.higher) if i in begun]
        rows = (self.row(i, at) for i, at in ordered)
        return [(*row, "forming", 0, 0) for row in rows if row is not None]


def said(item: Kline | Late) -> tuple[object, ...]:
    if isinstance(item, Late):
        return "late", item.trade_id, item.trade_us, item.time_us, item.seq
    return (
        item.interval.name, item.open_us, item.close_us, *(item.exact(m) for m in MEASURES[:5]),
        item.exact("taker_buy_volume"), item.exact("quote_volume"),
        item.exact("taker_buy_quote_volume"), item.trades, item.first_id, item.last_id,
        item.complete, (item.price_scale, item.quantity_scale), item.status.value, item.revision,
        item.seq,
    )  # fmt: skip


def batch(rows: list[Trade]) -> Trades:
    ps, qs = rows[0].scales
    return Trades(
        KEY, ps, qs,
        np.array([r.id for r in rows], np.int64),
        np.array([r.time_us for r in rows], np.int64),
        np.array([int(r.price.scaleb(ps)) for r in rows], np.int64),
        np.array([int(r.quantity.scaleb(qs)) for r in rows], np.int64),
        np.array([r.maker for r in rows], np.bool_),
    )  # fmt: skip


def feed(build: KlineBuilder, steps: list[Step]) -> list[Kline | Late]:
    """Feed steps that stand together: trades of equal scales as one batch."""
    out: list[Kline | Late] = []
    for _, group in groupby(steps, lambda step: isinstance(step, Trade) and step.scales):
        together = list(group)
        trades = [step for step in together if isinstance(step, Trade)]
        if trades:
            out += build.on_trades(batch(trades))
        for step in together:
            if step == "gap":
                build.on_gap(Gap(KEY, 0, 0, 0, 0, "test"))
            elif isinstance(step, Tick):
                out += build.on_tick(step.time_us)
    return out


def made(plan: Plan) -> KlineBuilder:
    return KlineBuilder(
        KEY, base=plan.base, intervals=plan.intervals, grace_us=GRACE, empty=plan.empty,
        keep=plan.keep, max_fill=plan.max_fill,
    )  # fmt: skip


onward = st.sampled_from([0, 0, 0, 1, 7, 30, 59, 60, 61, 240, 1560, 10_800])
back = st.sampled_from([-1, -30, -60, -90, -300, -3600])
small = st.integers(0, 12) | st.just(7)
draws = st.tuples(
    st.sampled_from(["trade"] * 6 + ["late", "tick", "tick", "early tick", "gap"]),
    onward, back, small, small, st.booleans(),
    st.sampled_from([(0, 0)] * 6 + [(1, 0), (2, 3), (1, 5)]),
    st.integers(0, 3),
    st.sampled_from(["on", "on", "cut", "restart"]),
)  # fmt: skip


def steps_of(rows: list[tuple[Any, ...]]) -> list[Step]:
    """Return a stream of the drawn rows."""
    now, scales, steps = START, (0, 0), list[Step]()
    for i, (kind, dt, ago, price, quantity, maker, own, jitter, _) in enumerate(rows):
        if kind == "gap":
            steps.append("gap")
        elif "tick" in kind:
            steps.append(
                Tick(now + (dt if kind == "tick" else ago) * SECOND + jitter * SECOND // 2)
            )
        else:
            now = max(now, now + dt * SECOND)
            at = now + (ago * SECOND if kind == "late" else 0)
            scales = own if own != (0, 0) else scales
            exact = Decimal(price).scaleb(-scales[0]), Decimal(quantity).scaleb(-scales[1])
            steps.append(Trade(i, at + jitter, *exact, maker, scales))
    return steps


plans = st.builds(
    Plan,
    st.just(INTERVALS["1m"]),
    st.sampled_from([("1m", "3m", "5m", "1h"), ("5m", "1w", "1M"), ("1m",), ("1m", "15m", "1d")])
    .map(lambda names: tuple(INTERVALS[n] for n in names)),
    st.sampled_from(["carry", "skip"]),
    st.sampled_from([1, 3, 120]),
    st.sampled_from([10, 1000]),
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(plans, st.lists(draws, max_size=40))
def test_any_stream_however_cut_or_resumed_gives_the_klines_of_the_oracle(
    plan: Plan, rows: list[tuple[Any, ...]]
) -> None:
    steps = steps_of(rows)
    oracle, build = Oracle(plan), made(plan)
    found: list[Kline | Late] = []
    pending: list[Step] = []
    for step, (*_, cut) in zip(steps, rows, strict=True):
        oracle.feed(step)
        pending.append(step)
        if cut != "on":
            found += feed(build, pending)
            pending = []
            assert [said(kline) for kline in build.forming()] == oracle.forming()
        if cut == "restart":
            build = KlineBuilder.restore(pickle.loads(pickle.dumps(build.snapshot())))
    found += feed(build, pending)
    assert list(map(said, found)) == oracle.out
    seqs = [item.seq for item in found]
    assert seqs == sorted(set(seqs))
