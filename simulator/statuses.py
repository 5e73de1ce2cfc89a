"""A symbol's trading status over time, and what it means for klines."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from simulator.klines import Bar, KlineOracle
from simulator.tape import Tape

TRADING: Final = "TRADING"
_NO_KLINES = {"BREAK", "CANCEL_ONLY"}


@dataclass(frozen=True, slots=True)
class Statuses:
    """Statuses other than TRADING: half-open spans of exchange time, apart and in order."""

    spans: tuple[tuple[int, int, str], ...] = ()

    def at(self, time_us: int) -> str:
        """Return the status at a time."""
        index = bisect_right(self.spans, time_us, key=lambda span: span[0]) - 1
        if index < 0 or time_us >= self.spans[index][1]:
            return TRADING
        return self.spans[index][2]

    def gives_klines(self, time_us: int) -> bool:
        """Say whether kline frames go out at a time."""
        return self.at(time_us) not in _NO_KLINES

    def has_kline(self, from_us: int, until_us: int) -> bool:
        """Say whether there is a kline of ``[from, until)``: not if it lies inside silence."""
        at_us = from_us
        for begin, end, status in self.spans:
            # Silences that touch are one.
            if status in _NO_KLINES and begin <= at_us < end:
                at_us = end
        return at_us < until_us


ALWAYS_TRADING: Final = Statuses()


class HaltedOracle(KlineOracle):
    """The klines of a symbol that did not always trade."""

    def __init__(self, tape: Tape, statuses: Statuses) -> None:
        super().__init__(tape)
        self._statuses = statuses

    def bar(self, from_us: int, until_us: int) -> Bar | None:
        """Return the bar of ``[from, until)``; None inside of silence, too."""
        known = self._statuses.has_kline(from_us, until_us)
        return super().bar(from_us, until_us) if known else None
