"""Beginnings of strategies: files with a name to be filled in."""

import re
from importlib import resources

_CLASS, _NAME = "TemplateClass", "template_name"
_SUFFIX = ".py.txt"
_TEST = "_test"


def templates() -> dict[str, str]:
    """Return what templates there are, by name, and what each is for."""
    found = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda f: f.name):
        name, dot, rest = file.name.partition(".")
        if f"{dot}{rest}" == _SUFFIX and name != _TEST:
            found[name] = file.read_text(encoding="utf-8").partition('"""')[2].partition("\n")[0]
    return found


def written(template: str, name: str) -> str:
    """Return the file of a strategy of that name, from a template."""
    return _filled(template, name)


def written_test(name: str) -> str:
    """Return the file of its tests."""
    return _filled(_TEST, name)


def class_of(name: str) -> str:
    """Return the name of the class for a strategy's name.

    >>> class_of("my_rsi_2")
    'MyRsi2'
    """
    return "".join(word.capitalize() for word in re.split(r"_+", name) if word)


def _filled(template: str, name: str) -> str:
    file = resources.files(__name__) / f"{template}{_SUFFIX}"
    text = file.read_text(encoding="utf-8")
    return text.replace(_CLASS, class_of(name)).replace(_NAME, name)
