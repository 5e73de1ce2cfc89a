"""What becomes of a connection, of its handshake and of its requests."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from simulator.faults.base import (
    CUT,
    Fault,
    Frame,
    FrameFault,
    Mark,
    Out,
    SocketFault,
    Turn,
    framed,
)

ShutdownShape = Literal["raw", "combined", "event"]
SHUTDOWN: Final[dict[str, str]] = {
    "raw": '{"e":"serverShutdown","E":1770123456789}',
    "combined": '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
    "event": '{"event":{"e":"serverShutdown","E":1770123456789}}',
}
"""The shapes of the announcement: raw, on combined streams, on the WebSocket API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Once(FrameFault):
    """One thing that happens to the connection, before the frame."""

    needs_frame: ClassVar[bool] = False

    @abstractmethod
    def mark(self) -> Mark:
        """Return what happens."""

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Let it happen once."""
        if turn.step:
            return None
        return [self.mark(), turn.frame] if turn.frame else [self.mark()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(_Once):
    """Cut the TCP connection, as a crash or a router does; the client sees code 1006."""

    kind: ClassVar[str] = "drop"
    fact: ClassVar[str] = "1006 is frequent and has no reason"

    def mark(self) -> Mark:
        """Return the cut."""
        return CUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(_Once):
    """Reset the TCP connection (RST): what is on its way is lost, writing raises at once."""

    kind: ClassVar[str] = "reset"
    fact: ClassVar[str] = "`connection reset by peer`; libraries report it as 1006, too"

    def mark(self) -> Mark:
        """Return the reset."""
        return Mark("reset")


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOpen(_Once):
    """Neither write nor read, no pongs, no close, while TCP stays open and REST goes on.

    After `for` all that was due goes out at once, as after a partition that healed; without it
    the connection stays like that.
    """

    kind: ClassVar[str] = "halfopen"
    fact: ClassVar[str] = (
        "no close frame and nothing arrives, for as long as one waits "
        "(binance-connector-python#180, cryptofeed#308)"
    )

    for_us: int | None = None

    def mark(self) -> Mark:
        """Return the freeze."""
        return Mark("freeze", for_us=self.for_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(_Once):
    """Close in order, with any code and reason: ``code=1008,reason=Too many requests``.

    ``close@after=24h,per=connection`` is the end that every connection meets.
    """

    kind: ClassVar[str] = "close"
    fact: ClassVar[str] = (
        "each connection ends after 24 h; 1008 `Too many requests` ends one that sends more than "
        "5 messages a second, 1008 `Pong timeout` one that does not answer pings"
    )

    code: int = 1001
    reason: str = ""

    def mark(self) -> Mark:
        """Return the closing handshake."""
        return Mark("close", code=self.code, reason=self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown(FrameFault):
    """Announce that the server will shut down; with `lead` it closes the connection after that."""

    kind: ClassVar[str] = "shutdown"
    fact: ClassVar[str] = (
        "`serverShutdown` comes in three shapes since May 2026; there is no fixed lead time, the "
        "promise of ten minutes was withdrawn"
    )
    needs_frame: ClassVar[bool] = False
    stays: ClassVar[bool] = True

    shape: ShutdownShape = "combined"
    lead_us: int | None = None

    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Say it once, before the frame; close when the lead is over."""
        through: list[Out] = [turn.frame] if turn.frame else []
        if not turn.step:
            said: Frame = (0, "", framed(SHUTDOWN[self.shape].encode()))
            return [said, *through]
        if self.lead_us is None:
            return None
        return through if turn.since_us < self.lead_us else [Mark("close")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Fault):
    """Refuse the handshake: `attempts` times, or for a while (then however often it is tried).

    With `connection` it waits for the attempt that would become that connection, with `frames`
    until so many were sent in all.
    """

    kind: ClassVar[str] = "refuse"
    fact: ClassVar[str] = (
        "403 while the address is banned or blocked, 504 during incidents; more than 300 attempts "
        "in five minutes are refused"
    )

    status: int = 503
    attempts: int = 1
    for_us: int | None = None
    connection: int | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFault(SocketFault):
    """It happens to SUBSCRIBE requests: to `count` of them, None to all.

    Attributes:
        over: Only to requests of more bytes than that.

    """

    over: int = 0
    count: int | None = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(RequestFault):
    """Answer a SUBSCRIBE late, or lose its answer, or lose the request itself.

    With `delay` it is in force at once, and data comes before its answer. ``lose=answer``: it is
    in force, the answer never comes. ``lose=request``: nothing happens.
    """

    kind: ClassVar[str] = "ack"
    fact: ClassVar[str] = (
        "answers take about 0.3 s; whether data may come before is not documented; some never come "
        "and SDKs loop (Binance.Net#948)"
    )

    delay_us: int = 0
    lose: Literal["nothing", "answer", "request"] = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowAck(RequestFault):
    """Leave a SUBSCRIBE of more than 4096 bytes waiting: not in force and not answered before."""

    kind: ClassVar[str] = "slowack"
    fact: ClassVar[str] = (
        "4088 bytes are answered at once, 4106 after 10-20 s, with the next ping "
        "(binance-connector-rust#27, Binance.Net#1017)"
    )

    over: int = 4096
    count: int | None = None
    delay_us: int = 15_000_000
