"""Bollinger reversion."""

from typing import Annotated

from pydantic import Field

from core.indicators.bollinger import Bollinger
from strategies.params import StrategyParams
from strategies.reversion import Levels, Reversion


class BollingerReversion(Reversion):
    """Long when the close comes back above the lower band, flat when it reaches the middle one.

    A close below the lower band is no signal yet: it may go on falling. With `short`, the mirror
    image at the upper band is a signal too.

    Source: John Bollinger, *Bollinger on Bollinger Bands*, 2001: reversals, a close outside the
    bands that is followed by one inside; the middle band as the first target.
    """

    class Params(StrategyParams):
        """Parameters of `BollingerReversion`."""

        period: Annotated[
            int, Field(ge=2, le=500, description="Period of the bands, in klines.")
        ] = 20
        width: Annotated[
            float, Field(gt=0, le=10, description="Width of the bands, in standard deviations.")
        ] = 2.0
        short: Annotated[
            bool, Field(description="Short when the close comes back below the upper band.")
        ] = False

    params: Params

    def setup(self, params: Params) -> None:
        """Use the bands of closes; in which zone the close is, is not known yet."""
        self.bands = self.use(Bollinger(params.period, params.width))
        self.zone = None

    def levels(self) -> Levels | None:
        """Return the bands."""
        bands = self.bands.value
        return None if bands is None else Levels(bands.lower, bands.middle, bands.upper)
