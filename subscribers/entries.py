"""What a consumer hands out: entries, and word of those that it cannot hand out any more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from connectors.redis.codec import Entry
from core.market.records import Fields
from subscribers.typed import Typed, lane_of, typed


def order(entry_id: str) -> tuple[int, int]:
    """Return an id as numbers that compare as Redis compares ids."""
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq or 0)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An entry on its way to a consumer.

    Attributes:
        name: The stream's name.
        entry: As it stands in the stream.
        deliveries: How often it was handed out, this time included; above 1 it may have been
            processed before.

    """

    name: str
    entry: Entry
    deliveries: int = 1

    @property
    def id(self) -> str:
        """Its id within the stream."""
        return self.entry.id

    @property
    def key(self) -> str:
        """The instrument, ``binance:BTCUSDT``."""
        return self.entry.stream.key

    @property
    def kind(self) -> str:
        """The kind of record, ``kline``."""
        return self.entry.stream.kind

    @property
    def interval(self) -> str:
        """The interval of a kline's stream; empty for the others."""
        return self.entry.stream.interval

    @property
    def fields(self) -> Fields:
        """What stands in the entry, as text."""
        return self.entry.fields

    @property
    def seq(self) -> int:
        """Data position: the trade id for trades; the same in every re-run."""
        return int(self.fields["id" if self.kind == "trade" else "seq"])

    @property
    def lane(self) -> str:
        """Which part of the flow numbered it; only events have several."""
        return lane_of(self.fields["kind"]) if self.kind == "event" else ""

    @property
    def unique(self) -> tuple[str, str, str, str, int]:
        """``(key, kind, interval, lane, seq)``: no two records share it, however often they come.

        A store that has it as its primary key holds each record once. A mark of the highest number
        seen would not do: what a dead consumer left comes after what is newer.
        """
        return self.key, self.kind, self.interval, self.lane, self.seq

    @property
    def record(self) -> Typed:
        """The typed record; raises `core.market.errors.WireError` if it cannot be one."""
        return typed(self.entry)

    def as_dict(self) -> dict[str, str | int | Fields]:
        """Return ``key stream interval entry fields deliveries``, for JSON."""
        return {**self.entry.as_dict(), "deliveries": self.deliveries}


@dataclass(frozen=True, slots=True)
class Missed:
    """Entries that the group was never given, or did not finish, and that are gone.

    Attributes:
        name: The stream's name.
        count: How many; None where nobody can know.
        after: Id of the last entry before them.
        before: Id of the first entry behind them; empty: there is none yet.
        reason: What took them.

    """

    name: str
    count: int | None
    after: str
    before: str
    reason: str

    def __str__(self) -> str:
        many = "entries" if self.count is None else f"{self.count} entries"
        return f"{many} of {self.name} above {self.after} are gone: {self.reason}"

    def as_dict(self) -> dict[str, str | int | None]:
        """Return it for JSON."""
        return {
            "missed": self.count,
            "stream": self.name,
            "after": self.after,
            "before": self.before,
            "reason": self.reason,
        }


class Owner(Protocol):
    """The consumer of a batch."""

    def ack(self, batch: "Batch") -> None:
        """Note that it is done."""

    def retry(self, batch: "Batch") -> None:
        """Hand it out again."""

    def extend(self, batch: "Batch") -> None:
        """Keep others from taking it over."""

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Put an entry among the dead ones."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some entries, oldest first, of one stream or several; not acknowledged ones come again.

    Attributes:
        entries: What came; may be empty where something was missed.
        missed: What went before it could come.

    """

    entries: tuple[Delivery, ...]
    missed: tuple[Missed, ...] = ()
    owner: Owner | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.entries)

    def ids(self) -> dict[str, list[str]]:
        """Return the ids by stream."""
        found: dict[str, list[str]] = {}
        for delivery in self.entries:
            found.setdefault(delivery.name, []).append(delivery.id)
        return found

    def ack(self) -> None:
        """Note that all of it is done; waits while Redis is away."""
        self._ask(lambda owner: owner.ack(self))

    def retry(self) -> None:
        """Have it handed out again soon, to this consumer."""
        self._ask(lambda owner: owner.retry(self))

    def extend(self) -> None:
        """Say that it is still being worked on, so that no other consumer takes it over."""
        self._ask(lambda owner: owner.extend(self))

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Put one of its entries among the dead ones, because it can never be processed."""
        self._ask(lambda owner: owner.bury(delivery, reason))

    def _ask(self, what: Callable[[Owner], None]) -> None:
        if self.owner is not None:
            what(self.owner)
