"""Data positions: numbers that rise in the order of emission and are the same in every re-run.

They are the sequence numbers of Redis entries, by which a sink drops what is already there. They
come from the time in the data, not from a counter of the process, so that a run that starts anew
in the middle (without a snapshot) goes on above what an earlier run wrote.
"""

_PER_MS_BITS = 20


class Positions:
    """Hands out positions of one instrument: a time in the data in ms, then a counter within it.

    A burst of more than 2**20 emissions within one millisecond borrows from the next ones; the
    numbers rise all the same. Positions fit in int64 until the year 2248.

    >>> positions = Positions()
    >>> a, b, c = (positions.at(time_us) for time_us in (5_000, 5_999, 4_000))
    >>> a == 5 << 20, b - a, c - b
    (True, 1, 1)
    """

    __slots__ = ("last",)

    def __init__(self, last: int = -1) -> None:
        self.last = last

    def at(self, time_us: int) -> int:
        """Return the next position at `time_us`, or behind the last one."""
        self.last = max(self.last + 1, (time_us // 1000) << _PER_MS_BITS)
        return self.last
