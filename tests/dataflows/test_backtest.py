"""A back-test: nothing leaks out of the warm-up, out of the future, or over the end."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.shutdown import STOP
from core.market.errors import ConfigError, FileError, StrategyError
from core.market.intervals import MINUTE_US, interval
from core.market.kline import Kline
from core.market.paper import Fill
from dataflows import backtest
from dataflows.backtest import find_data, plan_for, window_for
from dataflows.backtest_window import WindowLogic
from dataflows.klines import KlinePlan
from dataflows.paper import Said
from strategies.spec import InstanceSpec
from tests.dataflows.backtests import KEY, SPECS, START_US, job_of, ran, walk, write

ROWS = 400


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data"), walk(ROWS))


def at(minute: int) -> datetime:
    return datetime.fromtimestamp((START_US + minute * MINUTE_US) / 1e6, UTC)


def fills(found: backtest.Ran) -> list[Fill]:
    return sorted(
        (fill for own in found.collected.fills.values() for fill in own), key=lambda f: f.seq
    )


def test_klines_of_six_columns_are_traded_on(tmp_path: Path) -> None:
    rows = walk(ROWS)
    whole = ran(write(tmp_path / "whole", rows)).collected
    path = tmp_path / "BTC_USDT-1m.json"
    prices = [[first, max(first, last) + 2, min(first, last) - 2, last] for first, last in rows]
    path.write_text(
        json.dumps(
            [
                [START_US // 1000 + n * 60_000, *(price / 100 for price in four), 1.111]
                for n, four in enumerate(prices)
            ]
        )
    )
    plain = ran(path).collected
    assert plain.fills == whole.fills
    assert all(plain.fills.values())


@settings(max_examples=12, deadline=None)
@given(cut=st.integers(100, ROWS - 20), seed=st.integers(2, 10_000))
def test_the_future_changes_nothing_before_it(cut: int, seed: int) -> None:
    STOP.clear()
    rows = walk(ROWS)
    other = rows[:cut] + [(a // 2 + 3_000, b // 2 + 3_000) for a, b in walk(ROWS, seed)[cut:]]
    until_us = START_US + cut * MINUTE_US
    with TemporaryDirectory() as folder:
        one = ran(write(Path(folder) / "a", rows), warmup="lookback").collected
        two = ran(write(Path(folder) / "b", other), warmup="lookback").collected
    seen = 0
    for account in one.fills:
        before = [fill for fill in one.fills[account] if fill.time_us < until_us]
        assert before == [fill for fill in two.fills[account] if fill.time_us < until_us]
        ours, theirs = one.worth[account], two.worth[account]
        end = sum(us < until_us for us in ours.close_us)
        assert ours.close_us[:end] == theirs.close_us[:end]
        assert ours.equity[:end] == theirs.equity[:end]
        seen += len(before)
    assert seen > 5
    assert one.fills != two.fills


def test_a_fill_has_the_next_open_and_never_the_close_of_its_signal(file: Path) -> None:
    found = ran(file, warmup="lookback").collected
    klines = found.klines[KEY, "1m"]
    opens = dict(zip(klines.close_us, klines.open, strict=True))
    closes = dict(zip(klines.close_us, klines.close, strict=True))
    count = 0
    for account, own in found.fills.items():
        by_seq = {signal.seq: signal for signal in found.signals[account]}
        for fill in own:
            close_us = by_seq[fill.signal_seq].close_us
            assert fill.time_us == close_us + 1
            assert float(fill.price) == opens[close_us + MINUTE_US]
            assert float(fill.price) != closes[close_us]
            count += 1
    assert count > 50


def test_no_signal_of_the_warm_up_is_filled(file: Path) -> None:
    found = ran(file)
    opening = found.collected.openings[KEY]
    needed = dict(found.collected.window.warmup)["1m"]
    assert opening.begin_us == START_US + needed * MINUTE_US - 1
    early = [s for own in found.collected.signals.values() for s in own
             if s.close_us < opening.begin_us]  # fmt: skip
    assert len(early) > 5
    assert len(fills(found)) > 20
    assert all(fill.time_us > opening.begin_us for fill in fills(found))


def test_where_the_data_begin_changes_nothing_behind_the_warm_up(tmp_path: Path) -> None:
    rows = walk(ROWS)
    whole = ran(write(tmp_path / "a", rows), start=at(250))
    lines = (tmp_path / "a" / "BTCUSDT-1m.csv").read_text().splitlines(keepends=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "BTCUSDT-1m.csv").write_text("".join(lines[100:]))
    later = ran(tmp_path / "b" / "BTCUSDT-1m.csv", start=at(250))
    assert len(fills(whole)) > 20
    # Reasons tell indicators to one place, which is less than what is left of the beginning.
    assert fills(later) == fills(whole)
    assert fills(whole)[0].time_us >= START_US + 250 * MINUTE_US


def test_nothing_behind_the_end_is_seen(file: Path, tmp_path: Path) -> None:
    cut = ran(write(tmp_path, walk(ROWS)[:300]), warmup="lookback")
    found = ran(file, warmup="lookback", end=at(300))
    assert fills(found) == fills(cut)
    for account, own in found.collected.worth.items():
        assert own.equity == cut.collected.worth[account].equity
    assert found.collected.signals == cut.collected.signals
    assert len(found.collected.klines[KEY, "1m"]) == 300


def test_longer_klines_are_folded_from_those_of_the_file(file: Path) -> None:
    spec = SPECS[1].model_copy(update={"interval": "5m"})
    found = ran(file, [spec], warmup="lookback").collected
    assert set(found.klines) == {(KEY, "5m")}
    assert len(found.klines[KEY, "5m"]) == ROWS // 5
    assert found.fills


def test_the_step_goes_on_from_a_snapshot(file: Path) -> None:
    window = window_for(SPECS)
    needed = dict(window.warmup)["1m"]
    one = Kline(
        KEY, interval("1m"), 0, MINUTE_US - 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0
    )  # fmt: skip
    klines: list[Said] = [replace(one, open_us=n, close_us=n + 1) for n in range(needed)]
    logic = WindowLogic(None, window=window)
    logic.on_batch(klines[:-1])
    assert logic.snapshot()[0] == 0  # type: ignore[index]  # its state is a tuple
    again = WindowLogic(logic.snapshot(), window=window)
    again.on_batch(klines[-1:])
    assert again.snapshot()[0] == needed  # type: ignore[index]  # likewise


def test_what_cannot_be_is_said(file: Path, tmp_path: Path) -> None:
    hourly = write(tmp_path, walk(10), "BTCUSDT-1h.csv")
    with pytest.raises(ConfigError, match="klines of 1m cannot be made of those of 1h"):
        plan_for(find_data([hourly]), KlinePlan(interval("1m"), ()), SPECS)
    with pytest.raises(FileError, match=r"klines of 1h and 1m: test on one interval"):
        plan_for(find_data([hourly, file]), KlinePlan(interval("1m"), ()), SPECS)
    with pytest.raises(FileError, match=r"no data of ETHUSDT: BTCUSDT"):
        find_data([file], ["ethusdt"])
    with pytest.raises(ConfigError, match="is not behind"):
        window_for(SPECS, start=at(5), end=at(5))
    pair = InstanceSpec(name="rsi_reversal", symbols=("A1",), legs={"b": "B1"})
    with pytest.raises(StrategyError, match="several symbols"):
        window_for([pair])


def test_a_run_that_was_stopped_has_no_result(file: Path) -> None:
    job = job_of(file)
    STOP.set()
    with pytest.raises(KeyboardInterrupt):
        backtest.run(job)


def test_a_single_symbol_names_files_that_do_not(tmp_path: Path) -> None:
    path = write(tmp_path, walk(5), "mine.csv")
    (one,) = find_data([path], ["ethusdt"]).archives
    assert one.key == "binance:ETHUSDT"
    with pytest.raises(FileError, match="use --symbol"):
        find_data([path])
