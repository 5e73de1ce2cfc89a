"""Hides secrets in text that is to be logged or told: known ones, and what looks like one.

Settings tell which secrets there are (`config.secret.secrets_of`). Passwords in addresses, tokens
of the API and values of parameters such as ``token=`` are known by their shape.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

STARS = "***"

_SHORTEST = 4
"""A shorter secret is part of too many words; who has one has none."""
_TELLING = 12
"""Part of an address from which length on it may be a secret by itself."""

_SHAPES = (
    (re.compile(r"(\b[A-Za-z][\w+.-]*://[^\s/@:]*:)[^\s/]+(?=@)"), rf"\1{STARS}"),
    (re.compile(r"\bct_[\w-]{8}_[\w-]{20,}"), f"ct_{STARS}"),
    (re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]{8,}"), rf"\1{STARS}"),
    (
        re.compile(r"(?i)([?&](?:token|access_token|api_?key|key|secret|password|signature)=)[^&\s]+"),
        rf"\1{STARS}",
    ),
)  # fmt: skip


class Mask:
    """Puts stars in the place of secrets."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str]) -> None:
        """Learn secrets; of an address, also what in it may be one by itself."""
        for secret in secrets:
            self._known.update(part for part in _spellings(secret) if len(part) >= _SHORTEST)
        if self._known:
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """Return a text without secrets.

        >>> Mask()("cannot reach redis://app:hunter2@10.0.0.1:6379/0")
        'cannot reach redis://app:***@10.0.0.1:6379/0'
        """
        if self._pattern is not None:
            text = self._pattern.sub(STARS, text)
        for shape, hidden in _SHAPES:
            text = shape.sub(hidden, text)
        return text


def _spellings(secret: str) -> Iterator[str]:
    for part in (secret, *_parts(secret)):
        yield from (part, quote(part, safe=""), quote(part), quote_plus(part), unquote(part))
        yield from (repr(part)[1:-1], part.encode("unicode_escape").decode())


def _parts(secret: str) -> Iterator[str]:
    scheme, found, rest = secret.partition("://")
    if not found:
        return
    web = scheme.lower() in {"http", "https"}
    yield rest
    host, slash, path = rest.partition("/")
    if slash and len(path) >= _TELLING:
        yield slash + path
    names = re.split(r"[/?&=@:]", path if web else rest)
    yield from (name for name in names if len(name) >= _TELLING and not name.islower())
    try:
        yield urlsplit(secret).password or ""
    except ValueError:  # such as a bracket without its other half
        yield host.rpartition("@")[0]


MASK = Mask()
"""The process's own."""
