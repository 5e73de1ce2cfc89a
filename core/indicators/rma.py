"""Wilder's moving average."""

from core.indicators.decaying import Decaying


class Rma(Decaying):
    """Mean in which each number weighs ``1 / period``; seeded with the mean of the first `period`.

    Variant: Wilder's, which others call SMMA: seeded with the simple mean, as in TA-Lib.

    After `convergence` numbers two instances differ by at most `CONVERGED` times the range of
    what came before.

    Args:
        period: At least 1.

    References:
        J. Welles Wilder, *New Concepts in Technical Trading Systems*, 1978.

    >>> rma = Rma(4)
    >>> [rma.update(x) for x in (1.0, 2.0, 3.0, 6.0, 7.0, 0.0)]
    [None, None, None, 3.0, 4.0, 3.0]
    >>> rma.lookback, rma.convergence
    (4, 101)

    """

    __slots__ = ()

    name = "rma"

    def __init__(self, period: int) -> None:
        super().__init__(period, 1.0 / period)
