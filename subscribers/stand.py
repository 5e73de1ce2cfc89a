"""Where a group stands in a stream, as last seen, and what is missing between two looks.

Pure: the looks are handed in. Redis counts what was ever added to a stream and what a group was
given of it, so what was trimmed away unread has a number.
"""

from dataclasses import dataclass

from subscribers.entries import Missed, order
from subscribers.look import FIRST, Look

_MAX_SEQ = (1 << 64) - 1


@dataclass(slots=True)
class Stand:
    """One stream.

    Attributes:
        last: Id of the last entry that the group was given.
        floor: All entries up to here are done: if the group were gone, it would go on above.
        added: Entries that were ever in the stream.
        gone: Entries that were trimmed away.
        looked_at: When that was, monotonic seconds.
        near: Whether trimming is near to what the group has not been given yet.
        told: What was said to be missing above `last`: above which id, and how many.

    """

    last: str = FIRST
    floor: str = FIRST
    added: int = 0
    gone: int = 0
    looked_at: float = float("-inf")
    near: bool = True
    told: tuple[str, int] = ("", 0)

    def went_back(self, look: Look) -> bool:
        """Say whether the stream is another one than before, or an older state of it."""
        return look.added < self.added or look.gone < self.gone

    def see(self, look: Look, now: float) -> None:
        """Take over how the stream is."""
        self.added, self.gone, self.looked_at = look.added, look.gone, now
        if look.group:
            self.last = look.last
            self.floor = before(look.oldest_pending) if look.oldest_pending else look.last
            lag = look.length if look.lag is None else look.lag
            self.near = 2 * lag > look.length

    def missing(self, name: str, look: Look) -> Missed | None:
        """Return what is gone between the last entry given and the first one left, if not told.

        It counts as told from here on.
        """
        if self.went_back(look):
            return Missed(name, None, self.last, look.first, "the stream was removed or went back")
        if not look.group or not look.gone or _holds(look):
            return None
        count = None if look.read is None else look.gone - look.read
        if count is not None and count <= 0:
            return None
        known = self.told[1] if self.told[0] == look.last else 0
        self.told = (look.last, -1 if count is None else count)
        if count is None:
            return None if known else Missed(name, None, look.last, look.first, _TRIMMED)
        fresh = count - max(0, known)
        return Missed(name, fresh, look.last, look.first, _TRIMMED) if fresh > 0 else None


_TRIMMED = "trimmed away before they were read"


def before(entry_id: str) -> str:
    """Return the id right below an id.

    >>> before("7-3"), before("7-0")
    ('7-2', '6-18446744073709551615')
    """
    ms, seq = order(entry_id)
    if seq:
        return f"{ms}-{seq - 1}"
    return f"{ms - 1}-{_MAX_SEQ}" if ms else FIRST


def _holds(look: Look) -> bool:
    # The stream still holds the entry that the group was given last, or all behind it.
    return bool(look.first) and order(look.first) <= order(look.last)
