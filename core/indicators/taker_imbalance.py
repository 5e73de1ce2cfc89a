"""Taker imbalance."""

from core.indicators.base import HIGH, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.pieces import Piece, Rolled
from core.indicators.window import Window


class TakerImbalance(Composed[float], Scalar):
    """Whether takers bought or sold, of the last `period` klines: from -1, only sold, to 1.

    Variant: (bought - sold) / volume over the whole window, so a kline counts by its volume; 0
    where nothing was traded. The sums are exact.

    Args:
        period: At least 1.

    References:
        Tarun Chordia, Richard Roll and Avanidhar Subrahmanyam, "Order Imbalance, Liquidity, and
        Market Returns", *Journal of Financial Economics* 65, 2002.

    >>> imbalance = TakerImbalance(2)
    >>> klines = ((1.0, 1.0), (0.0, 3.0), (0.0, 0.0), (0.0, 0.0))
    >>> [imbalance.update(bought, volume) for bought, volume in klines]
    [None, -0.5, -1.0, 0.0]

    """

    __slots__ = ("_bought", "_volume", "period")

    name = "taker_imbalance"
    inputs = ("taker_buy_volume", "volume")

    def __init__(self, period: int = 20) -> None:
        self.period = whole(self.name, "period", period)
        self._bought, self._volume = Rolled(Window, period), Rolled(Window, period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """The period."""
        return self.period

    @property
    def convergence(self) -> int:
        """The period: the value depends on nothing else, to the bit."""
        return self.period

    def update(self, taker_buy_volume: float, volume: float) -> float | None:
        """Take those of the next final kline; return the imbalance, or None until known."""
        if not 0.0 <= taker_buy_volume <= volume < HIGH:
            raise self._contradiction(taker_buy_volume, volume)
        bought, total = self._bought.push(taker_buy_volume), self._volume.push(volume)
        return None if bought is None or total is None else self._say(_share(bought, total))

    def peek(self, taker_buy_volume: float, volume: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not 0.0 <= taker_buy_volume <= volume < HIGH:
            raise self._contradiction(taker_buy_volume, volume)
        bought, total = self._bought.peek(taker_buy_volume), self._volume.peek(volume)
        return None if bought is None or total is None else _share(bought, total)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._bought, self._volume)


def _share(bought: float, total: float) -> float:
    return (2.0 * bought - total) / total if total else 0.0
