"""The tapes of all symbols, and the repair of their holes."""

from typing import TYPE_CHECKING, Any

from core.exchange.columns import Row
from core.exchange.desk import SECOND_US
from core.exchange.pages import Pages, Purpose
from core.exchange.repair import Fetch, Wait
from core.exchange.requests import FetchTrades
from core.exchange.tape import State, Tape
from core.market.trades import Trades

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.exchange.desk import Desk
    from core.exchange.repair import Page


class Tapes:
    """By symbol; what they say is collected when it is asked for.

    Attributes:
        waiting: Rows since the last `drain`, about.

    """

    def __init__(self, desk: "Desk", pages: Pages) -> None:
        self._desk, self._pages = desk, pages
        self._tapes: dict[str, Tape] = {}
        self._dirty: dict[str, None] = {}  # symbols whose tape may have something to say
        self._handed_out: dict[str, tuple[int, tuple[int, int]]] = {}
        self.waiting = 0
        self._left: dict[str, tuple[int, int, int]] = {}  # totals of tapes that ended
        self._given_up = 0
        for symbol in desk.plan.symbols:
            self.add(symbol)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._tapes

    def __iter__(self) -> "Iterator[str]":
        return iter(self._tapes)

    def get(self, symbol: str) -> Tape | None:
        """Return a symbol's tape, if it has one."""
        return self._tapes.get(symbol)

    def __getitem__(self, symbol: str) -> Tape:
        return self._tapes[symbol]

    def add(self, symbol: str, *, aggregate: bool | None = None) -> Tape:
        """Begin a tape where the plan says."""
        plan = self._desk.plan
        tape = self._tapes[symbol] = Tape(
            f"{plan.exchange}:{symbol}",
            next_id=plan.next_ids.get(symbol),
            scales=plan.scales.get(symbol, (0, 0)),
            aggregate=plan.feed == "aggTrade" if aggregate is None else aggregate,
            repairs=plan.repairs,
        )
        return tape

    def drop(self, symbol: str) -> None:
        """End a tape; what it said is still said."""
        self._collect(symbol)
        self._dirty.pop(symbol, None)
        self._handed_out.pop(symbol, None)
        tape = self._tapes.pop(symbol)
        self._left[tape.key] = _sum(self._left.get(tape.key), tape)
        self._given_up += tape.held

    def place(self, symbol: str, tape: Tape, row: Row, clock_us: int) -> None:
        """Give a live row to a tape; `clock_us` is the exchange's time."""
        tape.live(row, clock_us)
        self.waiting += 1
        self._dirty[symbol] = None
        if tape.wish is not None:
            self._grant(symbol, tape)

    def answer(self, symbol: str, page: "Page") -> None:
        """Give a tape what came of its wish."""
        self._tapes[symbol].answer(page, self._desk.time())
        self.waiting += len(page or ())
        self.touch(symbol)

    def touch(self, symbol: str) -> None:
        """Note that a tape was spoken to: it may have something to say, or a wish."""
        self._dirty[symbol] = None
        self._grant(symbol, self._tapes[symbol])

    def tell(self, symbol: str, payload: str, history: str = "") -> None:
        """Pass a message on to whatever runs on a symbol."""
        self._tapes[symbol].tell(payload, history, self._desk.time())
        self._dirty[symbol] = None

    def tick(self, time_us: int) -> None:
        """Tell all tapes the exchange's time."""
        for symbol, tape in self._tapes.items():
            tape.tick(time_us)
            self._dirty[symbol] = None

    def lost(self) -> None:
        """Tell all tapes that nothing comes any more."""
        for tape in self._tapes.values():
            tape.lost()

    def unproven(self) -> list[str]:
        """Return the symbols that have to prove that nothing was missed."""
        return [symbol for symbol, tape in self._tapes.items() if tape.state is State.UNPROVEN]

    def drain(self) -> None:
        """Put what the tapes said on the desk, each in order; silent tapes cost nothing."""
        for symbol in self._dirty:
            self._collect(symbol)
        self._dirty.clear()
        self.waiting = 0

    def handed_out(self) -> dict[str, dict[str, Any]]:
        """Return ``next_ids`` and ``scales`` by symbol, behind what was drained."""
        handed = self._handed_out
        return {
            "next_ids": {s: next_id for s, (next_id, _) in handed.items()},
            "scales": {s: scales for s, (_, scales) in handed.items()},
        }

    def totals(self) -> dict[str, tuple[int, int, int]]:
        """Return (received, duplicate, rejected) rows by key since the start."""
        now = {tape.key: _sum(self._left.get(tape.key), tape) for tape in self._tapes.values()}
        return self._left | now

    def held(self) -> int:
        """Return the rows that were received and are not handed out, or were given up."""
        ended = sum(len(item) for _, item in self._desk.items if isinstance(item, Trades))
        return self._given_up + ended + sum(tape.held for tape in self._tapes.values())

    def _grant(self, symbol: str, tape: Tape) -> None:
        wish, tape.wish = tape.wish, None
        if isinstance(wish, Fetch):
            request = self._desk.number()
            self._pages.ask(request, symbol, Purpose.REPAIR)
            self._desk.requests.append(FetchTrades(request, symbol, wish.from_id, wish.limit))
        elif isinstance(wish, Wait):
            self._desk.alarm(f"wait {symbol}", int(wish.seconds * SECOND_US))

    def _collect(self, symbol: str) -> None:
        tape = self._tapes[symbol]
        self._desk.items += [(tape.key, item) for item in tape.drain()]
        if tape.next_id is not None:
            self._handed_out[symbol] = (tape.next_id, tape.scales)


def _sum(before: tuple[int, int, int] | None, tape: Tape) -> tuple[int, int, int]:
    if before is None:
        return tape.received, tape.duplicates, tape.rejected
    return (
        before[0] + tape.received,
        before[1] + tape.duplicates,
        before[2] + tape.rejected,
    )
