"""All faults by name, and each described for people: options, what it does, what Binance does."""

from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from simulator.faults.base import Fault
from simulator.faults.connection import (
    Ack,
    Close,
    Drop,
    HalfOpen,
    Refuse,
    Reset,
    Shutdown,
    SlowAck,
)
from simulator.faults.frames import Duplicate, Garbage, Late, Mute, Reorder, Skip, Stall
from simulator.faults.market import BadAggregates, Skew, Status
from simulator.faults.rest import Partial, RestHang, RestLag, RestStatus, Torn

FAULTS: Final[dict[str, type[Fault]]] = {
    kind.kind: kind
    for kind in (
        Drop, Reset, HalfOpen, Close, Shutdown, Refuse, Ack, SlowAck,
        Mute, Stall, Skip, Duplicate, Garbage, Reorder, Late,
        RestStatus, RestHang, RestLag, Partial, Torn,
        Status, BadAggregates, Skew,
    )
}  # fmt: skip
"""By the name that starts their text."""

UNITS: Final = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_SIGNED = {"by"}
_COMMON = ("after", "for", "frames", "count", "path", "symbol", "stream", "connection", "per")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a fault as people write it.

    Attributes:
        field: Of the dataclass.
        name: In a text.
        takes: ``time``, ``number``, ``text`` or ``choice``.
        choices: What may be chosen, as text.
        signed: Whether a time may be negative.

    """

    field: str
    name: str
    takes: Literal["time", "number", "text", "choice"]
    default: Any
    choices: tuple[str, ...] = ()
    signed: bool = False

    def __str__(self) -> str:
        if self.choices:  # the default is the first
            names = sorted(self.choices, key=lambda name: name != str(self.default))
            return f"{self.name}={'|'.join(names)}"
        if self.default is None or self.default == "":
            return f"{self.name}={self.takes.upper()}"
        return f"{self.name}={self.text(self.default)}"

    def text(self, value: object) -> str:
        """Return a value as it is written."""
        if self.takes == "time" and isinstance(value, int) and value:
            unit = next(u for u in reversed(UNITS) if value % UNITS[u] == 0)
            return f"{value // UNITS[unit]}{unit}"
        return "0s" if self.takes == "time" and value == 0 else str(value)


def options(kind: type[Fault]) -> dict[str, Option]:
    """Return a fault's options by the name in a text, those of many faults last."""
    hints = get_type_hints(kind)
    found = [_option(f.name, hints[f.name], f.default) for f in fields(kind)]
    found.sort(key=lambda option: _COMMON.index(option.name) if option.name in _COMMON else -1)
    return {option.name: option for option in found}


def _option(field: str, hint: object, default: object) -> Option:
    default = None if default is MISSING else default
    if field.endswith("_us"):
        name = field.removesuffix("_us")
        return Option(field, name, "time", default, signed=name in _SIGNED)
    name = "kind" if field == "what" else field
    if get_origin(hint) is Literal:
        return Option(field, name, "choice", default, tuple(map(str, get_args(hint))))
    numeric = hint is int or int in get_args(hint)
    return Option(field, name, "number" if numeric else "text", default)


def about(kind: type[Fault]) -> str:
    """Return in one line what a fault does."""
    return (kind.__doc__ or "").partition("\n")[0].rstrip(".")


def table() -> list[dict[str, Any]]:
    """Return all faults as rows: name, about, fact, and options as people write them."""
    return [
        {
            "name": name,
            "about": about(kind),
            "fact": kind.fact,
            "options": [
                {"name": o.name, "text": str(o), "takes": o.takes, "choices": list(o.choices)}
                for o in options(kind).values()
            ],
        }
        for name, kind in FAULTS.items()
    ]
