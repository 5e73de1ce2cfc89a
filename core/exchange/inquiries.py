"""What REST is asked beside repairs: what was missed, whether a silent stream is dead, halts."""

from typing import TYPE_CHECKING, Any

from core.exchange import wire
from core.exchange.desk import SECOND_US
from core.exchange.links import PROBE_US
from core.exchange.pages import Pages, Purpose, json_object
from core.exchange.requests import FetchNewest, FetchStatus
from core.exchange.tape import State, Tape
from core.exchange.watch import CONFIRM_US, LOOK_US, Watch
from core.market.errors import WireError

if TYPE_CHECKING:
    from core.exchange.desk import Desk
    from core.exchange.links import Links
    from core.exchange.tapes import Tapes
    from core.market.events import Frame

STATUS_US = 20 * SECOND_US
"""Between two questions for the trading status of all symbols (weight 20)."""
TRADING = "TRADING"
"""The status of a symbol that has no other."""
_QUESTIONS = 5  # about silent symbols at one look: 25 of weight each
_MEET_AGAIN_US = 10 * SECOND_US


class Inquiries:
    """Questions, and what follows from their answers."""

    def __init__(self, desk: "Desk", tapes: "Tapes", links: "Links", pages: Pages) -> None:
        self._desk, self._tapes, self._links, self._pages = desk, tapes, links, pages
        self._watches: dict[str, Watch] = {}
        self._asked_status_us = 0
        self.statuses = dict(desk.plan.statuses)

    def begin(self) -> None:
        """Begin to watch, once there is a link."""
        for alarm, delay in (("watch", LOOK_US), ("status", STATUS_US)):
            self._desk.due.setdefault(alarm, self._desk.now_us + delay)

    # ---- answers ----

    def page(self, frame: "Frame") -> None:
        """Take a page of trades, or the newest one."""
        body = json_object(frame.payload)
        symbol, purpose = self._pages.answer(body)
        tape = self._tapes.get(symbol)
        if tape is None:
            return
        rows = self._rows(body, tape, frame)
        if purpose is Purpose.REPAIR:
            self._tapes.answer(symbol, rows)
        else:
            newest = max((row.id for row in rows), default=None) if rows else None
            self._newest(symbol, tape, purpose, newest)
            self._tapes.touch(symbol)

    def status(self, frame: "Frame") -> None:
        """Take the trading status of symbols, by symbol."""
        told = json_object(frame.payload).get("statuses")
        for symbol, status in (told if isinstance(told, dict) else {}).items():
            known = self.statuses.get(symbol, TRADING)
            if symbol in self._tapes and isinstance(status, str) and status != known:
                self.statuses[symbol] = status
                self._tapes[symbol].status(status, self._desk.time())
                self._tapes.touch(symbol)

    def _newest(self, symbol: str, tape: Tape, purpose: Purpose, newest: int | None) -> None:
        known = newest is not None and tape.next_id is not None and newest < tape.next_id
        if purpose is Purpose.PROVE and newest is not None:
            tape.newest(newest, self._desk.time())
        elif purpose is Purpose.PROVE and tape.state is State.UNPROVEN:
            self._desk.alarm(f"prove {symbol}", PROBE_US)
        elif purpose is Purpose.WATCH and known:
            self._watches[symbol].quiet(self._desk.now_us)
        elif purpose is Purpose.WATCH and newest is not None:
            self._watches[symbol].claimed = newest
            self._desk.alarm(f"confirm {symbol}", CONFIRM_US)
        elif purpose is Purpose.JOIN and known:
            self._links.join(symbol)

    def _rows(
        self, body: dict[str, Any], tape: Tape, frame: "Frame"
    ) -> list[wire.RestTrade] | list[wire.RestAggTrade] | None:
        text = body.get("body")
        if not isinstance(text, str):
            return None  # the driver could not ask; it says why in `error`
        try:
            return wire.parse_page(text, aggregate=tape.aggregate)
        except WireError as error:
            self._desk.quarantine(error.why, frame)
            return None

    # ---- alarms ----

    def prove(self, symbol: str) -> None:
        """Ask whether anything was missed."""
        if self._tapes[symbol].state is State.UNPROVEN and self._links.open:
            self._ask_newest(symbol, Purpose.PROVE)

    def meet(self, symbol: str) -> None:
        """Ask whether a quiet symbol can be joined: no row of it is on its way."""
        handover = self._links.handover
        if handover is not None and symbol in handover.waiting:
            self._ask_newest(symbol, Purpose.JOIN)
            self._desk.alarm(f"meet {symbol}", _MEET_AGAIN_US)

    def look(self, _of: str) -> None:
        """Look for symbols whose silence is suspicious."""
        now_us = self._desk.now_us
        self._desk.alarm("watch", LOOK_US)
        silent = [symbol for symbol in self._tapes if self._is_suspicious(symbol, now_us)]
        if not silent or not self._links.open:
            return
        if now_us - self._asked_status_us >= STATUS_US // 2:
            self.ask_status("")  # a halt is no fault
        # The one that is silent for the longest first; REST weight is for repairs above all.
        silent.sort(key=lambda symbol: -self._watches[symbol].silence_us(now_us))
        for symbol in silent[:_QUESTIONS]:
            self._ask_newest(symbol, Purpose.WATCH)

    def confirm(self, symbol: str) -> None:
        """Find a stream stale if it has not brought what REST had some time ago."""
        tape, watch = self._tapes[symbol], self._watches[symbol]
        if tape.state is not State.LIVE or tape.next_id is None or watch.claimed < tape.next_id:
            return
        silence = watch.silence_us(self._desk.now_us) // SECOND_US
        reason = f"silent for {silence} s, while REST is at id {watch.claimed}{self._deafness()}"
        tape.stale(reason, self._desk.time())
        tape.behind(watch.claimed, self._desk.time())
        self._tapes.touch(symbol)
        watch.stales += 1
        if watch.stales == 1:
            self._links.renew(symbol)
        else:
            stream = self._desk.plan.stream(symbol)
            self._links.fail(f"{stream} stays silent{self._deafness()}")

    def _deafness(self) -> str:
        # USD-M acknowledges streams on a route that never carries them (binance-public-data#472).
        link = self._links.open.get(self._links.current)
        if link is None or link.spoke:
            return ""
        return "; no stream of the connection has said anything yet: is its address the right one?"

    def ask_status(self, _of: str) -> None:
        """Ask for the trading status of all symbols."""
        self._asked_status_us = self._desk.now_us
        self._desk.alarm("status", STATUS_US)
        self._desk.requests.append(FetchStatus())

    def _is_suspicious(self, symbol: str, now_us: int) -> bool:
        tape = self._tapes[symbol]
        watch = self._watches.get(symbol)
        if watch is None:
            watch = self._watches[symbol] = Watch(now_us)
        silent = watch.look(tape.streamed, now_us)
        return silent and tape.state is State.LIVE and f"confirm {symbol}" not in self._desk.due

    def _ask_newest(self, symbol: str, purpose: Purpose) -> None:
        if not self._pages.asked(symbol, purpose):
            request = self._desk.number()
            self._pages.ask(request, symbol, purpose)
            self._desk.requests.append(FetchNewest(request, symbol))
