"""Bytewax shell that replays recorded inputs through a session: the same items as live.

A recording begins with the plan of its session; a capture of others has none, so it is read with
one that takes any symbol and has nobody to ask for holes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.shutdown import STOP
from core.exchange.plan import Plan
from core.exchange.session import Session
from core.market.events import Frame, Item, Quarantined
from telemetry import metrics

Reader: TypeAlias = Callable[[], Iterator[Sequence[Frame | Quarantined]]]
"""Opens one shard's inputs, oldest first, in lists of any length."""

_DRAIN_FRAMES = 4096
_LOOK = timedelta(seconds=1)


class ReplayPartition(StatefulSourcePartition[tuple[str, Item], int]):
    """Feeds one shard's inputs to a session; its snapshot is the number of inputs fed."""

    def __init__(self, reader: Reader, plan: Plan, *, skip: int, speed: float | None) -> None:
        self._inputs = (item for chunk in reader() for item in chunk)
        self._session = Session(plan)
        self._fed = 0
        self._speed = speed
        self._first_us = 0
        self._began: datetime | None = None
        self._awake: datetime | None = None
        self._held: Frame | Quarantined | None = None
        self._books = metrics.RowBooks()
        # The session is a function of its inputs: feeding them again brings it where it was.
        while self._fed < skip and self._feed_one():
            self._session.items()

    def next_batch(self) -> list[tuple[str, Item]]:
        """Return what the next inputs make the session say."""
        if STOP.is_set():
            raise StopIteration
        out: list[tuple[str, Item]] = []
        for _ in range(_DRAIN_FRAMES):
            more = self._feed_one(out)
            if not more or self._awake is not None:
                break
        out += self._session.items()
        self._books.show(self._session.totals())
        if not more and not out:
            raise StopIteration
        return out

    def next_awake(self) -> datetime | None:
        """Say when the next input is due, when replaying at a speed."""
        return self._awake

    def snapshot(self) -> int:
        """Return the number of inputs fed."""
        return self._fed

    def _feed_one(self, out: list[tuple[str, Item]] | None = None) -> bool:
        item = self._held if self._held is not None else next(self._inputs, None)
        self._held = None
        if item is None:
            return False
        if self._early(item):
            self._held = item
            return True
        self._fed += 1
        if isinstance(item, Quarantined):
            if out is not None:
                out += [*self._session.items(), (item.key, item)]
        elif item.kind == "start":
            self._restart(item, out)
        else:
            self._session.feed(item)
            self._session.requests()  # a replay asks nobody: the answers are inputs too
        return True

    def _restart(self, start: Frame, out: list[tuple[str, Item]] | None) -> None:
        if out is not None:
            out += self._session.items()
        self._books.show(self._session.totals())
        self._books = metrics.RowBooks()
        self._session = Session(Plan.model_validate_json(start.payload))
        self._session.feed(start)  # who is told something at the start is told it again

    def _early(self, item: Frame | Quarantined) -> bool:
        self._awake = None
        if self._speed is None or not isinstance(item, Frame):
            return False
        now = datetime.now(UTC)
        if self._began is None:
            self._began, self._first_us = now, item.received_us
        due = self._began + timedelta(
            microseconds=(item.received_us - self._first_us) / self._speed
        )
        if due <= now:
            return False
        self._awake = min(due, now + _LOOK)  # the stop flag is to be seen in time
        return True


class ReplaySource(FixedPartitionedSource[tuple[str, Item], int]):
    """Recorded inputs, one partition per shard.

    Args:
        readers: By partition name, what opens its inputs.
        plan: The plan of a shard whose inputs do not begin with one.
        speed: 1.0 is the recorded pace, None as fast as can be.

    """

    def __init__(
        self, readers: Mapping[str, Reader], *, plan: Plan | None = None, speed: float | None = None
    ) -> None:
        self._readers = readers
        self._plan = plan or Plan(repairs=False, any_symbol=True)
        self._speed = speed

    def list_parts(self) -> list[str]:
        """Return the partition names."""
        return sorted(self._readers)

    def build_part(self, _step_id: str, for_part: str, resume_state: int | None) -> ReplayPartition:
        """Return a partition that goes on where its snapshot stood."""
        return ReplayPartition(
            self._readers[for_part], self._plan, skip=resume_state or 0, speed=self._speed
        )
