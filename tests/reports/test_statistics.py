"""Figures of an account against ones computed by hand."""

import sys
from decimal import Decimal

import numpy as np
import pytest

from core.market.errors import ServiceError
from core.market.intervals import DAY_US, HOUR_US, MINUTE_US
from core.paper.trips import Trip
from reports.statistics import Series, Statistics, drawdown_of, sampled, statistics


def series(equity: list[float], step: int = DAY_US, price: list[float] | None = None) -> Series:
    count = len(equity)
    times = (np.arange(count, dtype=np.int64) + 1) * step - 1
    prices = np.array(price or [100.0] * count)
    side = np.array([0] + [1] * (count - 1), dtype=np.int8)
    return Series(times, np.array(equity, dtype=float), prices, side)


def trip(profit: int, *, is_open: bool = False) -> Trip:
    end_us = 0 if is_open else 3 * HOUR_US
    one = Decimal(1)
    return Trip("long", one, HOUR_US, Decimal(100), end_us, one, one, Decimal(profit), "", "")


def figures(of: Series, *trips: Trip) -> Statistics:
    end = Decimal(str(of.equity[-1]))
    return statistics(of, trips, cash=Decimal(100), equity=end, fees=Decimal(2))


def test_ratios_are_those_of_the_textbook() -> None:
    growth = [1.01, 0.98, 1.03, 1.0, 0.99] * 8
    market = [1.02, 0.99, 1.01, 1.0, 0.98] * 8
    of = figures(series(list(np.cumprod([100, *growth])), price=list(np.cumprod([1, *market]))))
    returns, others = np.array(growth) - 1, np.array(market) - 1
    assert (of.sampling, of.samples) == ("kline", 40)  # each of a day
    deviation = returns.std(ddof=1)
    assert of.sharpe == pytest.approx(returns.mean() / deviation * 365**0.5)
    assert of.volatility == pytest.approx(deviation * 365**0.5)
    assert of.annual_return == pytest.approx(np.prod(growth) ** (365 / 40) - 1)
    down = np.sqrt((np.minimum(returns, 0) ** 2).mean())
    assert of.sortino == pytest.approx(returns.mean() / down * 365**0.5)
    beta = np.cov(returns, others)[0, 1] / others.var(ddof=1)
    assert of.beta == pytest.approx(beta)
    alpha = (1 + returns.mean() - beta * others.mean()) ** 365 - 1
    assert of.alpha == pytest.approx(alpha)
    assert of.calmar == pytest.approx((of.annual_return or 0) / -of.max_drawdown)
    assert of.buy_and_hold == pytest.approx(np.prod(market) - 1)


def test_counts_and_amounts() -> None:
    of = figures(series([100, 110, 99, 104]), trip(10), trip(-4), trip(0), trip(5, is_open=True))
    assert (of.trades, of.open_trades) == (3, 1)
    assert of.win_rate == pytest.approx(1 / 3)
    assert of.profit_factor == pytest.approx(2.5)
    assert (of.average_win, of.average_loss) == (0.1, -0.02)
    assert of.holding_us == 2 * HOUR_US
    assert of.exposure == 0.75
    assert of.profit == 4
    assert of.total_return == 0.04
    assert of.max_drawdown == pytest.approx(-0.1)
    assert of.as_dict()["fees"] == "2"


def test_drawdowns_last_from_peak_to_peak() -> None:
    lowest, longest = drawdown_of(series([100, 90, 95, 101, 100, 102]))
    assert lowest == pytest.approx(-0.1)
    assert longest == 3 * DAY_US
    assert drawdown_of(series([100, 101, 102]))[1] == 0
    # One that has not ended counts up to the end.
    assert drawdown_of(series([100, 120, 90, 80, 85]))[1] == 3 * DAY_US


@pytest.mark.parametrize(
    "equity", [[100.0], [100.0, 100.0, 100.0, 100.0], [100.0, 50.0, 0.0, 0.0], [100.0, -5.0, -5.0]]
)
def test_what_has_no_ratio_says_so(equity: list[float]) -> None:
    of = figures(series(equity))
    assert of.sharpe is None
    assert of.win_rate is None
    assert of.profit_factor is None


def test_returns_are_of_the_longest_time_that_gives_enough() -> None:
    def name(count: int, step: int) -> tuple[str, int]:
        found, _, at = sampled(series([1.0] * count, step).close_us)
        return found, len(at) - 1

    assert name(40 * 1440, MINUTE_US) == ("day", 40)
    assert name(3 * 1440, MINUTE_US) == ("hour", 72)
    assert name(100, MINUTE_US) == ("kline", 99)
    assert name(50, DAY_US) == ("kline", 49)
    last = sampled(series([1.0] * 3 * 1440, MINUTE_US).close_us)[2]
    assert last[0] == 0
    assert last[-1] == 3 * 1440 - 1


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "empyrical", None)
    with pytest.raises(ServiceError, match=r"pip install 'cryptotools\[backtest\]'"):
        figures(series([100, 101, 102]))
