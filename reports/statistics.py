"""What a back-test's account did, in figures.

Ratios are empyrical's (https://github.com/stefan-jansen/empyrical-reloaded), of returns per day,
per hour or per kline: the longest of these that gives at least 30 of them. A year has 365 days.
What is counted (trips, fees, drawdowns at closes of klines, exposure) is ours.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.market.decimals import plain
from core.market.errors import ServiceError
from core.market.intervals import DAY_US, HOUR_US
from core.paper.trips import Trip

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

_YEAR_US = 365 * DAY_US
_ENOUGH = 30
EXTRA = "pip install 'cryptotools[backtest]'"


@dataclass(frozen=True, slots=True)
class Series:
    """An account at the closes of its klines, from where it may trade; columns of equal length.

    Attributes:
        close_us: Last microsecond of each kline; the first is that at which the account begins.
        equity: In the quote asset.
        price: Close.
        side: What was held: 1 long, -1 short, 0 nothing.

    """

    close_us: Times
    equity: Floats
    price: Floats
    side: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one account. Fractions, not percent; None: there is no such figure.

    Attributes:
        cash: What it began with.
        equity: What it is worth in the end, exactly.
        profit: Their difference.
        total_return: Profit as a fraction of the cash.
        annual_return: Compound, for a year of the same.
        volatility: Of a year.
        sharpe: Mean return over its deviation, of a year, against a rate of 0.
        sortino: The same with downside deviation only.
        calmar: Annual return over the deepest drawdown.
        alpha: Annual return that buy and hold does not explain.
        beta: How much it moves with buy and hold.
        max_drawdown: Deepest fall below the highest equity before, at closes; not positive.
        drawdown_us: Longest time below a peak, from that peak on.
        trades: Round trips that ended.
        open_trades: 1 if a position is open in the end.
        win_rate: Share of trips that brought a profit after fees.
        profit_factor: What winning trips brought over what the others lost.
        average_win: Mean gain of winning trips, as a fraction of what they cost.
        average_loss: Mean gain of the others.
        holding_us: Mean time from entry to exit.
        exposure: Share of klines at whose close a position was held.
        fees: Paid, exactly.
        buy_and_hold: Return of the price over the same time, no fees.
        sampling: Of what returns the ratios are: ``day``, ``hour``, ``kline``.
        samples: How many those are.

    """

    cash: Decimal
    equity: Decimal
    profit: Decimal
    total_return: float
    annual_return: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    alpha: float | None
    beta: float | None
    max_drawdown: float
    drawdown_us: int
    trades: int
    open_trades: int
    win_rate: float | None
    profit_factor: float | None
    average_win: float | None
    average_loss: float | None
    holding_us: int
    exposure: float
    fees: Decimal
    buy_and_hold: float
    sampling: str
    samples: int

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON: exact amounts as text."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {n: plain(v) if isinstance(v, Decimal) else v for n, v in found.items()}


def statistics(
    series: Series, trips: Sequence[Trip], *, cash: Decimal, equity: Decimal, fees: Decimal
) -> Statistics:
    """Return the figures of an account.

    Args:
        series: At least one row.
        trips: All of them, one that is open included.
        cash: What it began with.
        equity: What it is worth in the end.
        fees: Paid.

    Raises:
        ServiceError: empyrical is not installed.

    """
    profit = equity - cash
    lowest, longest = drawdown_of(series)
    return Statistics(
        cash=cash,
        equity=equity,
        profit=profit,
        total_return=float(profit / cash),
        max_drawdown=lowest,
        drawdown_us=longest,
        exposure=float(np.mean(series.side != 0)),
        fees=fees,
        buy_and_hold=float(series.price[-1] / series.price[0] - 1),
        **_ratios(series, lowest),
        **_counts(trips),
    )


def drawdowns(equity: Floats) -> Floats:
    """Return how far below its highest value so far each value is, as a fraction; not positive."""
    peaks = np.maximum.accumulate(equity)
    return np.divide(equity, peaks, out=np.ones_like(equity), where=peaks > 0) - 1


