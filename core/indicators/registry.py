"""Every indicator by name: what the contract tests run over."""

from typing import Any

from core.indicators.base import Indicator
from core.indicators.bollinger import Bollinger
from core.indicators.ema import Ema
from core.indicators.macd import Macd
from core.indicators.rma import Rma
from core.indicators.rsi import Rsi
from core.indicators.sma import Sma

INDICATORS: dict[str, type[Indicator[Any]]] = {
    cls.name: cls for cls in (Bollinger, Ema, Macd, Rma, Rsi, Sma)
}
"""Name → class."""
