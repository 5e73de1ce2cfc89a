"""Faults are data: what goes wrong, when, and where, readable from one short text each.

    drop@after=5s                       every open connection, 5 s of exchange time after the start
    drop@frames=500,connection=1        the first connection, once it was sent 500 frames
    skip@frames=100,count=3,stream=btcusdt@trade
    duplicate@after=1m,per=connection   each connection, a minute after it opened
    garbage@frames=50,kind=nan
    stall@after=1m,for=30s,stream=btcusdt@trade
    shutdown@after=90s,shape=event
    refuse@connection=2,attempts=3,status=503

A new fault is a dataclass here: its fields are its options, `on_frame` is what it does.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

from core.market.errors import ConfigError

Frame: TypeAlias = tuple[int, str, bytes]
"""(time ``E`` in microseconds, stream name, the WebSocket frame as bytes)."""

CUT: Final[Frame] = (0, "", b"")
"""In the place of a frame: the connection ends here, without a closing handshake."""

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

ShutdownShape = Literal["raw", "combined", "event"]
SHUTDOWN: Final[dict[str, str]] = {
    "raw": '{"e":"serverShutdown","E":1770123456789}',
    "combined": '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
    "event": '{"event":{"e":"serverShutdown","E":1770123456789}}',
}
"""The shapes of the announcement: raw, on combined streams, on the WebSocket API."""

_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)", re.ASCII)
_TIMES = {"after": "after_us", "for": "for_us"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(ABC):
    """What is common: when it starts, and where.

    It starts with the frame after `frames` matching ones, or at `after_us` of exchange time (with
    both, when both have come; with neither, at once). A time is one moment, and concerns each
    connection that is open then.

    Attributes:
        frames: Data frames that pass before it starts.
        after_us: Exchange time that passes before it starts, in microseconds.
        per: ``exchange``: counted over all connections since the start of the simulator, and
            it happens once. ``connection``: counted, and happening, on each connection.
        connection: Only on the connection of that number, from 1; implies ``per=connection``.
        stream: Only frames of that stream are counted and touched.

    """

    kind: ClassVar[str] = ""
    needs_frame: ClassVar[bool] = True

    frames: int | None = None
    after_us: int | None = None
    per: Literal["exchange", "connection"] = "exchange"
    connection: int | None = None
    stream: str = ""

    def __post_init__(self) -> None:
        if self.connection is not None:
            object.__setattr__(self, "per", "connection")

    @abstractmethod
    def on_frame(self, step: int, frame: Frame | None, since_us: int) -> list[Frame] | None:
        """Return what goes out instead of a frame, or None when the fault is over.

        Args:
            step: How often it was asked since it started, from 0.
            frame: The frame that is due; None when time alone started it (only for a fault that
                needs no frame).
            since_us: Exchange time since it started.

        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Fault):
    """Cut the TCP connection, as a crash or a router does; the client sees code 1006."""

    kind: ClassVar[str] = "drop"
    needs_frame: ClassVar[bool] = False

    def on_frame(self, step: int, frame: Frame | None, since_us: int) -> list[Frame] | None:
        """Cut before the frame, once."""
        return None if step else [CUT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip(Fault):
    """Lose frames."""

    kind: ClassVar[str] = "skip"

    count: int = 1

    def on_frame(self, step: int, frame: Frame | None, since_us: int) -> list[Frame] | None:
        """Send nothing instead of each of `count` frames."""
        return [] if step < self.count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Fault):
    """Send frames twice."""

    kind: ClassVar[str] = "duplicate"

    count: int = 1

    def on_frame(self, step: int, frame: Frame | None, since_us: int) -> list[Frame] | None:
        """Send each of `count` frames twice."""
        return [frame, frame] if frame and step < self.count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage(Fault):
    """Send what an exchange never says; the frames themselves all go out."""

    kind: ClassVar[str] = "garbage"
    needs_frame: ClassVar[bool] = False

    what: GarbageKind = "all"
    count: int = 1

    def on_frame(self, step: int, frame: Frame | None, since_us: int) -> list[Frame] | None:
        """Put garbage before each of `count` frames; ``all`` takes the kinds in turn."""
        if step >= self.count * (len(GARBAGE) if self.what == "all" else 1):
            return None
        kind = list(GARBAGE)[step % len(GARBAGE)] if self.what == "all" else self.what
        garbage: Frame = (0, "", framed(GARBAGE[kind].encode()))
        return [garbage, frame] if frame else [garbage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Fault):
    """Send nothing for a while, though the connection stays open and REST has the trades.

    With `stream` only that one falls silent, which no ping can tell.
    """

    kind: ClassVar[str] = "stall"

    for_us: int = 30_000_000

    def on_frame(self, step: int, frame: Frame | None, since_us: int) -> list[Frame] | None:
        """Send nothing instead of the frames of that while."""
        return [] if since_us < self.for_us else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown(Fault):
    """Announce, in one of its three shapes, that the server will shut down; it does not yet."""

    kind: ClassVar[str] = "shutdown"
    needs_frame: ClassVar[bool] = False

    shape: ShutdownShape = "combined"

    def on_frame(self, step: int, frame: Frame | None, since_us: int) -> list[Frame] | None:
        """Say it once, before the frame."""
        if step:
            return None
        said: Frame = (0, "", framed(SHUTDOWN[self.shape].encode()))
        return [said, frame] if frame else [said]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Fault):
    """Refuse the handshake: `attempts` times, or for a while (then however often it is tried).

    With `connection` it waits for the attempt that would become that connection.
    """

    kind: ClassVar[str] = "refuse"

    status: int = 503
    attempts: int = 1
    for_us: int | None = None

    def on_frame(self, step: int, frame: Frame | None, since_us: int) -> list[Frame] | None:
        """Do nothing: it concerns connections that are not open yet."""
        return None


