"""Carries faults of sockets out: counts frames and time, and lets each fault change what is due."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from simulator.faults import (
    Ack,
    Fault,
    Frame,
    FrameFault,
    Mark,
    Out,
    Refuse,
    RequestFault,
    Skew,
    SlowAck,
    Turn,
)

_EVENT_TIME = re.compile(rb'"E":(\d+)')
_MICROSECONDS_FROM = 10**14


@dataclass(slots=True)
class _Armed:
    """One fault and how far it has come."""

    fault: FrameFault
    at_us: int | None
    seen: int = 0
    began_us: int = 0
    over: bool = False
    owner: int | None = None  # the connection where it began, if it stays there
    turn: Turn = field(default_factory=Turn)

    def pass_frame(self, frame: Frame, connection: int) -> list[Out]:
        """Return what goes out instead of a frame."""
        fault = self.fault
        if self.over or not self._is_here(connection):
            return [frame]
        if fault.stream and fault.stream != frame[1]:
            return [frame]
        self.seen += 1
        if not self._started(frame[0]):
            return [frame]
        return self._act(frame, frame[0], connection) or ([] if not self.over else [frame])

    def pass_time(self, now_us: int, connection: int) -> list[Out]:
        """Return what goes out because of the time alone."""
        fault = self.fault
        if self.over or not self._is_here(connection):
            return []
        if fault.stays and self.turn.step:
            return self._act(None, now_us, connection)
        if self.at_us is None or fault.needs_frame or fault.frames is not None:
            return []
        return self._act(None, now_us, connection) if now_us >= self.at_us else []

    def _is_here(self, connection: int) -> bool:
        return self.owner is None or self.owner == connection

    def _started(self, time_us: int) -> bool:
        counted = self.fault.frames is None or self.seen > self.fault.frames
        return counted and (self.at_us is None or time_us >= self.at_us)

    def _act(self, frame: Frame | None, time_us: int, connection: int) -> list[Out]:
        turn = self.turn
        if not turn.step:
            self.began_us = time_us
            self.owner = connection if self.fault.stays else None
        turn.frame, turn.since_us = frame, time_us - self.began_us
        done = self.fault.on_frame(turn)
        turn.step += 1
        self.over = done is None
        return done or []


@dataclass(slots=True)
class _Refusing:
    """A `Refuse` and how often it was carried out."""

    fault: Refuse
    used: int = 0
    since_us: int | None = None

    def refuses(self, number: int, frames: int, now_us: int, start_us: int) -> bool:
        """Say whether it refuses the attempt that would become connection `number`."""
        fault = self.fault
        early = (
            (fault.connection is not None and number < fault.connection)
            or (fault.frames is not None and frames < fault.frames)
            or (fault.after_us is not None and now_us < start_us + fault.after_us)
        )
        if early:
            return False
        if self.since_us is None:
            # A while that begins at a moment begins there, tried or not.
            self.since_us = now_us if fault.after_us is None else start_us + fault.after_us
        self.used += 1
        if fault.for_us is not None:
            return now_us < self.since_us + fault.for_us
        return self.used <= fault.attempts


class Handling(NamedTuple):
    """What becomes of a SUBSCRIBE: waits are exchange time.

    Attributes:
        heard: Whether it is carried out.
        wait_us: How long it waits until it is.
        answered: Whether it is answered.
        answer_us: How long its answer waits, once it was carried out.

    """

    heard: bool = True
    wait_us: int = 0
    answered: bool = True
    answer_us: int = 0


@dataclass(slots=True)
class _Handler:
    """A fault of requests and how often it was carried out."""

    fault: RequestFault
    at_us: int
    used: int = 0

    def takes(self, size: int, now_us: int) -> bool:
        """Say whether it happens to a request of so many bytes."""
        fault = self.fault
        if now_us < self.at_us or size <= fault.over or self.used == fault.count:
            return False
        self.used += 1
        return True

    def handling(self) -> Handling:
        """Return what becomes of the request."""
        fault = self.fault
        if isinstance(fault, Ack):
            kept = fault.lose == "nothing"
            return Handling(fault.lose != "request", 0, kept, fault.delay_us)
        return Handling(wait_us=fault.delay_us if isinstance(fault, SlowAck) else 0)


@dataclass(slots=True)
class Injector:
    """The faults of one connection."""

    armed: list[_Armed]
    number: int = 1
    handlers: list[_Handler] = field(default_factory=list)

    def feed(self, frames: list[Frame], now_us: int) -> list[Out]:
        """Return what goes out instead of the frames due; a mark that ends is the last."""
        if all(armed.over for armed in self.armed):
            self.armed = []
            return list(frames)
        out: list[Out] = []
        for one in self._all(frames, now_us):
            out.append(one)
            if isinstance(one, Mark) and one.ends:
                break
        return out

    def subscribing(self, size: int, now_us: int) -> Handling:
        """Return what becomes of a SUBSCRIBE of so many bytes."""
        found = (h.handling() for h in self.handlers if h.takes(size, now_us))
        return next(found, Handling())

    def _all(self, frames: list[Frame], now_us: int) -> Iterator[Out]:
        for frame in frames:
            yield from self._through([frame], self.armed)
        for index, armed in enumerate(self.armed):
            # What one lets go still passes those behind it.
            yield from self._through(armed.pass_time(now_us, self.number), self.armed[index + 1 :])

    def _through(self, through: list[Out], armed: list[_Armed]) -> list[Out]:
        for one in armed:
            through = [
                out
                for frame in through
                for out in (
                    [frame] if isinstance(frame, Mark) else one.pass_frame(frame, self.number)
                )
            ]
        return through


@dataclass(slots=True)
class Faults:
    """All faults of sockets; hands each connection its own."""

    faults: tuple[Fault, ...]
    start_us: int
    frames_sent: int = 0
    _shared: dict[int, _Armed] = field(default_factory=dict)
    _handlers: dict[int, _Handler] = field(default_factory=dict)
    _refusing: list[_Refusing] = field(default_factory=list)
    _skews: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._refusing = [_Refusing(f) for f in self.faults if isinstance(f, Refuse)]
        skews = [f for f in self.faults if isinstance(f, Skew)]
        self._skews = [(*f.span(self.start_us), f.by_us) for f in skews]

    def refuse(self, number: int, now_us: int) -> int | None:
        """Return the status with which an attempt is refused, or None."""
        for refusing in self._refusing:
            if refusing.refuses(number, self.frames_sent, now_us, self.start_us):
                return refusing.fault.status
        return None

    def skew_us(self, time_us: int) -> int:
        """Return by how much the exchange's clock is wrong at a time."""
        return sum(by for begin, end, by in self._skews if begin <= time_us < end)

    def skewed(self, frames: list[Frame]) -> list[Frame]:
        """Return frames as the exchange's clock stamps them."""
        if not self._skews:
            return frames
        return [(f[0], f[1], _stamped(f[2], self.skew_us(f[0]))) for f in frames]

    def connect(self, number: int, now_us: int) -> Injector:
        """Return the faults of the connection of that number, which opens now."""
        armed: list[_Armed | None] = []
        handlers: list[_Handler] = []
        for index, fault in enumerate(self.faults):
            if isinstance(fault, FrameFault) and fault.connection in (None, number):
                armed.append(self._arm(index, fault, now_us))
            elif isinstance(fault, RequestFault) and fault.connection in (None, number):
                handlers.append(self._handle(index, fault, now_us))
        return Injector([one for one in armed if one is not None], number, handlers)

    def _arm(self, index: int, fault: FrameFault, now_us: int) -> _Armed | None:
        if fault.per == "connection":
            return _Armed(fault, None if fault.after_us is None else now_us + fault.after_us)
        if fault.after_us is not None:
            at_us = self.start_us + fault.after_us
            # The moment has passed: who connects later is spared.
            return _Armed(fault, at_us) if now_us < at_us else None
        return self._shared.setdefault(index, _Armed(fault, None))

    def _handle(self, index: int, fault: RequestFault, now_us: int) -> _Handler:
        if fault.per == "connection":
            return _Handler(fault, now_us + (fault.after_us or 0))
        return self._handlers.setdefault(
            index, _Handler(fault, self.start_us + (fault.after_us or 0))
        )


def _stamped(frame: bytes, by_us: int) -> bytes:
    def shifted(found: re.Match[bytes]) -> bytes:
        time = int(found[1])
        return b'"E":%d' % (time + (by_us if time >= _MICROSECONDS_FROM else by_us // 1000))

    # The number of digits stays, and so does the frame's length.
    return _EVENT_TIME.sub(shifted, frame, count=1) if by_us else frame
