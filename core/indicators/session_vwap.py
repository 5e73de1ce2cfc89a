"""Volume-weighted average price since midnight."""

from core.indicators.base import HIGH, Scalar, whole
from core.indicators.composed import Composed
from core.indicators.pieces import Lag, Piece, Total

_DAY_US = 86_400_000_000


class SessionVwap(Composed[float], Scalar):
    """What a unit cost on average since midnight UTC: quote volume by volume.

    Variant: exact, from the quote volume (see `Vwap`); a session is a day of UTC, and a kline
    belongs to the day its window starts in. Until something was traded in a day it is the close.

    The first day counts from the first kline, until midnight: so it is not that of the whole day
    before `convergence`, for which the klines of a day have to be told.

    Args:
        day: Klines in a day, at least 1: 1,440 of a minute, 288 of five.

    References:
        As `Vwap`.

    >>> vwap = SessionVwap()
    >>> night = 1_735_689_540_000_000  # the last minute of 2024
    >>> vwap.update(night, 3.0, 4.0, 2.0), vwap.update(night + 60_000_000, 5.0, 10.0, 2.0)
    (2.0, 5.0)
    >>> vwap.peek(night + 120_000_000, 6.0, 6.0, 1.0), SessionVwap(288).convergence
    (5.333333333333333, 289)

    """

    __slots__ = ("_day", "_quote", "_volume", "day")

    name = "session_vwap"
    inputs = ("open_us", "close", "quote_volume", "volume")

    def __init__(self, day: int = 1440) -> None:
        self.day = whole(self.name, "day", day)
        self._quote, self._volume, self._day = Total(), Total(), Lag(1)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The klines in a day."""
        return (self.day,)

    @property
    def lookback(self) -> int:
        """One."""
        return 1

    @property
    def convergence(self) -> int:
        """The klines in a day, and one: then there has been a midnight."""
        return self.day + 1

    def update(
        self, open_us: float, close: float, quote_volume: float, volume: float
    ) -> float | None:
        """Take those of the next final kline; return the price."""
        self._check(open_us, close, quote_volume, volume)
        day = open_us // _DAY_US
        if day != self._day.push(day):
            self._quote.reset()
            self._volume.reset()
        quote, base = self._quote.push(quote_volume), self._volume.push(volume)
        return self._say(quote / base if base else close)

    def peek(
        self, open_us: float, close: float, quote_volume: float, volume: float
    ) -> float | None:
        """Return what `update` would return, and change nothing."""
        self._check(open_us, close, quote_volume, volume)
        if open_us // _DAY_US != self._day.peek():
            return quote_volume / volume if volume else close
        quote, base = self._quote.peek(quote_volume), self._volume.peek(volume)
        return quote / base if base else close

    def _check(self, open_us: float, close: float, quote_volume: float, volume: float) -> None:
        if not (
            0.0 <= open_us < HIGH
            and 0.0 <= close < HIGH
            and 0.0 <= quote_volume < HIGH
            and 0.0 <= volume < HIGH
        ):
            raise self._contradiction(open_us, close, quote_volume, volume)

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._quote, self._volume, self._day)
