"""Sans-I/O session: everything the adapter decides, nothing it sends.

    recorded inputs ──► feed(frame) ──► items()     ──► the flow
                                    ──► requests()  ──► socket, REST
                                    ──► deadline_us ──► a timer, which feeds an ``alarm``

Its outputs are a function of its plan and its inputs, which are recorded as they come: feeding a
recording to a new session gives the same items. Nothing the exchange sends can raise.

Links and streams go through the tables of `core.exchange.states`: an acknowledgement is not data,
because Binance acknowledges names that never send anything. A link that is to go is replaced before
it ends (`Handover`); a silent stream is asked about before anything is done to it (`Watch`).
"""

from typing import TYPE_CHECKING, Any

import orjson

from core.exchange import wire
from core.exchange.desk import SECOND_US, Desk
from core.exchange.inquiries import Inquiries
from core.exchange.link import Link
from core.exchange.links import Links
from core.exchange.official import to_kline
from core.exchange.pages import Pages, json_object
from core.exchange.plan import Plan, Standing
from core.exchange.requests import FetchTime
from core.exchange.tape import Tape
from core.exchange.tapes import Tapes
from core.exchange.wire import Reply, WireAggTrade, WireKline, WireShutdown, WireTrade, to_us
from core.market.errors import DecimalError, IntervalError, WireError
from core.market.events import ExchangeKline, Frame, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from core.exchange.requests import Request

TICK_US = SECOND_US
LEAP_US = 60 * SECOND_US
"""The exchange's clock may run ahead by so much between two frames without a question."""
LEAP_ASKED_US = SECOND_US
"""Between two such questions, and between two answers that agree, on our clock."""