def drawdown_of(series: Series) -> tuple[float, int]:
    """Return the deepest drawdown, and the longest time below a peak in microseconds."""
    below = drawdowns(series.equity)
    at_peak = np.flatnonzero(below >= 0)
    ends = np.append(series.close_us[at_peak[1:]], series.close_us[-1])
    under = ends - series.close_us[at_peak]
    # Two peaks that follow each other have no time between them.
    gaps = np.append(np.diff(at_peak) > 1, at_peak[-1] < len(below) - 1)
    longest = int(under[gaps].max()) if gaps.any() else 0
    return float(below.min()), longest


def _ratios(series: Series, lowest: float) -> dict[str, Any]:
    empyrical = _empyrical()
    sampling, per_year, at = sampled(series.close_us)
    equity, price = series.equity[at], series.price[at]
    names = ("annual_return", "volatility", "sharpe", "sortino", "calmar", "alpha", "beta")
    found: dict[str, Any] = dict.fromkeys(names)
    found |= {"sampling": sampling, "samples": len(at) - 1}
    if len(at) < 3 or (equity <= 0).any():
        return found
    own, market = equity[1:] / equity[:-1] - 1, price[1:] / price[:-1] - 1
    year = {"annualization": per_year}
    for name, function in (
        ("annual_return", "annual_return"), ("volatility", "annual_volatility"),
        ("sharpe", "sharpe_ratio"), ("sortino", "sortino_ratio"),
    ):  # fmt: skip
        found[name] = _finite(getattr(empyrical, function), own, **year)
    found["alpha"] = _finite(empyrical.alpha, own, market, **year)
    found["beta"] = _finite(empyrical.beta, own, market)
    if found["annual_return"] is not None and lowest < 0:
        found["calmar"] = found["annual_return"] / -lowest
    return found


def sampled(close_us: Times) -> tuple[str, float, NDArray[np.intp]]:
    """Return the name of the samples, how many are in a year, and which rows they are.

    A sample is the last row of its day or hour; the first row begins.
    """
    length = int(np.median(np.diff(close_us))) if len(close_us) > 1 else DAY_US
    for name, size in (("day", DAY_US), ("hour", HOUR_US)):
        if size <= length:
            continue
        last = np.flatnonzero(np.diff(close_us // size, append=-1))
        at = np.unique(np.append(0, last))
        if len(at) > _ENOUGH:
            return name, _YEAR_US / size, at
    return "kline", _YEAR_US / length, np.arange(len(close_us))


def _counts(trips: Sequence[Trip]) -> dict[str, Any]:
    ended = [trip for trip in trips if not trip.is_open]
    won = [trip for trip in ended if trip.profit > 0]
    lost = [trip for trip in ended if trip.profit <= 0]
    losses = -sum(float(trip.profit) for trip in lost)
    gains = sum(float(trip.profit) for trip in won)
    held = [trip.exit_us - trip.entry_us for trip in ended]
    return {
        "trades": len(ended),
        "open_trades": len(trips) - len(ended),
        "win_rate": len(won) / len(ended) if ended else None,
        "profit_factor": gains / losses if losses else None,
        "average_win": float(np.mean([t.gain for t in won])) if won else None,
        "average_loss": float(np.mean([t.gain for t in lost])) if lost else None,
        "holding_us": int(np.mean(held)) if held else 0,
    }


def _finite(function: Callable[..., Any], *args: Floats, **more: object) -> float | None:
    # Of returns that are all the same it divides by 0, and says so in a warning of numpy's.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        value = float(function(*args, **more))
    return value if np.isfinite(value) and abs(value) < 1e9 else None


def _empyrical() -> Any:  # noqa: ANN401 - a module without types
    try:
        with warnings.catch_warnings():
            # What it imports for itself warns of its own future.
            warnings.simplefilter("ignore")
            import empyrical
    except ImportError:
        raise ServiceError("statistics", "empyrical is not installed", hint=EXTRA) from None
    return empyrical
