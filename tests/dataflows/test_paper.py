"""The step of the paper portfolio: what it takes, what it says, what it keeps."""

import pickle
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from core.market.events import Gap, InstanceChanged, StrategyErrored
from core.market.intervals import interval
from core.market.paper import Equity, Fill
from core.paper.config import PaperConfig
from dataflows.paper import PaperLogic, Said, run_paper
from telemetry import metrics
from tests.core.paper.stream import (
    KEY,
    SECOND_US,
    kline,
    removed,
    signal,
    trades,
)

FREE = PaperConfig(fee_bps=Decimal(0), slippage_bps=Decimal(0))
OTHER = "binance:ETHUSDT"


def step(items: Iterable[Said], config: PaperConfig = FREE) -> list[Fill | Equity]:
    logic = PaperLogic(None, config=config, total="1m")
    rows, done = logic.on_batch(list(items))
    assert not done
    return list(rows)


def prices(rows: Iterable[Fill | Equity]) -> list[Decimal]:
    return [row.price for row in rows if isinstance(row, Fill)]


STREAM: list[Said] = [
    kline(0, 10_000), signal(0, "long"), signal(0, "short", "b"),
    trades([(50 * SECOND_US, 1), (61 * SECOND_US, 10_100), (62 * SECOND_US, 10_200)]),
    kline(1, 10_100, 10_200, count=2), signal(1, "flat"),
    kline(2, 10_200, count=0), signal(2, "long", "b"),
    trades([(181 * SECOND_US, 9_000)]), kline(3, 9_000),
    removed(200 * SECOND_US, "b"), trades([(241 * SECOND_US, 9_500)]), kline(4, 9_500),
]  # fmt: skip


def test_trades_fill_at_the_first_row_behind_the_signal() -> None:
    rows = step(STREAM)
    assert prices(rows) == [101, 101, 90, 90, 95]
    assert [row.instance for row in rows if isinstance(row, Fill)] == ["a", "b", "a", "b", "b"]


def test_with_klines_alone_opens_fill() -> None:
    # The last one: the window in which `b` was removed opened before; the next one fills.
    rows = step(item for item in STREAM if not hasattr(item, "buyer_is_maker"))
    assert prices(rows) == [101, 101, 90, 90, 95]


def test_other_events_and_klines_issued_again_are_passed_over() -> None:
    others: list[Said] = [
        Gap(KEY, 1, 1, 1, 2, "gone"),
        StrategyErrored(KEY, 1, 1, "a", "why"),
        InstanceChanged(KEY, 1, 1, "c", "a", "paused", ""),
        InstanceChanged(KEY, 1, 1, "c", "a", "refused", "no"),
        replace(kline(0, 1), revision=1),
    ]
    mixed = [other for item in STREAM for other in (item, *others)]
    assert step(mixed) == step(STREAM)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_batches_and_snapshots_between_them_change_no_row(size: int) -> None:
    logic, rows = PaperLogic(None, config=FREE, total="1m"), list[Fill | Equity]()
    for start in range(0, len(STREAM), size):
        rows += logic.on_batch(STREAM[start : start + size])[0]
        state = pickle.loads(pickle.dumps(logic.snapshot()))
        logic = PaperLogic(state, config=FREE, total="1m")
    assert rows == step(STREAM)


def test_a_step_that_has_seen_nothing_keeps_nothing() -> None:
    assert PaperLogic(None, config=FREE, total="1m").snapshot() is None


def test_what_buys_nothing_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    small = PaperConfig(size_mode="base", size=Decimal("0.0001"))
    before = metrics.total(metrics.PAPER_NOTICES, kind="unfilled")
    items: list[Said] = [kline(0, 10_000)]
    for n in range(4):
        items += [signal(n, "long"), kline(n + 1, 10_000)]
    with caplog.at_level("WARNING", logger="cryptotools.paper"):
        assert step(items, small) == []
    (said,) = [r.getMessage() for r in caplog.records if r.name == "cryptotools.paper"]
    assert said.startswith("binance:BTCUSDT: the paper account of a is unfilled: ")
    assert metrics.total(metrics.PAPER_NOTICES, kind="unfilled") == before + 4


def test_a_bankrupt_account_is_said(caplog: pytest.LogCaptureFixture) -> None:
    items: list[Said] = [kline(0, 10_000), signal(0, "short"), kline(1, 10_000, 90_000)]
    with caplog.at_level("WARNING", logger="cryptotools.paper"):
        rows = step(items)
    assert [row.reason for row in rows if isinstance(row, Fill)][-1].startswith("bankrupt")
    assert "of a is bankrupt: the equity was" in caplog.text


def test_each_instrument_has_accounts_of_its_own() -> None:
    items = [(item.key, item) for item in STREAM]
    items += [(OTHER, replace(item, key=OTHER)) for item in STREAM]
    out: list[tuple[str, Fill | Equity]] = []
    flow = Dataflow("test")
    said = op.input("in", flow, TestingSource(items))
    op.output("out", run_paper(said, FREE, interval("1m")), TestingSink(out))
    run_main(flow)
    expected = step(STREAM)
    assert [row for key, row in out if key == KEY] == expected
    assert [replace(row, key=KEY) for key, row in out if key == OTHER] == expected
