"""What becomes of the frames of a stream: lost, doubled, late, out of order, or never sent."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from simulator.faults.base import Frame, FrameFault, Out, Turn, framed

GarbageKind = Literal["json", "types", "nan", "unknown", "rest", "all"]
GARBAGE: Final[dict[str, str]] = {
    "json": '{"e":"trade","E":17',
    "types": '{"e":"trade","E":"soon","s":"BTCUSDT","t":"one","p":64250,"q":[],"T":null,"m":"no"}',
    "nan": '{"e":"trade","E":1757522615939,"s":"BTCUSDT","t":1,"p":NaN,"q":"0.1",'
    '"T":1757522615939,"m":true,"M":true}',
    "unknown": '{"e":"moonPhase","E":1757522615939,"s":"BTCUSDT","phase":"0.50"}',
    "rest": '[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.00001200",'
    '"time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}]',
}
"""What an exchange never says, by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip(FrameFault):
    """Lose frames."""

    kind: ClassVar[str] = "skip"
    fact: ClassVar[str] = "a jump of the trade id `t` means that frames were lost: it has no gaps"

    count: int = 1

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Send nothing instead of each of `count` frames."""
        return [] if turn.step < self.count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(FrameFault):
    """Send frames twice."""

    kind: ClassVar[str] = "duplicate"
    fact: ClassVar[str] = "never seen of the server; overlapping connections give the same"

    count: int = 1

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Send each of `count` frames twice."""
        return [turn.frame, turn.frame] if turn.frame and turn.step < self.count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage(FrameFault):
    """Send what an exchange never says; the frames themselves all go out."""

    kind: ClassVar[str] = "garbage"
    fact: ClassVar[str] = "fields and events are added every year; broken JSON was never reported"
    needs_frame: ClassVar[bool] = False

    what: GarbageKind = "all"
    count: int = 1

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Put garbage before each of `count` frames; ``all`` takes the kinds in turn."""
        if turn.step >= self.count * (len(GARBAGE) if self.what == "all" else 1):
            return None
        kind = list(GARBAGE)[turn.step % len(GARBAGE)] if self.what == "all" else self.what
        garbage: Frame = (0, "", framed(GARBAGE[kind].encode()))
        return [garbage, turn.frame] if turn.frame else [garbage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(FrameFault):
    """Send nothing for a while, though the connection stays open and REST has the trades.

    With `stream` only that one falls silent, which no ping can tell.
    """

    kind: ClassVar[str] = "stall"
    fact: ClassVar[str] = (
        "one connection or a few symbols fall silent after 30-90 minutes while pings are answered "
        "(binance-connector-java#139, binance-connector-rust#49)"
    )

    for_us: int = 30_000_000

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Send nothing instead of the frames of that while."""
        return [] if turn.since_us < self.for_us else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(FrameFault):
    """Acknowledge a stream and never say anything on it, on that connection.

    With neither `connection` nor ``per=connection`` it is mute on every connection.
    """

    kind: ClassVar[str] = "mute"
    fact: ClassVar[str] = (
        "`result:null` is no promise: names in capitals, retired streams and, on USD-M, the wrong "
        "route are acknowledged and stay silent (binance-public-data#472)"
    )

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Send nothing, for ever."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder(FrameFault):
    """Swap two neighbours of one stream that are told in the same millisecond, `count` times."""

    kind: ClassVar[str] = "reorder"
    fact: ClassVar[str] = (
        "ids came in order in all captures; one report of aggregates out of order within a "
        "millisecond is not settled (binance-connector-rust#92)"
    )
    stays: ClassVar[bool] = True
    needs_frame: ClassVar[bool] = True

    count: int = 1

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Hold each frame until the next one is there, or time has passed."""
        frame, held = turn.frame, turn.kept.pop() if turn.kept else None
        if turn.done == self.count:
            return None
        if frame is None or held is None:
            turn.kept += [frame] if frame else []
            return [held] if held else []
        if held[1] == frame[1] and held[0] // 1000 == frame[0] // 1000:
            turn.done += 1
            return [frame, held]
        turn.kept.append(frame)
        return [held]


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(FrameFault):
    """Hold frames for a while and send them in one burst: `E` is late by seconds."""

    kind: ClassVar[str] = "late"
    fact: ClassVar[str] = (
        "`E - T` was 1 ms mostly and 0.2 s in bursts; klines were reported 10-15 s late under load"
    )
    stays: ClassVar[bool] = True

    for_us: int = 5_000_000

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Keep what comes in that while, then send all of it."""
        due = [turn.frame] if turn.frame else []
        if turn.done:
            return None
        if turn.since_us < self.for_us:
            turn.kept += due
            return []
        turn.done = 1
        held, turn.kept = turn.kept, []
        return [*held, *due]
