"""SuperTrend."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from core.indicators.supertrend import SuperTrend
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.params import StrategyParams


class Supertrend(Strategy):
    """Long when the trend turns upward, flat (or short) when it turns downward.

    The trend turns where the close crosses a stop that follows it at a distance of some average
    true ranges. Where an instance begins matters until it has turned twice, for which there is no
    bound: `convergence` is what it took in recorded markets, several times over.

    Source: Olivier Seban, *Tout le monde mérite d'être riche*, 2008.
    """

    class Params(StrategyParams):
        """Parameters of `Supertrend`."""

        period: Annotated[
            int, Field(ge=1, le=500, description="Period of the average true range, in klines.")
        ] = 10
        multiplier: Annotated[
            float, Field(gt=0, le=20, description="Distance of the stop, in average true ranges.")
        ] = 3.0
        short: Annotated[
            bool, Field(description="Short instead of flat when the trend turns downward.")
        ] = False

    params: Params

    def setup(self, params: Params) -> None:
        """Use the trend of klines."""
        self.trend = self.use(SuperTrend(params.period, params.multiplier))

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal where the trend turns."""
        before, now = self.trend.previous, self.trend.value
        if before is None or now is None or before.trend == now.trend:
            return
        if now.trend > 0:
            reason = f"close {kline.close:.8g} above the stop {before.line:.8g}"
            yield self.long(kline, reason, stop=now.line)
        else:
            down = self.short if self.params.short else self.flat
            reason = f"close {kline.close:.8g} below the stop {before.line:.8g}"
            yield down(kline, reason, stop=now.line)
