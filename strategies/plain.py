"""What a strategy may keep: plain, small values."""

from typing import TypeAlias

from core.market.errors import StrategyError

Plain: TypeAlias = bool | int | float | str | None
"""Values that a snapshot can hold whatever becomes of the code."""

MOST_BYTES = 65_536
"""Size of one kept value: state is bounded by parameters, not by uptime."""


def check_plain(strategy: str, name: str, value: object) -> None:
    """Raise `StrategyError` if a strategy cannot keep `value` under that name."""
    if isinstance(value, str | int) and _size(value) > MOST_BYTES:
        why = f"keeps more than {MOST_BYTES} bytes in `{name}`"
        raise StrategyError(strategy, why, hint="keep numbers; windows belong in indicators")
    if value is not None and not isinstance(value, bool | int | float | str):
        why = f"keeps `{name}` as a `{type(value).__name__}`"
        raise StrategyError(strategy, why, hint="keep numbers, strings, booleans or None")


def plain(value: Plain) -> Plain:
    """Return the value as its plain type.

    Subclasses, such as numpy's float64, would bring their class into the snapshot.
    """
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


def _size(value: str | int) -> int:
    return len(value) if isinstance(value, str) else value.bit_length() // 8
