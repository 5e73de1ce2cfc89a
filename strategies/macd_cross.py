"""MACD cross."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from core.indicators.macd import Macd
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.params import StrategyParams


class MacdCross(Strategy):
    """Long when the MACD line crosses above its signal line, flat (or short) when below.

    The cross is where the histogram, line minus signal, changes its sign.

    Source: Gerald Appel, *Technical Analysis: Power Tools for Active Investors*, 2005.
    """

    class Params(StrategyParams):
        """Parameters of `MacdCross`."""

        fast: Annotated[
            int, Field(ge=2, le=499, description="Period of the fast mean, in klines.")
        ] = 12
        slow: Annotated[
            int, Field(ge=3, le=500, description="Period of the slow mean, in klines; above fast.")
        ] = 26
        signal: Annotated[
            int, Field(ge=1, le=500, description="Period of the signal line, in klines.")
        ] = 9
        short: Annotated[
            bool, Field(description="Short instead of flat when the line crosses below.")
        ] = False

        @model_validator(mode="after")
        def _ordered(self) -> "MacdCross.Params":
            if self.fast >= self.slow:
                raise ValueError(f"fast `{self.fast}` must be less than slow `{self.slow}`")
            return self

    params: Params

    def setup(self, params: Params) -> None:
        """Use the MACD of closes."""
        self.macd = self.use(Macd(params.fast, params.slow, params.signal))

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal where the line crosses its signal line."""
        before, now = self.macd.previous, self.macd.value
        if before is None or now is None:
            return
        if before.histogram <= 0.0 < now.histogram:
            reason = f"macd {now.line:.6g} crossed above signal {now.signal:.6g}"
            yield self.long(kline, reason, **now._asdict())
        elif now.histogram < 0.0 <= before.histogram:
            down = self.short if self.params.short else self.flat
            reason = f"macd {now.line:.6g} crossed below signal {now.signal:.6g}"
            yield down(kline, reason, **now._asdict())
