"""What faults have in common, and what may stand in the place of a frame."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeAlias

Frame: TypeAlias = tuple[int, str, bytes]
"""(time ``E`` in microseconds, stream name, the WebSocket frame as bytes)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """In the place of a frame: what happens to the connection there.

    Attributes:
        what: ``cut``: TCP ends in order, without a closing handshake. ``reset``: TCP is reset.
            ``close``: a closing handshake. ``freeze``: nothing is written or read for a while.
        code: Of the closing handshake.
        reason: Of the closing handshake.
        for_us: How long it is frozen; None: for ever.

    """

    what: Literal["cut", "reset", "close", "freeze"]
    code: int = 1001
    reason: str = ""
    for_us: int | None = None

    @property
    def ends(self) -> bool:
        """Whether the connection ends there."""
        return self.what != "freeze"


Out: TypeAlias = Frame | Mark

CUT: Final = Mark("cut")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What all have: when it starts.

    Attributes:
        after_us: Exchange time that passes before it starts, in microseconds.

    """

    kind: ClassVar[str] = ""
    fact: ClassVar[str] = ""

    after_us: int | None = None


@dataclass(slots=True)
class Turn:
    """What a fault sees when it is asked, and may note until it is asked again.

    Attributes:
        frame: The frame that is due; None when time alone asks.
        step: How often it was asked since it started, from 0.
        since_us: Exchange time since it started.
        kept: Frames that it holds back.
        done: For its own count.

    """

    frame: Frame | None = None
    step: int = 0
    since_us: int = 0
    kept: list[Frame] = field(default_factory=list)
    done: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFault(Fault):
    """What concerns sockets also has a place.

    Attributes:
        per: ``exchange``: counted over all connections since the start of the simulator, and
            it happens once. ``connection``: counted, and happening, on each connection.
        connection: Only on the connection of that number, from 1; implies ``per=connection``.

    """

    per: Literal["exchange", "connection"] = "exchange"
    connection: int | None = None

    def __post_init__(self) -> None:
        if self.connection is not None:
            object.__setattr__(self, "per", "connection")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFault(SocketFault, ABC):
    """It happens among the frames of a connection.

    It starts with the frame after `frames` matching ones, or at `after_us` of exchange time (with
    both, when both have come; with neither, at once). A time is one moment, and concerns each
    connection that is open then.

    Attributes:
        frames: Data frames that pass before it starts.
        stream: Only frames of that stream are counted and touched.

    """

    needs_frame: ClassVar[bool] = True
    """Whether time alone cannot start it."""
    stays: ClassVar[bool] = False
    """Whether it goes on by time, on the connection where it began."""

    frames: int | None = None
    stream: str = ""

    @abstractmethod
    def on_frame(self, turn: Turn) -> list[Out] | None:
        """Return what goes out instead of the frame that is due, or None when it is over.

        A frame that finds a fault over goes out; of what it kept a fault returns all before that.
        """


def framed(payload: bytes) -> bytes:
    """Return a text as one unmasked WebSocket frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
