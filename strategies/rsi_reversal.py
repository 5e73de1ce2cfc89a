"""RSI reversal."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from core.indicators.rsi import Rsi
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.params import StrategyParams


class RsiReversal(Strategy):
    """Long when RSI leaves oversold, flat when it leaves overbought.

    RSI crosses `oversold` from below: long. RSI crosses `overbought` from above: flat. As long as
    a symbol has not moved at all, its RSI counts as 50, which is neither.

    Source: J. Welles Wilder, *New Concepts in Technical Trading Systems*, 1978, section VI.
    """

    class Params(StrategyParams):
        """Parameters of `RsiReversal`."""

        period: Annotated[int, Field(ge=2, le=500, description="RSI period, in klines.")] = 14
        oversold: Annotated[
            float, Field(gt=0, lt=50, description="RSI below which a symbol is oversold.")
        ] = 30.0
        overbought: Annotated[
            float, Field(gt=50, lt=100, description="RSI above which a symbol is overbought.")
        ] = 70.0

    params: Params

    def setup(self, params: Params) -> None:
        """Use the RSI of closes."""
        self.rsi = self.use(Rsi(params.period, unmoved=50.0))

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal where RSI leaves one of its extremes."""
        rsi, levels = self.rsi, self.params
        if rsi.crossed_above(levels.oversold):
            reason = f"rsi {rsi.value:.1f} left oversold {levels.oversold:g}"
            yield self.long(kline, reason, rsi=rsi.value)
        elif rsi.crossed_below(levels.overbought):
            reason = f"rsi {rsi.value:.1f} left overbought {levels.overbought:g}"
            yield self.flat(kline, reason, rsi=rsi.value)