class Session:
    """One shard's symbols: reads the inputs and hands them to its parts."""

    def __init__(self, plan: Plan) -> None:
        pages = Pages()
        self._desk = Desk(plan)
        self.tapes = Tapes(self._desk, pages)
        self._links = Links(self._desk, self.tapes)
        self._inquiries = Inquiries(self._desk, self.tapes, self._links, pages)
        self.received_frames = 0
        self._ticked = self._asked_time_us = self._leapt_us = 0
        self._left: set[str] = set()  # symbols given up: their last frames may still come
        self._readers: dict[str, Callable[[Frame], None]] = {
            "frame": self._on_frame,
            "open": self._on_open,
            "close": self._links.closed,
            "page": self._inquiries.page,
            "status": self._inquiries.status,
            "command": self._on_command,
            "time": self._on_time,
            "alarm": self._on_alarm,
            "file": self._on_file,
            "start": self._on_start,
        }
        self._alarms: dict[str, Callable[[str], None]] = {
            "ack": self._links.ack_is_late,
            "rotate": lambda _of: self._links.rotate("age"),
            "join": self._links.give_up_joining,
            "wait": lambda symbol: self.tapes.answer(symbol, None),
            "prove": self._inquiries.prove,
            "meet": self._inquiries.meet,
            "watch": self._inquiries.look,
            "confirm": self._inquiries.confirm,
            "status": self._inquiries.ask_status,
            "clock": lambda _of: self._desk.requests.append(FetchTime()),
        }

    @property
    def plan(self) -> Plan:
        """What it is to do now; commands change it."""
        return self._desk.plan

    @property
    def links(self) -> dict[int, Link]:
        """The open links by number."""
        return self._links.open

    @property
    def waiting(self) -> int:
        """Rows since the last call of `items`, about."""
        return self.tapes.waiting

    def feed(self, frame: Frame) -> None:
        """Take one input."""
        self._desk.now_us = frame.received_us
        reader = self._readers.get(frame.kind)
        if reader is None:
            self._desk.quarantine(f"unknown input `{frame.kind}`", frame)
        else:
            reader(frame)

    def items(self) -> list[tuple[str, Item]]:
        """Return what the session says since the last call; the caller empties it.

        Items of one key are in order; tapes that said nothing cost nothing.
        """
        self.tapes.drain()
        items, self._desk.items = self._desk.items, []
        return items

    def requests(self) -> "list[Request]":
        """Return what the session wants done since the last call."""
        requests, self._desk.requests = self._desk.requests, []
        return requests

    @property
    def deadline_us(self) -> int | None:
        """When an ``alarm`` is due, on the clock of the inputs; None: never."""
        return min(self._desk.due.values(), default=None)

    def resume(self) -> Plan:
        """Return the plan with which a later session goes on behind what `items` returned."""
        handed = self.tapes.handed_out()
        return self.plan.model_copy(
            update={
                "next_ids": self.plan.next_ids | handed["next_ids"],
                "scales": self.plan.scales | handed["scales"],
                "statuses": dict(self._inquiries.statuses),
            }
        )

    def totals(self) -> dict[str, tuple[int, int, int]]:
        """Return (received, duplicate, rejected) rows by key since the start."""
        return self.tapes.totals()

    def held(self) -> int:
        """Return how many rows were received that `items` has not returned."""
        return self.tapes.held()

    # ---- frames ----

    def _on_open(self, frame: Frame) -> None:
        self._links.opened(frame)
        self._inquiries.begin()

    def _on_frame(self, frame: Frame) -> None:
        self.received_frames += 1
        try:
            message = wire.parse(frame.payload)
        except WireError as error:
            self._desk.quarantine(str(error.why), frame)
            return
        if type(message) is WireTrade:
            ids = (message.id, message.id)
            self._on_trade(message, ids, frame, aggregate=False)
        elif type(message) is WireAggTrade:
            ids = (message.first_id, message.last_id)
            self._on_trade(message, ids, frame, aggregate=True)
        elif type(message) is WireKline:
            self._on_kline(message, frame)
        elif type(message) is Reply:
            self._links.replied(message, frame)
        elif type(message) is WireShutdown and frame.link == self._links.current:
            self._links.rotate("the server is about to shut down")

    def _on_trade(
        self, m: WireTrade | WireAggTrade, ids: tuple[int, int], frame: Frame, *, aggregate: bool
    ) -> None:
        symbol = m.symbol
        tape = self.tapes.get(symbol) or self._stranger(symbol, frame, aggregate)
        if tape is None or tape.aggregate is not aggregate:
            return
        links = self._links
        link = links.open.get(frame.link)
        if link is not None and symbol in link.silent:
            link.gave(symbol, self.plan.stream(symbol))
        clock_us = to_us(m.event_time)
        row = (m.id, to_us(m.time), m.price, m.quantity, m.buyer_is_maker, *ids)
        if links.handover is None:
            self.tapes.place(symbol, tape, row, clock_us)
        elif links.overlapping(symbol, row, clock_us, frame.link):
            return  # the newer link's clock may be ahead of what the older still brings
        if clock_us - self._ticked >= TICK_US:
            self._passed(clock_us)

    def _stranger(self, symbol: str, frame: Frame, aggregate: bool) -> Tape | None:
        if self.plan.any_symbol:
            return self.tapes.add(symbol, aggregate=aggregate)
        if symbol not in self._left:
            self._desk.quarantine(f"unknown symbol `{symbol}`", frame)
        return None

    def _on_kline(self, message: WireKline, frame: Frame) -> None:
        known = message.symbol in self.tapes or self.plan.any_symbol
        handover = self._links.handover
        if not known:
            if message.symbol not in self._left:
                self._desk.quarantine(f"unknown symbol `{message.symbol}`", frame)
            return
        if (link := self._links.open.get(frame.link)) is not None:
            link.spoke = True
        if handover is not None and frame.link == handover.new:
            return  # the older link brings it, too
        if message.kline.final:
            try:
                kline = to_kline(f"{self.plan.exchange}:{message.symbol}", message)
            except (DecimalError, IntervalError) as error:
                self._desk.quarantine(str(error), frame)
                return
            self._desk.items.append((kline.key, ExchangeKline(kline)))
        clock_us = to_us(message.event_time)
        if clock_us - self._ticked >= TICK_US:
            self._passed(clock_us)

    # ---- time ----

    def _passed(self, clock_us: int) -> None:
        if not self._leaps(clock_us):
            self._tick(clock_us)
        elif self._asked_time_us + LEAP_ASKED_US <= self._desk.now_us:
            self._asked_time_us = self._desk.now_us
            self._desk.requests.append(FetchTime())

    def _leaps(self, clock_us: int) -> bool:
        # A time far ahead closes windows that are still open, so REST has to say so twice. Who has
        # nobody to ask (a capture) takes it: there it is a pause.
        known = self._desk.clock_us
        return bool(known) and clock_us - known > LEAP_US and self.plan.repairs

    def _on_time(self, frame: Frame) -> None:
        # REST may overtake frames that are still on their way: a second is taken off.
        server = json_object(frame.payload).get("serverTime")
        if not isinstance(server, int):
            return
        clock_us, now_us = to_us(server) - SECOND_US, frame.received_us
        if self._leaps(clock_us) and now_us - (self._leapt_us or now_us) < LEAP_ASKED_US:
            self._leapt_us = self._leapt_us or now_us
            self._desk.alarm("clock", LEAP_ASKED_US)
            return
        self._leapt_us = 0
        if clock_us - self._ticked >= TICK_US:
            self._tick(clock_us)

    def _tick(self, clock_us: int) -> None:
        desk = self._desk
        desk.clock_us = max(desk.clock_us, clock_us)
        self._ticked = desk.clock_us - desk.clock_us % TICK_US
        self.tapes.tick(self._ticked)

    def _on_alarm(self, frame: Frame) -> None:
        pending = self._desk.due
        for name in [name for name, at in pending.items() if at <= frame.received_us]:
            if pending.pop(name, None) is not None:  # an earlier one may have cancelled it
                what, _, of = name.partition(" ")
                self._alarms[what](of)

    # ---- commands ----

    def _on_start(self, _frame: Frame) -> None:
        # Who goes on from a snapshot may have been told already: a message says what is to be.
        self._tell(self.plan.standing.values(), tuple(self.tapes), {})

    def _on_command(self, frame: Frame) -> None:
        body = json_object(frame.payload)
        klines = body.get("klines", {})
        wanted = {s: tuple(p) for s, p in body.get("subscribe", {}).items() if s not in self.tapes}
        if wanted:
            self._subscribe(wanted)
            self._tell(self.plan.standing.values(), tuple(wanted), klines)
        unwanted = tuple(s for s in body.get("unsubscribe", []) if s in self.tapes)
        if unwanted:
            self._unsubscribe(unwanted)
        if "tell" in body:
            self._on_message(body["tell"], klines)

    def _on_message(self, said: dict[str, Any], klines: dict[str, Any]) -> None:
        message = Standing.model_validate(said["message"])
        rest = {name: one for name, one in self.plan.standing.items() if name != said["name"]}
        lasting = rest | {said["name"]: message} if said["lasting"] else rest
        self._desk.plan = self.plan.model_copy(update={"standing": lasting})
        self._tell([message], tuple(self.tapes), klines)

    def _tell(
        self, messages: "Iterable[Standing]", symbols: tuple[str, ...], klines: dict[str, Any]
    ) -> None:
        for message in messages:
            for symbol in symbols:
                if message.concerns(symbol):
                    rows = {i: klines.get(symbol, {}).get(i, []) for i in message.klines}
                    history = orjson.dumps(rows).decode() if any(rows.values()) else ""
                    self.tapes.tell(symbol, message.payload, history)

    def _subscribe(self, scales: dict[str, tuple[int, ...]]) -> None:
        plan, symbols = self.plan, tuple(scales)
        self._desk.plan = plan.model_copy(
            update={"symbols": plan.symbols + symbols, "scales": plan.scales | scales}
        )
        for symbol in symbols:
            self._left.discard(symbol)
            self.tapes.add(symbol)
        for link in self.links.values():
            self._links.subscribe(link, plan.streams(symbols))

    def _unsubscribe(self, symbols: tuple[str, ...]) -> None:
        plan, desk = self.plan, self._desk
        for symbol in symbols:
            self.tapes.drop(symbol)
            self._links.forget(symbol)
            self._left.add(symbol)
            for name in [name for name in desk.due if name.endswith(f" {symbol}")]:
                del desk.due[name]
        self._links.cancel(plan.streams(symbols))
        desk.plan = plan.model_copy(
            update={
                "symbols": tuple(s for s in plan.symbols if s not in symbols),
                "next_ids": {s: n for s, n in plan.next_ids.items() if s not in symbols},
            }
        )

    def _on_file(self, frame: Frame) -> None:
        # A capture of lines: from here on a frame's link is the number of its line.
        self._desk.source = f"{frame.payload}:"
