"""Volume spike."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from core.indicators.sma import Sma
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.params import StrategyParams


class VolumeSpike(Strategy):
    """Long when an upward kline has far more volume than usual, flat some klines later.

    Usual is the mean volume of the `period` klines before. A spike in a kline that closes below
    its open says flat (or short). `hold` klines after the last spike it says flat.

    Source: that volume confirms the direction of a move goes back to Charles Dow; as a rule on
    exceptional volume, Richard W. Arms, *Volume Cycles in the Stock Market*, 1983.
    """

    class Params(StrategyParams):
        """Parameters of `VolumeSpike`."""

        period: Annotated[
            int, Field(ge=2, le=500, description="Klines whose mean volume is usual.")
        ] = 20
        factor: Annotated[
            float, Field(gt=1, le=1000, description="How many times as much is a spike.")
        ] = 3.0
        hold: Annotated[
            int, Field(ge=1, le=500, description="Klines from the last spike until flat.")
        ] = 10
        short: Annotated[bool, Field(description="Short instead of flat at a spike downward.")] = (
            False
        )

    state = ("left",)

    params: Params

    def setup(self, params: Params) -> None:
        """Use the mean volume; no spike has been seen yet."""
        self.usual = self.use(Sma(params.period), "volume")
        self.left = 0

    @property
    def lookback(self) -> int:
        """One more than the mean's: the kline itself does not count."""
        return super().lookback + 1

    @property
    def convergence(self) -> int:
        """Until the last spike is forgotten."""
        return super().convergence + self.params.hold

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal at a spike, and when the last one is over."""
        usual = self.usual.previous
        if usual is None:
            return
        before, self.left = self.left, max(0, self.left - 1)
        spikes = kline.volume > self.params.factor * usual
        rises = kline.close - kline.open
        if spikes and usual and rises:
            times = kline.volume / usual
            known = {"usual": usual, "times": times}
            down = self.short if self.params.short else self.flat
            self.left = self.params.hold if rises > 0 or self.params.short else 0
            if rises > 0:
                yield self.long(kline, f"volume {times:.1f} times the usual, upward", **known)
            else:
                yield down(kline, f"volume {times:.1f} times the usual, downward", **known)
        elif before == 1:
            yield self.flat(kline, f"{self.params.hold} klines after the last spike", usual=usual)
