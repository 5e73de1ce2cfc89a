"""Pictures: the same bytes again, nothing from elsewhere, text that stays text."""

import re
import sys
from collections.abc import Callable

import numpy as np
import pytest

from core.market.errors import ServiceError
from core.market.intervals import MINUTE_US
from reports.charts import equity_chart, heat_map, kline_chart
from reports.columns import Candles, Line, Mark, thin

HOSTILE = "<script>alert(1)</script> $x_1$ \"&' #010101"


def candles(count: int) -> Candles:
    dice = np.random.default_rng(1)
    close = 100 + np.cumsum(dice.normal(size=count))
    opens = np.append(100.0, close[:-1])
    times = 1_780_000_000_000_000 + np.arange(count, dtype=np.int64) * MINUTE_US
    high, low = np.maximum(opens, close) + 0.1, np.minimum(opens, close) - 0.1
    return Candles(times, opens, high, low, close)


def klines(count: int = 50, title: str = HOSTILE) -> str:
    given = candles(count)
    at = int(given.close_us[10])
    marks = [Mark(at, 100.0, "long"), Mark(at + 1, 100.5, "buy"), Mark(at - 10**12, 1.0, "sell")]
    return kline_chart(given, marks, overlays=[Line("", given.close_us, given.close)], title=title)


def curves(title: str = HOSTILE) -> str:
    given = candles(3_000)
    line = Line(HOSTILE, given.close_us, given.close)
    return equity_chart([line], Line("hold", given.close_us, given.open), title=title)


def heat(title: str = HOSTILE) -> str:
    rows: list[list[float | None]] = [[1.0, None, -0.5], [0.1, 0.2, 0.0]]
    return heat_map((HOSTILE, [1, 2, 3]), ("b", ["x", HOSTILE]), rows, title=title)


CHARTS = pytest.mark.parametrize("chart", [klines, curves, heat, lambda: klines(1000)])


@CHARTS
def test_the_same_again_is_the_same_bytes(chart: Callable[[], str]) -> None:
    assert chart() == chart()


@CHARTS
def test_nothing_is_fetched_and_nothing_runs(chart: Callable[[], str]) -> None:
    svg = chart()
    assert svg.startswith('<svg role="img"')
    assert not re.search(r"https?:|<script|<style|@import|url\((?!#)", svg)
    assert "&lt;script&gt;" in svg
    # Each thing that is referred to is there, and once.
    ids = re.findall(r'id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', svg)) <= set(ids)


@CHARTS
def test_colours_are_the_page_s(chart: Callable[[], str]) -> None:
    left = set(
        re.findall(r"(?<=[:\s])#[0-9a-f]{6}", re.sub(r">[^<]*<|aria-label=\"[^\"]*\"", "", chart()))
    )
    assert not left


def test_text_keeps_all_its_digits() -> None:
    assert "trade of 1.23456789" in klines(title="trade of 1.23456789").partition("<defs>")[2]


def test_looks_of_the_user_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    before = curves("t")
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
    assert curves("t") == before
    assert matplotlib.rcParams["font.size"] == 30


def test_few_klines_are_candles_and_many_a_line() -> None:
    # A candle that rose is hollow: it has the ground's colour.
    assert klines(150).count("fill: var(--panel)") > 0
    assert klines(3_000).count("fill: var(--panel)") == 0
    assert len(klines(43_200)) < 100_000


def test_fewer_points_keep_each_extreme() -> None:
    given = candles(10_000)
    times, values = thin(given.close_us, given.close, 100)
    assert len(values) <= 202
    assert (np.diff(times) > 0).all()
    assert (values.min(), values.max()) == (given.close.min(), given.close.max())
    assert (times[0], times[-1]) == (given.close_us[0], given.close_us[-1])
    assert thin(times, values, 1000)[1] is values


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ServiceError, match=r"pip install 'cryptotools\[backtest\]'"):
        curves()
