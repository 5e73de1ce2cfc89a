"""EMA cross."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from core.indicators.ema import Ema
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.params import StrategyParams


class EmaCross(Strategy):
    """Long when the fast mean crosses above the slow one, flat (or short) when below.

    Source: exponential means of prices, and their crossing as a sign of a trend: Robert Goodell
    Brown, *Exponential Smoothing for Predicting Demand*, 1956, for the mean; Gerald Appel,
    *Technical Analysis: Power Tools for Active Investors*, 2005, for its use.
    """

    class Params(StrategyParams):
        """Parameters of `EmaCross`."""

        fast: Annotated[
            int, Field(ge=2, le=499, description="Period of the fast mean, in klines.")
        ] = 9
        slow: Annotated[
            int, Field(ge=3, le=500, description="Period of the slow mean, in klines; above fast.")
        ] = 21
        short: Annotated[
            bool, Field(description="Short instead of flat when the fast mean crosses below.")
        ] = False

        @model_validator(mode="after")
        def _ordered(self) -> "EmaCross.Params":
            if self.fast >= self.slow:
                raise ValueError(f"fast `{self.fast}` must be less than slow `{self.slow}`")
            return self

    params: Params

    def setup(self, params: Params) -> None:
        """Use two means of closes."""
        self.fast = self.use(Ema(params.fast))
        self.slow = self.use(Ema(params.slow))

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal where the fast mean crosses the slow one."""
        fast, slow = self.fast.value, self.slow.value
        was_fast, was_slow = self.fast.previous, self.slow.previous
        if fast is None or slow is None or was_fast is None or was_slow is None:
            return
        if was_fast <= was_slow and fast > slow:
            reason = f"fast {fast:.8g} crossed above slow {slow:.8g}"
            yield self.long(kline, reason, fast=fast, slow=slow)
        elif was_fast >= was_slow and fast < slow:
            down = self.short if self.params.short else self.flat
            reason = f"fast {fast:.8g} crossed below slow {slow:.8g}"
            yield down(kline, reason, fast=fast, slow=slow)
