"""Every indicator by name: what the contract tests run over, and the reference lists."""

from typing import Any

from core.indicators.adx import Adx
from core.indicators.atr import Atr
from core.indicators.bandwidth import Bandwidth
from core.indicators.base import Indicator
from core.indicators.bollinger import Bollinger
from core.indicators.cci import Cci
from core.indicators.dema import Dema
from core.indicators.donchian import Donchian
from core.indicators.ema import Ema
from core.indicators.ichimoku import Ichimoku
from core.indicators.kama import Kama
from core.indicators.keltner import Keltner
from core.indicators.macd import Macd
from core.indicators.mfi import Mfi
from core.indicators.momentum import Momentum
from core.indicators.obv import Obv
from core.indicators.parabolic_sar import ParabolicSar
from core.indicators.percent_b import PercentB
from core.indicators.rma import Rma
from core.indicators.roc import Roc
from core.indicators.rsi import Rsi
from core.indicators.session_vwap import SessionVwap
from core.indicators.sma import Sma
from core.indicators.stoch_rsi import StochRsi
from core.indicators.stochastic import Stochastic
from core.indicators.supertrend import SuperTrend
from core.indicators.taker_imbalance import TakerImbalance
from core.indicators.tema import Tema
from core.indicators.volatility import Volatility
from core.indicators.vwap import Vwap
from core.indicators.williams_r import WilliamsR
from core.indicators.wma import Wma
from core.indicators.z_score import ZScore

_CLASSES: tuple[type[Indicator[Any]], ...] = (
    Adx, Atr, Bandwidth, Bollinger, Cci, Dema, Donchian, Ema, Ichimoku, Kama, Keltner, Macd, Mfi,
    Momentum, Obv, ParabolicSar, PercentB, Rma, Roc, Rsi, SessionVwap, Sma, StochRsi, Stochastic,
    SuperTrend, TakerImbalance, Tema, Volatility, Vwap, WilliamsR, Wma, ZScore,
)  # fmt: skip

INDICATORS: dict[str, type[Indicator[Any]]] = {cls.name: cls for cls in _CLASSES}
"""Name → class."""
