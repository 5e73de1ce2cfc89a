"""Bollinger breakout."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from core.indicators.bollinger import Bollinger, BollingerValue
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.params import StrategyParams

ABOVE, BELOW, INSIDE = "above", "below", "inside"


class BollingerBreakout(Strategy):
    """Long when the close breaks out above the upper band, flat when it falls back inside.

    A kline's close is compared with the bands that hold it. With `short`, a break below the lower
    band is a signal too. It remembers only on which side of the bands the last close was.

    Source: John Bollinger, *Bollinger on Bollinger Bands*, 2001: method I, volatility breakout,
    without its condition that volatility was low before.
    """

    class Params(StrategyParams):
        """Parameters of `BollingerBreakout`."""

        period: Annotated[
            int, Field(ge=2, le=500, description="Period of the bands, in klines.")
        ] = 20
        width: Annotated[
            float, Field(gt=0, le=10, description="Width of the bands, in standard deviations.")
        ] = 2.0
        short: Annotated[
            bool, Field(description="Short when the close breaks out below the lower band.")
        ] = False

    state = ("side",)

    params: Params

    def setup(self, params: Params) -> None:
        """Use the bands of closes; on which side of them the close is, is not known yet."""
        self.bands = self.use(Bollinger(params.period, params.width))
        self.side: str | None = None

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal where the close changes to another side of the bands."""
        bands = self.bands.value
        if bands is None:
            return
        close, before = kline.close, self.side
        side = self._side_of(close, bands)
        if side == before:
            return
        self.side = side
        if before is None:
            return
        if side == ABOVE:
            reason = f"close {close:.8g} broke out above {bands.upper:.8g}"
            yield self.long(kline, reason, **bands._asdict())
        elif side == BELOW:
            reason = f"close {close:.8g} broke out below {bands.lower:.8g}"
            yield self.short(kline, reason, **bands._asdict())
        else:
            reason = f"close {close:.8g} is back within {bands.lower:.8g} and {bands.upper:.8g}"
            yield self.flat(kline, reason, **bands._asdict())

    def _side_of(self, close: float, bands: BollingerValue) -> str:
        if close > bands.upper:
            return ABOVE
        if close < bands.lower and self.params.short:
            return BELOW
        return INSIDE