FAULTS: Final[dict[str, type[Fault]]] = {
    kind.kind: kind for kind in (Drop, Skip, Duplicate, Garbage, Stall, Shutdown, Refuse)
}


def framed(payload: bytes) -> bytes:
    """Return a text as one unmasked WebSocket frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def parse_fault(text: str) -> Fault:
    """Return the fault of a text such as ``drop@after=5s``, or raise `ConfigError`."""
    kind, _, rest = text.strip().partition("@")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError("faults", f"`{part}` in `{text}` is no option", hint=_HINT)
        options[name.strip()] = value.strip()
    return make_fault({"fault": kind, **options})


def make_fault(options: Mapping[str, Any]) -> Fault:
    """Return the fault of a mapping as JSON and TOML give it; `fault` is its name."""
    rest = dict(options)
    name = str(rest.pop("fault", ""))
    kind = FAULTS.get(name)
    if kind is None:
        hint = f"known are {' '.join(FAULTS)}"
        raise ConfigError("faults", f"unknown fault `{name}`", hint=hint)
    known = {f.name: str(f.type) for f in fields(kind)}
    given: dict[str, Any] = {}
    for key, value in rest.items():
        # `kind` is what people write for the kind of garbage.
        field = _TIMES.get(key, "what" if key == "kind" else key)
        if field not in known:
            hint = f"{name} knows {' '.join(_outer(f) for f in known)}"
            raise ConfigError("faults", f"`{name}` has no option `{key}`", hint=hint)
        given[field] = _value(key, value, known[field], span=field.endswith("_us"))
    return kind(**given)


def read_fault(given: object) -> object:
    """Return what a settings file holds as a fault: a text, a mapping, or one already made."""
    if isinstance(given, str):
        return parse_fault(given)
    return make_fault(given) if isinstance(given, Mapping) else given


def fault_text(fault: Fault) -> str:
    """Return the text that `parse_fault` reads as this fault; options at their default left out."""
    default = {f.name: f.default for f in fields(fault) if f.default is not MISSING}
    if fault.connection is not None:
        default["per"] = "connection"
    options = [
        f"{_outer(name)}={f'{value}us' if name.endswith('_us') else value}"
        for name, value in asdict(fault).items()
        if value != default[name]
    ]
    return f"{fault.kind}@{','.join(options)}" if options else fault.kind


_HINT = "write it as name@option=value,option=value, such as drop@after=5s"


def _outer(field: str) -> str:
    return next((key for key, name in _TIMES.items() if name == field), field)


def _value(key: str, value: object, kind: str, *, span: bool) -> object:
    text = str(value)
    if span:
        return _span(key, text)
    if "int" in kind:
        if not (text.isascii() and text.isdecimal()):
            raise ConfigError("faults", f"`{key}={text}` is no whole number", hint=_HINT)
        return int(text)
    allowed = {
        "per": ("exchange", "connection"),
        "kind": get_args(GarbageKind),
        "shape": get_args(ShutdownShape),
    }.get(key)
    if allowed and text not in allowed:
        raise ConfigError("faults", f"`{key}={text}`", hint=f"known are {' '.join(allowed)}")
    return text


def _span(key: str, text: str) -> int:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ConfigError("faults", f"`{key}={text}` is no time", hint="write it as 500ms, 5s, 2m")
    return int(float(match[1]) * _UNITS[match[2]])
