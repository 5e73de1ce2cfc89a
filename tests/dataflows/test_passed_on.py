"""What the klines step passes on to strategies: the same at the same places, however it was cut."""

import pickle
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.market.events import Gap, GapOpened, Item, Tick
from core.market.intervals import MINUTE_US, interval
from core.market.kline import Kline
from core.market.trades import Trades
from dataflows.klines import Glimpse, KlinePlan, KlinesLogic, Out

KEY = "binance:BTCUSDT"
SECOND = 1_000_000
PLAN = KlinePlan(
    interval("1m"),
    (interval("1m"), interval("5m")),
    passes=frozenset({"trades", "forming", "quality"}),
)

# Steps of time in milliseconds; some fall, as they do for trades that come late.
STEPS = st.lists(
    st.one_of(st.integers(0, 900), st.integers(5_000, 90_000), st.just(-40_000)),
    min_size=1,
    max_size=60,
)


def market(steps: list[int]) -> Trades:
    times = np.maximum(np.cumsum(steps) * 1000 + 10 * MINUTE_US, 0)
    n = len(steps)
    prices = np.where(np.arange(n) % 7 == 6, 0, 100 + np.arange(n) % 13)  # some are bookkeeping
    return Trades(
        KEY, 1, 1, np.arange(n), times.astype(np.int64), prices.astype(np.int64),
        np.ones(n, np.int64), np.zeros(n, np.bool_),
    )  # fmt: skip


def passed(items: Iterable[list[Item]], *, restart: bool = False) -> list[Out]:
    logic = KlinesLogic(None, plan=PLAN)
    out: list[Out] = []
    for batch in items:
        out += logic.on_batch(batch)[0]
        if restart:
            logic = KlinesLogic(pickle.loads(pickle.dumps(logic.snapshot())), plan=PLAN)
    return out


def shown(out: list[Out]) -> list[object]:
    """Trades row by row: where they are cut is nobody's business."""
    found: list[object] = []
    for item in out:
        found += item.rows() if isinstance(item, Trades) else [item]
    return found


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, cuts=st.lists(st.integers(0, 60), max_size=8), restart=st.booleans())
def test_it_is_the_same_however_the_trades_are_batched(
    steps: list[int], cuts: list[int], restart: bool
) -> None:
    rows = market(steps)
    whole = shown(passed([[rows]]))
    edges = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
    parts: list[list[Item]] = [[rows.take(slice(a, b))] for a, b in pairwise(edges)]
    assert shown(passed(parts, restart=restart)) == whole


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_a_kline_stands_before_the_first_trade_behind_its_end(steps: list[int]) -> None:
    out = passed([[market(steps)], [Tick(KEY, 10**15)]])
    reached = 0
    for item in out:
        if isinstance(item, Trades):
            assert item.is_trade.all()
            reached = max(reached, int(item.time_us.max()))
            assert len(item)
        elif isinstance(item, Kline) and not item.revision:
            assert reached <= item.close_us


def test_all_real_trades_are_passed_on_once() -> None:
    rows = market([100] * 50)
    ids = [i for item in passed([[rows]]) if isinstance(item, Trades) for i in item.id.tolist()]
    assert ids == rows.id[rows.is_trade].tolist()


def test_a_glimpse_shows_the_trades_of_the_whole_seconds_before_it() -> None:
    steps = [0, 400, 400, 400, 3_000, 500, 70_000]
    rows = market(steps)
    out = passed([[rows], [Tick(KEY, 10 * MINUTE_US + 75 * SECOND)]])
    seen = [
        (g.time_us // SECOND - 600, g.kline.interval.name, g.kline.trades)
        for g in out
        if isinstance(g, Glimpse)
    ]
    # Trades at 0.0 0.4 0.8 | 1.2 | 4.2 4.7 (the seventh is bookkeeping) of the first minute.
    assert seen == [
        (1, "1m", 3), (1, "5m", 3), (2, "1m", 4), (2, "5m", 4), (5, "1m", 6), (5, "5m", 6),
        (75, "5m", 6),
    ]  # fmt: skip


def test_a_second_in_which_nothing_was_traded_gives_no_glimpse() -> None:
    ticks: list[list[Item]] = [[Tick(KEY, 10 * MINUTE_US + n * SECOND)] for n in range(1, 20)]
    out = passed([[market([0])], *ticks])
    assert [g.time_us for g in out if isinstance(g, Glimpse)] == [601 * SECOND] * 2


def test_what_is_wrong_with_the_data_keeps_its_place() -> None:
    rows = market([0, 1_000, 1_000])
    opened, gap = GapOpened(KEY, 1, 1, 5, 6), Gap(KEY, 1, 2, 5, 6, "gone")
    out = passed([[rows.take(slice(0, 1)), opened, rows.take(slice(1, 2)), gap]])
    kinds = [type(item).__name__ for item in out if not isinstance(item, Glimpse)]
    assert kinds == ["Trades", "GapOpened", "Trades", "Gap"]


def test_nothing_is_passed_on_that_nobody_asked_for() -> None:
    plan = KlinePlan(interval("1m"), (interval("1m"),))
    logic = KlinesLogic(None, plan=plan)
    gap = Gap(KEY, 1, 2, 5, 6, "gone")
    out, _ = logic.on_batch([market([0, 70_000]), gap])
    assert [type(item) for item in out] == [Kline]
