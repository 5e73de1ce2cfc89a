"""Exponential moving average."""

from core.indicators.decaying import Decaying


class Ema(Decaying):
    """Mean in which each number weighs ``2 / (period + 1)``; seeded with the first `period`.

    Variant: seeded with the simple mean of the first `period` numbers, as in TA-Lib.

    After `convergence` numbers two instances differ by at most `CONVERGED` times the range of what
    came before.

    Args:
        period: At least 1.

    >>> ema = Ema(3)
    >>> [ema.update(x) for x in (1.0, 3.0, 5.0, 7.0, 9.0)]
    [None, None, 3.0, 5.0, 7.0]
    >>> ema.peek(11.0), ema.peek(11.0), ema.value
    (9.0, 9.0, 7.0)
    >>> ema.lookback, ema.convergence
    (3, 43)

    """

    __slots__ = ()

    name = "ema"

    def __init__(self, period: int) -> None:
        super().__init__(period, 2.0 / (period + 1))
