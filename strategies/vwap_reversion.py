"""VWAP reversion."""

from typing import Annotated

from pydantic import Field

from core.indicators.vwap import Vwap
from strategies.params import StrategyParams
from strategies.reversion import Levels, Reversion

_REACHED = 1.0 - 1e-12
"""While nothing moves, the average is the close to rounding, and not sometimes above it."""


class VwapReversion(Reversion):
    """Long when the close comes back towards the average price paid, flat when it reaches it.

    It has come back when it was further below the volume-weighted average price than `distance`
    and is no longer. With `short`, the mirror image above is a signal too.

    Source: VWAP as the fair price to which others compare theirs: Stephen A. Berkowitz, Dennis E.
    Logue and Eugene A. Noser, "The Total Cost of Transactions on the NYSE", *Journal of Finance*
    43, 1988. The distance at which to act is a convention of traders.
    """

    class Params(StrategyParams):
        """Parameters of `VwapReversion`."""

        period: Annotated[
            int, Field(ge=2, le=1440, description="Klines over which the price is averaged.")
        ] = 60
        distance: Annotated[
            float, Field(gt=0, lt=50, description="How far from it is far, in percent.")
        ] = 0.5
        short: Annotated[bool, Field(description="Short when the close comes back from above.")] = (
            False
        )

    params: Params

    def setup(self, params: Params) -> None:
        """Use the average price paid; in which zone the close is, is not known yet."""
        self.vwap = self.use(Vwap(params.period))
        self.zone = None

    def levels(self) -> Levels | None:
        """Return the average price, and the prices that are far from it."""
        vwap, far = self.vwap.value, self.params.distance / 100.0
        if vwap is None:
            return None
        return Levels(vwap * (1.0 - far), vwap * _REACHED, vwap * (1.0 + far))
