"""The links of a session: one, or, while one replaces another, two."""

from typing import TYPE_CHECKING

from core.exchange.columns import Row
from core.exchange.desk import SECOND_US
from core.exchange.handover import JOIN_US, Handover
from core.exchange.link import Link
from core.exchange.requests import Dial, Hangup, Send
from core.exchange.tape import State, Tape
from core.market.events import PAYLOAD_LIMIT, Connected, Disconnected, Frame, Rotated

if TYPE_CHECKING:
    from core.exchange.desk import Desk
    from core.exchange.tapes import Tapes
    from core.exchange.wire import Reply

PROBE_US = 2 * SECOND_US
"""How long a tape waits for a live trade before REST is asked for the newest id."""
_FIRST_PROBE_US = SECOND_US // 4
_REDIAL_US = 10 * SECOND_US


class Links:
    """Opens, subscribes, replaces and ends links.

    Attributes:
        open: Links by number.
        newest: Number of the newest link there has been.
        handover: The overlap of two links, while there is one.

    """

    def __init__(self, desk: "Desk", tapes: "Tapes") -> None:
        self._desk, self._tapes = desk, tapes
        self.open: dict[int, Link] = {}
        self.newest = 0
        self.handover: Handover | None = None
        self._dialling = False

    @property
    def current(self) -> int:
        """Number of the newest link that is open; 0 if there is none."""
        return max(self.open, default=0)

    # ---- inputs ----

    def opened(self, frame: Frame) -> None:
        """Take a link that was opened: subscribe all on it."""
        if frame.link <= self.newest:
            return
        old = self.current
        link = self.open[frame.link] = Link(frame.link, self._desk.now_us)
        link.move("opened")
        if old:
            self.handover = Handover(old, link.number, tuple(self._tapes))
            self._desk.alarm("join", JOIN_US)
        self.newest, self._dialling = link.number, False
        self.subscribe(link, self._desk.plan.streams())

    def closed(self, frame: Frame) -> None:
        """Take the end of a link, or of an attempt to open one."""
        link = self.open.pop(frame.link, None)
        if link is None and frame.link <= self.newest:
            return
        desk = self._desk
        lived = desk.now_us - link.opened_us if link else 0
        if link is not None:
            link.move("lost")
            desk.due.pop(f"ack {link.number}", None)
        reason = frame.payload[:PAYLOAD_LIMIT]
        key, position = desk.plan.key, desk.position()
        desk.say(Disconnected(key, desk.time(), position, frame.link, reason, lived))
        if not self.open:
            self._tapes.lost()
        elif self.handover is not None:
            self._alone(self.handover)
        if self._dialling or (self.open and frame.link == self.newest):
            self._dialling = False  # the replacement did not come to be, the old link lives
            desk.alarm("rotate", _REDIAL_US)

    def replied(self, reply: "Reply", frame: Frame) -> None:
        """Take the answer to a request on a link."""
        link = self.open.get(frame.link)
        answered = link is not None and link.answered(reply.id)
        if reply.error is not None:
            self._desk.quarantine(f"the exchange refused a request: {reply.error}", frame)
            self._desk.requests += link.fail(f"refused: {reply.error}") if link else []
        elif not answered:
            self._desk.quarantine("an answer to no request of ours", frame)
        elif link is not None and not link.unanswered:
            self._acked(link)

    # ---- what is wanted ----

    def subscribe(self, link: Link, streams: list[str]) -> None:
        """Ask a link for streams."""
        self._send(link, link.subscribe(streams, self._desk.number(0)))

    def cancel(self, streams: list[str]) -> None:
        """Give up streams on all links."""
        for link in self.open.values():
            self._send(link, link.cancel(streams, self._desk.number(0)))

    def renew(self, symbol: str) -> None:
        """Cancel a silent stream and ask for it again."""
        link = self.open.get(self.current)
        if link is not None:
            name = self._desk.plan.stream(symbol)
            link.stale(symbol, name)
            self._send(link, link.renew(name, self._desk.number(0)))

    def fail(self, reason: str) -> None:
        """Give the newest link up."""
        link = self.open.get(self.current)
        if link is not None:
            self._desk.requests += link.fail(reason)

    def rotate(self, reason: str) -> None:
        """Ask for a link that replaces the newest one."""
        if self.handover is None and not self._dialling and self.open:
            self._dialling = True
            self._desk.requests.append(Dial(reason))

    # ---- alarms ----

    def ack_is_late(self, number: str) -> None:
        """Give up a link that leaves requests unanswered."""
        link = self.open.get(int(number))
        if link is not None and link.unanswered:
            self._desk.requests += link.fail("no answer to SUBSCRIBE")

    def give_up_joining(self, _of: str) -> None:
        """End the older link though not every symbol was joined."""
        if self.handover is not None:
            self._desk.requests += self.open[self.handover.old].fail("its replacement is there")

    # ---- one link after another ----

    def overlapping(self, symbol: str, row: Row, clock_us: int, link: int) -> bool:
        """Take a row while there are two links; say whether it came by the newer one."""
        handover = self.handover
        if handover is None:
            return False
        tape = self._tapes[symbol]
        if handover.holds(link, symbol):
            handover.hold(symbol, row, clock_us)
        else:
            self._tapes.place(symbol, tape, row, clock_us)
        if symbol in handover.waiting and handover.meets(symbol, tape.next_id):
            self.join(symbol)
        return link == handover.new

    def join(self, symbol: str) -> None:
        """Let the newer link deliver a symbol: what it held follows what was delivered."""
        if self.handover is None or symbol not in self.handover.waiting:
            return
        self._release(self.handover, symbol)
        self._desk.due.pop(f"meet {symbol}", None)
        self._retire_if_joined(self.handover)

    def forget(self, symbol: str) -> None:
        """Let a symbol that is given up hold up nothing."""
        if self.handover is not None:
            self.handover.release(symbol)
            self._retire_if_joined(self.handover)

    def _acked(self, link: Link) -> None:
        desk = self._desk
        desk.due.pop(f"ack {link.number}", None)
        if link.move("acked"):
            desk.say(Connected(desk.plan.key, desk.time(), desk.position(), link.number))
            if self.handover is None:
                self._note_age(link)
        for symbol in self._tapes.unproven():
            # One that was never heard of gets a position soon: from then on it can be resumed.
            fresh = self._tapes[symbol].next_id is None
            delay = _FIRST_PROBE_US if fresh else PROBE_US
            desk.due.setdefault(f"prove {symbol}", desk.now_us + delay)
        if self.handover is not None:
            for symbol in sorted(self.handover.waiting):
                desk.alarm(f"meet {symbol}", PROBE_US)

    def _note_age(self, link: Link) -> None:
        if self._desk.plan.rotate_us:
            self._desk.due["rotate"] = link.opened_us + self._desk.plan.rotate_us

    def _send(self, link: Link, sends: list[Send]) -> None:
        self._desk.number(len(sends))
        self._desk.requests += sends
        self._desk.alarm(f"ack {link.number}", link.ack_allowance_us)

    def _release(self, handover: Handover, symbol: str) -> Tape:
        tape = self._tapes[symbol]
        for row, clock_us in handover.release(symbol):
            self._tapes.place(symbol, tape, row, clock_us)
        return tape

    def _retire_if_joined(self, handover: Handover) -> None:
        if handover.waiting:
            return
        desk = self._desk
        self.handover = None
        desk.due.pop("join", None)
        old = self.open[handover.old]
        if old.move("replaced"):
            desk.requests.append(Hangup(old.number, "replaced"))
        self._note_age(self.open[handover.new])
        key, position = desk.plan.key, desk.position()
        desk.say(Rotated(key, desk.time(), position, handover.new, handover.old))

    def _alone(self, handover: Handover) -> None:
        # One of the two is gone: the other goes on, and ids prove what was missed.
        self.handover = None
        self._desk.due.pop("join", None)
        if handover.new not in self.open:
            return  # what it brought, the old one brings too
        self._note_age(self.open[handover.new])
        for symbol in sorted(handover.waiting):
            self._tapes[symbol].lost()
            if self._release(handover, symbol).state is State.UNPROVEN:
                self._desk.due.setdefault(f"prove {symbol}", self._desk.now_us + PROBE_US)
