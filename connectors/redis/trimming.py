"""What trimming takes from readers: never a surprise.

Streams are bounded, so the oldest entries go. Two things are worth a word: a consumer group that
had not been given what went, and a stream so short that a reader's pause of minutes loses entries.
"""

import logging
from collections.abc import Iterable
from typing import Any

from connectors.redis.link import Link

LOG = logging.getLogger("cryptotools.redis")

EVERY_S = 60.0
"""Between two looks."""
_SHORT_MS = 10 * 60_000
_SEVERAL = 100  # streams at one look


class TrimWatch:
    """Looks at streams from time to time; says each thing once."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._lost: dict[tuple[str, str], int] = {}
        self._short: set[str] = set()

    def look(self, link: Link, names: Iterable[str], now: float) -> None:
        """Look, if it is time; `now` is monotonic seconds."""
        if now < self._next_at:
            return
        self._next_at = now + EVERY_S
        chosen = [n for n in names if not n.endswith(":forming")][:_SEVERAL]
        streams = link.ask_all([("XINFO", "STREAM", name) for name in chosen])
        groups = link.ask_all([("XINFO", "GROUPS", name) for name in chosen])
        for name, stream, found in zip(chosen, streams, groups, strict=True):
            if isinstance(stream, list) and isinstance(found, list):  # else an ACL forbids it
                self._look_at(name, _pairs(stream), [_pairs(group) for group in found])

    def _look_at(self, name: str, stream: dict[str, Any], groups: list[dict[str, Any]]) -> None:
        added, length = stream.get("entries-added", 0), stream.get("length", 0)
        gone = added - length
        for group in groups:
            lost = gone - (group.get("entries-read") or 0)
            who = (name, str(group.get("name")))
            if lost > self._lost.get(who, 0):
                self._lost[who] = lost
                told = "%d entries of %s went by trimming before group %s was given them: %s"
                LOG.warning(told, lost, name, who[1], "read faster, or raise redis.keep")
        span_ms = _ms(stream.get("last-entry")) - _ms(stream.get("first-entry"))
        if gone > 0 and 0 < span_ms < _SHORT_MS and name not in self._short:
            self._short.add(name)
            told = "%s holds the last %d s only: raise redis.keep for readers that pause"
            LOG.warning(told, name, span_ms // 1000)


def _pairs(flat: list[Any]) -> dict[str, Any]:
    texts = [x.decode() if isinstance(x, bytes) else x for x in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _ms(entry: Any) -> int:  # noqa: ANN401 - [id, fields], or None
    return int(entry[0].partition(b"-")[0]) if entry else 0
