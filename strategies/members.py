"""The klines of the symbols that one instance looks at: those that were taken, those that wait."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from core.market.intervals import interval
from core.market.kline import Kline
from core.market.symbols import Instrument
from strategies.base import Strategy
from strategies.history import History, in_order
from strategies.spec import InstanceSpec

NEVER = -(2**63)

State: TypeAlias = tuple[tuple[str, str, str, str, bytes, bytes], ...]


@dataclass(slots=True)
class Member:
    """One symbol's klines of one interval.

    Attributes:
        leg: What the strategy calls the symbol; empty: its own.

    """

    leg: str
    kept: History
    waiting: History


class Members:
    """All of them, by the symbol's key and the name of the interval; the legs first.

    Args:
        exchange: Of the symbols.
        most: Klines that may wait, of each.

    """

    def __init__(self, exchange: str, most: int) -> None:
        self._exchange, self._most = exchange, most
        self._members: dict[tuple[str, str], Member] = {}

    def get(self, kline: Kline) -> Member | None:
        """Return the member that a kline belongs to; None where nobody looks at it."""
        return self._members.get((kline.key, kline.interval.name))

    def clear(self) -> None:
        """Forget everything."""
        self._members.clear()

    def choose(self, spec: InstanceSpec, strategy: Strategy) -> None:
        """Keep what an instance looks at, and nothing else."""
        own = max(strategy.lookback, strategy.convergence)
        needs = {(leg, spec.interval): own for leg in (*spec.legs, "")}
        for need in strategy.needs:
            at = need.leg, need.interval or spec.interval
            needs[at] = max(needs.get(at, 0), need.klines)
        chosen = {}
        # The legs first: what ends together is taken in the order of the members.
        for (leg, name), klines in sorted(needs.items(), key=lambda one: not one[0][0]):
            key = self._key_of(spec.legs[leg] if leg else spec.symbols[0])
            chosen[key, name] = self._member(key, name, leg, klines)
        self._members = chosen

    def bring(self, key: str, leg: str, klines: Iterable[Kline]) -> None:
        """Take klines that a symbol had before, as far as they are not here yet."""
        for name, group in groupby(sorted(klines, key=_name_of), key=_name_of):
            member, rows = self._member(key, name, leg, 1), list(group)
            first_us = min((k.open_us for k in (*member.kept, *member.waiting)), default=NEVER)
            last_us = max(member.kept.last_open_us, member.waiting.last_open_us)
            member.kept.grow(len(rows) + len(member.kept))
            member.kept.prepend(k for k in rows if k.open_us < first_us)
            for kline in rows:
                if kline.open_us > last_us:
                    member.waiting.add(kline)

    def until(self, close_us: int) -> Iterator[tuple[Member, Kline]]:
        """Take the waiting klines that end by then, in order; they are kept from now on."""
        waiting = [member.waiting.take_until(close_us) for member in self._members.values()]
        for kline in in_order(waiting):
            member = self._members[kline.key, kline.interval.name]
            member.kept.add(kline)
            yield member, kline

    def kept(self) -> Iterator[tuple[Member, Kline]]:
        """Return the klines that were taken, in order."""
        for kline in in_order(member.kept for member in self._members.values()):
            yield self._members[kline.key, kline.interval.name], kline

    def waiting(self) -> int:
        """Return how many klines wait."""
        return sum(len(member.waiting) for member in self._members.values())

    def common_us(self, spec: InstanceSpec) -> int:
        """Return the end of the newest kline that every symbol has given."""
        open_us = min(self.reached_us(spec, symbol) for symbol in spec.watched)
        return NEVER if open_us == NEVER else interval(spec.interval).end_of(open_us) - 1

    def reached_us(self, spec: InstanceSpec, symbol: str) -> int:
        """Return the start of the newest kline that a symbol has given."""
        member = self._members[self._key_of(symbol), spec.interval]
        return max(member.kept.last_open_us, member.waiting.last_open_us)

    def snapshot(self) -> State:
        """Return all klines."""
        return tuple(
            (key, name, member.leg, *member.kept.snapshot(), member.waiting.snapshot()[1])
            for (key, name), member in self._members.items()
        )

    def restore(self, state: State, *, only_known: bool) -> None:
        """Take over klines; `only_known`: of members that there are.

        Raises:
            SnapshotError: They have another layout.

        """
        for key, name, leg, layout, kept, waiting in state:
            if (key, name) in self._members or not only_known:
                member = self._member(key, name, leg, 1)
                member.kept.restore((layout, kept))
                member.waiting.restore((layout, waiting))

    def _member(self, key: str, name: str, leg: str, keep: int) -> Member:
        member = self._members.get((key, name))
        if member is None:
            of = interval(name)
            member = Member(leg, History(key, of, keep), History(key, of, self._most))
            self._members[key, name] = member
        member.leg = leg
        member.kept.grow(max(keep, 1))
        return member

    def _key_of(self, symbol: str) -> str:
        return Instrument(self._exchange, symbol).key


def _name_of(kline: Kline) -> str:
    return kline.interval.name
