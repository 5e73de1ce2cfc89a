"""Carries faults out: counts frames and time, and lets each fault change what is due."""

from dataclasses import dataclass, field

from simulator.faults import CUT, Fault, Frame, Refuse


@dataclass(slots=True)
class _Armed:
    """One fault and how far it has come."""

    fault: Fault
    at_us: int | None
    seen: int = 0
    step: int = 0
    began_us: int = 0
    over: bool = False

    def pass_frame(self, frame: Frame) -> list[Frame]:
        """Return what goes out instead of a frame."""
        fault = self.fault
        if self.over or (fault.stream and fault.stream != frame[1]):
            return [frame]
        self.seen += 1
        if not self._started(frame[0]):
            return [frame]
        return self._act(frame, frame[0]) or ([] if not self.over else [frame])

    def pass_time(self, now_us: int) -> list[Frame]:
        """Return what goes out because of the time alone."""
        fault = self.fault
        if self.over or self.at_us is None or fault.needs_frame or fault.frames is not None:
            return []
        return self._act(None, now_us) if now_us >= self.at_us else []

    def _started(self, time_us: int) -> bool:
        counted = self.fault.frames is None or self.seen > self.fault.frames
        return counted and (self.at_us is None or time_us >= self.at_us)

    def _act(self, frame: Frame | None, time_us: int) -> list[Frame]:
        if not self.step:
            self.began_us = time_us
        done = self.fault.on_frame(self.step, frame, time_us - self.began_us)
        self.step += 1
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


@dataclass(slots=True)
class Injector:
    """The faults of one connection."""

    armed: list[_Armed]

    def feed(self, frames: list[Frame], now_us: int) -> tuple[list[Frame], bool]:
        """Return what goes out instead of the frames due, and whether the connection ends then."""
        if all(armed.over for armed in self.armed):
            self.armed = []
            return frames, False
        out: list[Frame] = []
        for frame in frames:
            for one in self._pass(frame):
                if one is CUT:
                    return out, True
                out.append(one)
        for armed in self.armed:
            out += armed.pass_time(now_us)
        return (out[: out.index(CUT)], True) if CUT in out else (out, False)

    def _pass(self, frame: Frame) -> list[Frame]:
        through = [frame]
        for armed in self.armed:
            through = [
                out for one in through for out in ([one] if one is CUT else armed.pass_frame(one))
            ]
        return through


@dataclass(slots=True)
class Faults:
    """All faults of the exchange; hands each connection its own."""

    faults: tuple[Fault, ...]
    start_us: int
    frames_sent: int = 0
    _shared: dict[int, _Armed] = field(default_factory=dict)
    _refusing: list[_Refusing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._refusing = [_Refusing(f) for f in self.faults if isinstance(f, Refuse)]

    def refuse(self, number: int, now_us: int) -> int | None:
        """Return the status with which an attempt is refused, or None."""
        for refusing in self._refusing:
            if refusing.refuses(number, self.frames_sent, now_us, self.start_us):
                return refusing.fault.status
        return None

    def connect(self, number: int, now_us: int) -> Injector:
        """Return the faults of the connection of that number, which opens now."""
        armed = (
            self._arm(index, fault, now_us)
            for index, fault in enumerate(self.faults)
            if not isinstance(fault, Refuse) and fault.connection in (None, number)
        )
        return Injector([one for one in armed if one is not None])

    def _arm(self, index: int, fault: Fault, now_us: int) -> _Armed | None:
        if fault.per == "connection":
            return _Armed(fault, None if fault.after_us is None else now_us + fault.after_us)
        if fault.after_us is not None:
            at_us = self.start_us + fault.after_us
            # The moment has passed: who connects later is spared.
            return _Armed(fault, at_us) if now_us < at_us else None
        return self._shared.setdefault(index, _Armed(fault, None))
