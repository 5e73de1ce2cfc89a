"""Reads faults from texts such as ``drop@after=5s`` and from the mappings of JSON and TOML."""

import re
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from core.market.errors import ConfigError
from simulator.faults.base import Fault
from simulator.faults.catalogue import FAULTS, UNITS, Option, options

_SPAN = re.compile(r"(-?)(\d+(?:\.\d+)?)(us|ms|s|m|h)", re.ASCII)
_HINT = "write it as name@option=value,option=value, such as drop@after=5s"


def parse_fault(text: str) -> Fault:
    """Return the fault of a text such as ``drop@after=5s``, or raise `ConfigError`."""
    kind, _, rest = text.strip().partition("@")
    given: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError("faults", f"`{part}` in `{text}` is no option", hint=_HINT)
        given[name.strip()] = value.strip()
    return make_fault({"fault": kind, **given})


def make_fault(given: Mapping[str, Any]) -> Fault:
    """Return the fault of a mapping as JSON and TOML give it; `fault` is its name."""
    rest = dict(given)
    name = str(rest.pop("fault", ""))
    kind = FAULTS.get(name)
    if kind is None:
        why = f"unknown fault `{name}`" if name else "a fault without a name, `fault`"
        raise ConfigError("faults", why, hint=_nearest(name, FAULTS))
    known = options(kind)
    values: dict[str, Any] = {}
    for key, value in rest.items():
        if key not in known:
            hint = f"{name} knows {' '.join(known)}"
            raise ConfigError("faults", f"`{name}` has no option `{key}`", hint=hint)
        values[known[key].field] = _value(known[key], value)
    return kind(**values)


def read_fault(given: object) -> object:
    """Return what a settings file holds as a fault: a text, a mapping, or one already made."""
    if isinstance(given, str):
        return parse_fault(given)
    return make_fault(given) if isinstance(given, Mapping) else given


def fault_text(fault: Fault) -> str:
    """Return the text that `parse_fault` reads as this fault; options at their default left out."""
    told = []
    defaults = {f.name: f.default for f in fields(fault)}
    for option in options(type(fault)).values():
        value = getattr(fault, option.field)
        implied = option.field == "per" and getattr(fault, "connection", None) is not None
        if value != defaults[option.field] and not implied:
            told.append(f"{option.name}={option.text(value)}")
    return f"{fault.kind}@{','.join(told)}" if told else fault.kind


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, 1, 0.6)
    return f"did you mean `{near[0]}`?" if near else f"known are {' '.join(known)}"


def _value(option: Option, value: object) -> object:
    text = str(value)
    if option.takes == "time":
        return _span(option, text)
    if option.takes == "number":
        return _number(option.name, text)
    if option.takes == "choice":
        if text not in option.choices:
            hint = f"known are {' '.join(option.choices)}"
            raise ConfigError("faults", f"`{option.name}={text}`", hint=hint)
        return int(text) if isinstance(option.default, int) else text
    return text


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError("faults", f"`{name}={text}` is no whole number", hint=_HINT)
    return int(text)


def _span(option: Option, text: str) -> int:
    match = _SPAN.fullmatch(text)
    if match is None or (match[1] and not option.signed):
        hint = "write it as 500ms, 5s, 2m" + ", -3s" * option.signed
        raise ConfigError("faults", f"`{option.name}={text}` is no time", hint=hint)
    return (-1 if match[1] else 1) * int(float(match[2]) * UNITS[match[3]])
