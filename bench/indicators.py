"""One update of each indicator, beside talipp's single updates and TA-Lib's batch in the same run.

The peers take the same klines with the same parameters. TA-Lib sees all of them at once, so its
time per kline is what one saves who can wait; talipp, as we, takes one at a time.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.micro import cpu
from bench.rows import Row
from core.indicators.base import Indicator
from core.indicators.registry import INDICATORS

_UPDATES = 20_000
_PEER_UPDATES = 5_000
_BUDGETS = {"rsi": 1.0, "macd": 1.0, "bollinger": 1.5}

Klines = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Case:
    """An indicator and what the peers call it.

    Attributes:
        parameters: What ours is made with.
        talib: TA-Lib's function, the columns it takes, and its parameters; empty if it has none.
        talipp: Its class and parameters; empty if it has none.

    """

    parameters: tuple[Any, ...]
    talib: tuple[Any, ...] = ()
    talipp: tuple[Any, ...] = ()


_HLC = "high low close"

CASES: dict[str, Case] = {
    "adx": Case((14,), ("ADX", _HLC, 14), ("ADX", 14, 14)),
    "atr": Case((14,), ("ATR", _HLC, 14), ("ATR", 14)),
    "bandwidth": Case((20, 2.0)),
    "bollinger": Case((20, 2.0), ("BBANDS", "close", 20, 2.0, 2.0), ("BB", 20, 2.0)),
    "cci": Case((20,), ("CCI", _HLC, 20), ("CCI", 20)),
    "dema": Case((20,), ("DEMA", "close", 20), ("DEMA", 20)),
    "donchian": Case((20,), ("DONCHIAN", "high low", 20), ("DonchianChannels", 20)),
    "ema": Case((20,), ("EMA", "close", 20), ("EMA", 20)),
    "ichimoku": Case((9, 26, 52, 26), (), ("Ichimoku", 26, 9, 26, 52, 26)),
    "kama": Case((10, 2, 30), ("KAMA", "close", 10), ("KAMA", 10, 2, 30)),
    "keltner": Case((20, 10, 2.0), ("KC", _HLC, 20, 10, 2.0), ("KeltnerChannels", 20, 10, 2, 2)),
    "macd": Case((12, 26, 9), ("MACD", "close", 12, 26, 9), ("MACD", 12, 26, 9)),
    "mfi": Case((14,), ("MFI", f"{_HLC} volume", 14)),
    "momentum": Case((10,), ("MOM", "close", 10)),
    "obv": Case((), ("OBV", "close volume"), ("OBV",)),
    "parabolic_sar": Case(
        (0.02, 0.2), ("SAR", "high low", 0.02, 0.2), ("ParabolicSAR", 0.02, 0.02, 0.2)
    ),
    "percent_b": Case((20, 2.0)),
    "rma": Case((20,), ("RMA", "close", 20), ("SMMA", 20)),
    "roc": Case((10,), ("ROC", "close", 10), ("ROC", 10)),
    "rsi": Case((14,), ("RSI", "close", 14), ("RSI", 14)),
    "session_vwap": Case((1440,), ("VWAP", f"{_HLC} volume"), ("VWAP",)),
    "sma": Case((20,), ("SMA", "close", 20), ("SMA", 20)),
    "stoch_rsi": Case(
        (14, 14, 3, 3), ("STOCHRSI", "close", 14, 14, 3), ("StochRSI", 14, 14, 3, 3)
    ),
    "stochastic": Case((14, 3, 3), ("STOCH", _HLC, 14, 3, 0, 3), ("Stoch", 14, 3)),
    "supertrend": Case((10, 3.0), ("SUPERTREND", _HLC, 10, 3.0), ("SuperTrend", 10, 3)),
    "taker_imbalance": Case((20,)),
    "tema": Case((20,), ("TEMA", "close", 20), ("TEMA", 20)),
    "volatility": Case((20, 1, 1.0)),
    "vwap": Case((20,)),
    "williams_r": Case((14,), ("WILLR", _HLC, 14), ("Williams", 14)),
    "wma": Case((20,), ("WMA", "close", 20), ("WMA", 20)),
    "z_score": Case((20,)),
}  # fmt: skip


def indicators(names: Iterable[str] = tuple(INDICATORS)) -> list[Row]:
    """Measure one update of each indicator, and the peers' in the same run."""
    table = klines(_UPDATES)
    return [_row(name, CASES[name], table) for name in names]


def klines(rows: int) -> Klines:
    """Return minutes that look like BTCUSDT's: walking closes at ticks of 0.01, odd volumes."""
    dice = np.random.default_rng(1)
    close = np.round(60_000 + np.cumsum(dice.normal(0, 5, rows)), 2)
    before = np.concatenate([close[:1], close[:-1]])
    wick = np.round(dice.exponential(3, (2, rows)), 2)
    volume = np.round(dice.pareto(2.0, rows) * 10, 5)
    return {
        "open_us": 1_735_689_600_000_000.0 + np.arange(rows) * 60_000_000.0,
        "open": before,
        "high": np.round(np.maximum(before, close) + wick[0], 2),
        "low": np.round(np.minimum(before, close) - wick[1], 2),
        "close": close,
        "volume": volume,
        "quote_volume": np.round(volume * (before + close) / 2, 7),
        "taker_buy_volume": np.round(volume * dice.random(rows), 5).clip(0, volume),
    }


def _row(name: str, case: Case, table: Klines) -> Row:
    kind = INDICATORS[name]
    taken = list(zip(*(table[f].tolist() for f in kind.inputs or ("close",)), strict=True))
    own = cpu(lambda: _update(kind(*case.parameters), taken)) / len(taken)
    told = [*_talipp(case, table, own), *_talib(case, table)]
    shown = f"{kind.__name__}({', '.join(map(str, case.parameters))}) update"
    budget = _BUDGETS.get(name)
    return Row(shown, own * 1e6, "us", budget, at_most=True, against="; ".join(told))


def _update(indicator: Indicator[Any], taken: Sequence[tuple[float, ...]]) -> None:
    update = indicator.update
    if indicator.inputs:
        for row in taken:
            update(*row)
    else:
        for (x,) in taken:
            update(x)


def _talipp(case: Case, table: Klines, own: float) -> list[str]:
    if not case.talipp:
        return []
    import talipp.indicators as peer
    from talipp.ohlcv import OHLCV

    name, *given = case.talipp
    kind: Callable[..., Any] = getattr(peer, name)
    names = ("open", "high", "low", "close", "volume")
    columns = [table[field][:_PEER_UPDATES].tolist() for field in names]
    fed = columns[3] if _takes_closes(case) else [OHLCV(*r) for r in zip(*columns, strict=True)]

    def add() -> None:
        take = kind(*given).add
        for x in fed:
            take(x)

    other = cpu(add, repeats=2) / len(fed)
    than = f"{other / own:.1f} times faster" if other >= own else f"{own / other:.1f} times slower"
    return [f"talipp {other * 1e6:.2f} us: {than}"]


def _takes_closes(case: Case) -> bool:
    return bool(case.talib) and case.talib[1] == "close"


def _talib(case: Case, table: Klines) -> list[str]:
    if not case.talib:
        return []
    import talib

    name, columns, *given = case.talib
    function: Callable[..., Any] = getattr(talib, name)
    taken = [table[field] for field in columns.split()]
    batch = cpu(lambda: function(*taken, *given)) / _UPDATES
    return [f"TA-Lib {batch * 1e6:.3f} us in batch"]
