"""Texts with ``{fields}``: nothing but names, so that no template reaches into what it shows."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from string import Formatter

from core.market.errors import ConfigError

_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Template:
    """A text that was checked; `parts` are literal text and the name of the field behind it."""

    parts: tuple[tuple[str, str], ...]

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text; a field that the record does not have is empty.

        A reason that is empty takes the dash before it along.
        """
        text = "".join(before + values.get(name, "") for before, name in self.parts)
        return text.replace(" —  (", " (").removesuffix(" — ").strip()[:_LIMIT]


def template(text: str, known: Collection[str], setting: str) -> Template:
    """Return a template of these fields.

    Raises:
        ConfigError: It is none, or names a field that there is not.

    """
    try:
        read = list(Formatter().parse(text))
    except ValueError as error:
        raise ConfigError(setting, f"`{text}`: {error}", hint="{{ is a brace") from None
    for _, name, spec, conversion in read:
        if name is None:
            continue
        if spec or conversion or not name.isidentifier():
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise ConfigError(setting, f"`{{{shown}}}` is not just a name", hint="such as {price}")
        if name not in known:
            raise _unknown(setting, name, known)
    return Template(tuple((before, name or "") for before, name, _, _ in read))


def _unknown(setting: str, name: str, known: Collection[str]) -> ConfigError:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    names = " ".join(sorted(known))
    hint = f"did you mean `{{{near[0]}}}`? known are {names}" if near else f"known are {names}"
    return ConfigError(setting, f"there is no field `{{{name}}}`", hint=hint)
