"""The streams of a consumer: found as they come, each with its group, looked after."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from connectors.redis.keys import KINDS, StreamName, parse_key
from core.market.errors import ConfigError
from subscribers.entries import Missed
from subscribers.groups import GroupLink
from subscribers.look import FIRST, Look
from subscribers.stand import Stand

LOG = logging.getLogger("cryptotools.subscribers")

LASTING = tuple(kind for kind in KINDS if kind != "forming")
"""All kinds but klines that still change."""

ALL, NEW = "all", "new"

_LIST_S = 1.0  # between two looks at the writers' list
_SCAN_S = 10.0  # between two looks at all keys
_LOOK_S = 1.0  # between two looks at streams in which nothing happens
_LOOKED = 64  # streams of one such look


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams; empty filters take all. A symbol may be written with its exchange."""

    kinds: Collection[str] = LASTING
    symbols: Collection[str] = ()
    intervals: Collection[str] = ()

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ConfigError("kind", f"there is no `{kind}`", hint=f"one of {' '.join(KINDS)}")

    def takes(self, said: StreamName | None) -> bool:
        """Say whether a stream is one of them."""
        if said is None or said.kind not in self.kinds:
            return False
        key, chosen = said.key.upper(), {symbol.upper() for symbol in self.symbols}
        if chosen and not {key, key.partition(":")[2]} & chosen:
            return False
        return not self.intervals or not said.interval or said.interval in self.intervals

    def of(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that are, sorted."""
        return sorted(name for name in names if self.takes(parse_key(name)))


class Streams:
    """What a consumer knows of its streams.

    Args:
        link: Of the group.
        wanted: Which ones.
        start: Where a group begins that is not there yet: ``all``, ``new`` or an id.
        clock: Monotonic seconds.

    Attributes:
        stands: By name.
        missed: What was found missing and not handed out yet.
        held: Streams that were found with entries handed out and not acknowledged.

    """

    def __init__(
        self, link: GroupLink, wanted: Wanted, start: str, clock: Callable[[], float]
    ) -> None:
        self.stands: dict[str, Stand] = {}
        self.missed: list[Missed] = []
        self.held: list[str] = []
        self._link, self._wanted, self._start, self._clock = link, wanted, start, clock
        self._list_at = self._scan_at = self._look_at = float("-inf")
        self._begun = False
        self._turn = 0

    def tend(self) -> None:
        """Take in streams that are new, and look at some that are not, if it is time."""
        now = self._clock()
        if now >= self._list_at:
            self._list_at = now + _LIST_S
            self._find(now)
        if now >= self._look_at:
            self._look_at = now + _LOOK_S
            self._look_around()

    def above(self) -> dict[str, str]:
        """Return the last id that the group was given, by stream."""
        return {name: stand.last for name, stand in self.stands.items()}

    def look_at_risky(self, names: Iterable[str]) -> None:
        """Look at those of which entries may be trimmed away before they are read."""
        now = self._clock()
        stands = self.stands
        risky = [n for n in names if stands[n].near or now - stands[n].looked_at >= _LOOK_S]
        for name, look in self._link.look(risky).items():
            self.saw(name, look)

    def saw(self, name: str, look: Look | None) -> None:
        """Take a look at a stream; what is missing is noted, a group that is gone made again."""
        stand = self.stands[name]
        if look is None:
            self._removed(name)
            return
        missed = stand.missing(name, look)
        if missed is not None:
            self._note(missed)
        if not look.group:
            self._make_again(name, stand, look)
        stand.see(look, self._clock())

    def untell(self, missed: Iterable[Missed]) -> None:
        """Note again what was handed out and not taken."""
        self.missed = [*missed, *self.missed]

    def forget_times(self) -> None:
        """Find and look anew at once: the server may be another one."""
        self._list_at = self._scan_at = self._look_at = float("-inf")

    # ---- how ----

    def _find(self, now: float) -> None:
        names = self._link.registered()
        # A cluster has no such list.
        if not names or now >= self._scan_at:
            self._scan_at = now + _SCAN_S
            scanned = self._link.scanned()
            names |= scanned
            for name in [n for n in self.stands if n not in scanned]:
                if self._link.look([name])[name] is None:
                    self._removed(name)
        fresh = [name for name in self._wanted.of(names) if name not in self.stands]
        if fresh:
            self._adopt(fresh)
        self._begun = True

    def _adopt(self, names: list[str]) -> None:
        looks = {n: look for n, look in self._link.look(names).items() if look is not None}
        # Where the group is known already, a stream without it came since: all of it is new.
        known = self._begun or any(look.group for look in looks.values())
        starts = {
            name: (FIRST, 0) if known else self._start_of(look)
            for name, look in looks.items()
            if not look.group
        }
        self._link.create(starts)
        now = self._clock()
        for name, look in looks.items():
            stand = self.stands[name] = Stand()
            stand.see(look, now)
            stand.near = True
            if name in starts:
                stand.last = stand.floor = starts[name][0]
            elif look.pending:
                self.held.append(name)

    def _start_of(self, look: Look) -> tuple[str, int | None]:
        if self._start == ALL:
            return FIRST, 0
        return (look.newest, look.added) if self._start == NEW else (self._start, None)

    def _look_around(self) -> None:
        names = sorted(self.stands)
        if not names:
            return
        start = self._turn % len(names)
        some = (names[start:] + names[:start])[:_LOOKED]
        self._turn = start + len(some)
        for name, look in self._link.look(some).items():
            self.saw(name, look)

    def _make_again(self, name: str, stand: Stand, look: Look) -> None:
        start = FIRST if stand.went_back(look) else stand.floor
        LOG.warning("the group of %s is gone: made again, from above %s on", name, start)
        self._link.create({name: (start, 0 if start == FIRST else None)})
        stand.last = stand.floor = start

    def _removed(self, name: str) -> None:
        stand = self.stands.pop(name)
        # Without entries it was empty all along; whatever comes under its name is new.
        if stand.added:
            self._note(Missed(name, None, stand.last, "", "the stream was removed"))

    def _note(self, missed: Missed) -> None:
        LOG.warning("%s", missed)
        self.missed.append(missed)
