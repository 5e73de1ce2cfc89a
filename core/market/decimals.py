"""Exact decimals as scaled integers: ``"61837.63"`` is the units 6183763 at scale 2.

A text that leaves us is canonical: no exponent, no trailing zeros after the point. So the same
number has the same text however it was held, and files and hashes can be compared byte for byte.
"""

import re
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

from core.market.errors import DecimalError

MAX_DIGITS = 18
"""Digits of one price or quantity that int64 always holds (and decimal128(18) in Parquet)."""

MAX_PLACES = 9
"""Decimal places of one price or quantity: their product then has at most 18 (Binance prints 8)."""

EXACT = Context(prec=100, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
"""Python's own context rounds to 28 digits without a word; this one raises instead."""

_PLAIN = re.compile(r"(\d{1,40})(?:\.(\d{0,40}))?", re.ASCII)


def parse(text: str) -> tuple[int, int]:
    """Return (units, scale) of a plain, non-negative decimal; the scale is as small as it can be.

    >>> parse("61837.63000000"), parse("100"), parse("0.00000001"), parse("0.000")
    ((6183763, 2), (100, 0), (1, 8), (0, 0))
    """
    match = _PLAIN.fullmatch(text)
    if match is None:
        raise DecimalError(text, "expected digits, optionally a point and more digits")
    whole, fraction = match[1], (match[2] or "").rstrip("0")
    units = int(whole + fraction)
    if units >= 10**MAX_DIGITS:
        raise DecimalError(text, f"more than {MAX_DIGITS} significant digits")
    if len(fraction) > MAX_PLACES:
        raise DecimalError(text, f"more than {MAX_PLACES} decimal places")
    return units, len(fraction)


def to_text(units: int, scale: int) -> str:
    """Return the canonical text of `units` at `scale`.

    >>> to_text(6183760, 2), to_text(-5, 3), to_text(7, 0), to_text(0, 8)
    ('61837.6', '-0.005', '7', '0')
    """
    if not scale:
        return str(units)
    sign, digits = ("-", str(-units)) if units < 0 else ("", str(units))
    digits = digits.rjust(scale + 1, "0")
    fraction = digits[-scale:].rstrip("0")
    return (
        f"{sign}{digits[:-scale]}.{fraction}" if fraction else sign * bool(units) + digits[:-scale]
    )


def rescale(units: int, scale: int, to: int) -> int:
    """Return `units` at a scale that is at least as fine.

    >>> rescale(15, 1, 3)
    1500
    """
    if to < scale:
        raise DecimalError(to_text(units, scale), f"cannot be held at the coarser scale {to}")
    return int(units * 10 ** (to - scale))


def exact(units: int, scale: int) -> Decimal:
    """Return `units` at `scale` as a decimal, none of its digits lost.

    >>> exact(6183760, 2), exact(-5, 3)
    (Decimal('61837.6'), Decimal('-0.005'))
    """
    return Decimal(to_text(units, scale))


def units_at(value: Decimal, scale: int) -> int:
    """Return a decimal as units of ``10**-scale``, or raise `DecimalError` if it is finer.

    >>> units_at(Decimal("1.5"), 3)
    1500
    """
    wide = value.scaleb(scale, EXACT)
    units = int(wide)
    if units != wide:
        raise DecimalError(value, f"more than {scale} decimal places")
    return units


def plain(value: Decimal) -> str:
    """Return a decimal's canonical text.

    >>> plain(Decimal("1.50")), plain(Decimal("1E+3")), plain(Decimal("-0.0"))
    ('1.5', '1000', '0')
    """
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
