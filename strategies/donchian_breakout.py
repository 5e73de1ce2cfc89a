"""Donchian breakout."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from core.indicators.donchian import Donchian
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.params import StrategyParams

ABOVE, BELOW, OUT, INSIDE = "above", "below", "out", "inside"


class DonchianBreakout(Strategy):
    """Long when the close is above all highs of the last klines, flat when below recent lows.

    The highs are those of the `entry` klines before, the lows those of the `exit` klines before;
    the kline itself does not count. A breakout is said once, when it begins. With `short`, the
    close below all lows of the `entry` klines is a signal to be short, and `exit` is not looked
    at: one is always in the market.

    Source: Richard D. Donchian's four-week rule (with `short`); two channels as in Curtis M.
    Faith, *Way of the Turtle*, 2007, on closes instead of touches, and without its sizes.
    """

    class Params(StrategyParams):
        """Parameters of `DonchianBreakout`."""

        entry: Annotated[
            int, Field(ge=2, le=500, description="Klines whose highs are to be broken.")
        ] = 20
        exit: Annotated[
            int, Field(ge=2, le=500, description="Klines whose lows must hold; not with short.")
        ] = 10
        short: Annotated[
            bool, Field(description="Short below all lows of the entry klines, never flat.")
        ] = False

    state = ("side",)

    params: Params

    def setup(self, params: Params) -> None:
        """Use both channels; where the close is, is not known yet."""
        self.entry = self.use(Donchian(params.entry))
        self.exit = self.use(Donchian(params.exit))
        self.side: str | None = None

    @property
    def lookback(self) -> int:
        """One more than the channels': the kline itself does not count."""
        return super().lookback + 1

    @property
    def convergence(self) -> int:
        """One more than the channels', likewise, and one to compare with."""
        return super().convergence + 1

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal where a breakout begins."""
        entry, leave = self.entry.previous, self.exit.previous
        if entry is None or leave is None:
            return
        close, before = kline.close, self.side
        now = self.side = self._side_of(close, entry.upper, entry.lower, leave.lower)
        if before is None or now == before:
            return
        if now == ABOVE:
            yield self.long(kline, f"close {close:.8g} above {entry.upper:.8g}", level=entry.upper)
        elif now == BELOW:
            yield self.short(kline, f"close {close:.8g} below {entry.lower:.8g}", level=entry.lower)
        elif now == OUT:
            yield self.flat(kline, f"close {close:.8g} below {leave.lower:.8g}", level=leave.lower)

    def _side_of(self, close: float, highest: float, lowest: float, leave: float) -> str:
        if close > highest:
            return ABOVE
        if self.params.short:
            return BELOW if close < lowest else INSIDE
        return OUT if close < leave else INSIDE
