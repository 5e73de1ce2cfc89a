"""What all indicators share that are made of pieces: their state is that of the pieces."""

from abc import abstractmethod
from itertools import chain

from core.indicators.base import HIGH, LOW, Indicator, Scalar, Value, whole
from core.indicators.pieces import Lag, Piece, Rolled


class Composed(Indicator[Value]):
    """Its state is that of its pieces, each with its length before it, and then `_own`."""

    __slots__ = ()

    @property
    @abstractmethod
    def _pieces(self) -> tuple[Piece, ...]: ...

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self.value = self.previous = None
        for piece in self._pieces:
            piece.reset()

    def _own(self) -> tuple[float, ...]:
        return ()

    def _load_own(self, own: tuple[float, ...]) -> None:
        if own:
            raise ValueError(own)

    def _state(self) -> tuple[float, ...]:
        dumps = [piece.dump() for piece in self._pieces]
        return (*chain.from_iterable((len(dump), *dump) for dump in dumps), *self._own())

    def _load(self, state: tuple[float, ...]) -> None:
        start = 0
        for piece in self._pieces:
            end = start + 1 + int(state[start])
            piece.load(state[start + 1 : end])
            start = end
        self._load_own(state[start:])


class Rolling(Composed[float], Scalar):
    """A float that depends on the last `period` numbers alone, to the bit."""

    __slots__ = ("_rolled", "period")

    _rolled: Rolled

    def __init__(self, period: int, rolled: Rolled) -> None:
        self.period = whole(self.name, "period", period)
        self._rolled = rolled
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

    def update(self, x: float) -> float | None:
        """Take the next final number; return the value, or None until there are `period`."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        rolled = self._rolled.push(x)
        return None if rolled is None else self._say(self._shaped(rolled))

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        rolled = self._rolled.peek(x)
        return None if rolled is None else self._shaped(rolled)

    def _shaped(self, rolled: float) -> float:
        return rolled

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._rolled,)


class Lagged(Composed[float], Scalar):
    """A float that compares a number with the one `period` before it."""

    __slots__ = ("_lag", "period")

    def __init__(self, period: int) -> None:
        self.period = whole(self.name, "period", period)
        self._lag = Lag(period)
        self.reset()

    @property
    def parameters(self) -> tuple[float | str, ...]:
        """The period."""
        return (self.period,)

    @property
    def lookback(self) -> int:
        """The period and one."""
        return self.period + 1

    @property
    def convergence(self) -> int:
        """The period and one: the value depends on nothing else, to the bit."""
        return self.period + 1

    def update(self, x: float) -> float | None:
        """Take the next final number; return the value, or None until there is one to compare."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        before = self._lag.push(x)
        return None if before is None else self._say(self._compared(x, before))

    def peek(self, x: float) -> float | None:
        """Return what `update` would return, and change nothing."""
        if not LOW < x < HIGH:
            raise self._refusal(x)
        before = self._lag.peek()
        return None if before is None else self._compared(x, before)

    @abstractmethod
    def _compared(self, x: float, before: float) -> float: ...

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        return (self._lag,)
