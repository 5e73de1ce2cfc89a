"""Sans-I/O session: everything the adapter decides, nothing it sends.

    recorded inputs ──► feed(frame) ──► items()     ──► the flow
                                    ──► requests()  ──► socket, REST
                                    ──► deadline_us ──► a timer, which feeds an ``alarm``

Its outputs are a function of its plan and its inputs, which are recorded as they come: feeding a
recording to a new session gives the same items. Nothing the exchange sends can raise.

A link goes through ``TRANSITIONS``; a stream from requested to acked to live, and an ack is not
data: Binance acknowledges names that never send anything.
"""

from typing import TYPE_CHECKING, Any

import orjson

from core.exchange import wire
from core.exchange.official import to_kline
from core.exchange.plan import Plan
from core.exchange.repair import Fetch, Wait
from core.exchange.requests import FetchNewest, FetchTrades, Hangup, Request, Send
from core.exchange.states import TRANSITIONS, Link, Stream
from core.exchange.tape import State as TapeState
from core.exchange.tape import Tape
from core.exchange.wire import Reply, WireAggTrade, WireKline, WireTrade, to_us
from core.market.errors import DecimalError, IntervalError, WireError
from core.market.events import (
    PAYLOAD_LIMIT,
    Connected,
    Disconnected,
    ExchangeKline,
    Frame,
    Item,
    Quarantined,
)
from core.market.position import Positions

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND_US = 1_000_000
ACK_DEADLINE_US = 5 * SECOND_US
"""Normal answers take 0.3 s; one that takes this long is lost."""
SILENCE_US = 30 * SECOND_US
"""A link that subscribed and brings no frame at all for this long is dead."""
PROBE_US = 2 * SECOND_US
"""How long a tape waits for a live trade before REST is asked for the newest id."""
TICK_US = SECOND_US


class Session:
    """One connection's worth of symbols."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.link = Link.DOWN
        self.link_number = 0
        self.streams: dict[str, Stream] = {}
        self.tapes: dict[str, Tape] = {}
        for symbol in plan.symbols:
            self._tape(symbol)
        self.received_frames = 0
        self.waiting = 0  # rows since the last drain, about
        self._handed_out: dict[str, tuple[int, tuple[int, int]]] = {}
        self._clock_us = plan.clock_us
        self._ticked = 0
        self._opened_us = 0
        self._frame_us = 0
        self._positions = Positions()
        self._source = "link "
        self._items: list[tuple[str, Item]] = []
        self._requests: list[Request] = []
        self._dirty: dict[str, None] = {}  # symbols whose tape may have something to say
        self._next_request = 1
        self._asked: dict[int, list[str]] = {}  # SUBSCRIBE requests without an answer
        self._pages: dict[int, tuple[str, bool]] = {}  # REST requests: symbol, is it the newest?
        self._due: dict[str, int] = {}  # what is due when: "ack", "silence", "wait X", "probe X"
        self._readers: dict[str, Callable[[Frame], None]] = {
            "frame": self._on_frame,
            "open": self._on_open,
            "close": self._on_close,
            "page": self._on_page,
            "time": self._on_time,
            "alarm": self._on_alarm,
            "file": self._on_file,
            "start": lambda _frame: None,
        }

    def feed(self, frame: Frame) -> None:
        """Take one input."""
        reader = self._readers.get(frame.kind)
        if reader is None:
            self._quarantine(f"unknown input `{frame.kind}`", frame)
        else:
            reader(frame)

    def items(self) -> list[tuple[str, Item]]:
        """Return what the session says since the last call; the caller empties it.

        Items of one key are in order; tapes that said nothing cost nothing.
        """
        for symbol in self._dirty:
            tape = self.tapes[symbol]
            self._items += [(tape.key, item) for item in tape.drain()]
            if tape.next_id is not None:
                self._handed_out[symbol] = (tape.next_id, tape.scales)
        self._dirty.clear()
        self.waiting = 0
        items, self._items = self._items, []
        return items

    def requests(self) -> list[Request]:
        """Return what the session wants done since the last call."""
        requests, self._requests = self._requests, []
        return requests

    @property
    def deadline_us(self) -> int | None:
        """When an ``alarm`` is due, on the clock of the inputs; None: never."""
        return min(self._due.values(), default=None)

    def resume(self) -> Plan:
        """Return the plan with which a later session goes on behind what `items` returned."""
        handed = self._handed_out
        return self.plan.model_copy(
            update={
                "next_ids": self.plan.next_ids | {s: next_id for s, (next_id, _) in handed.items()},
                "scales": self.plan.scales | {s: scales for s, (_, scales) in handed.items()},
            }
        )

    def totals(self) -> dict[str, tuple[int, int, int]]:
        """Return (received, duplicate, rejected) rows by key since the start."""
        return {t.key: (t.received, t.duplicates, t.rejected) for t in self.tapes.values()}

    # ---- links ----

    def _move(self, event: str) -> bool:
        to = TRANSITIONS.get((self.link, event))
        if to is None:
            return False
        self.link = to
        return True

    def _on_open(self, frame: Frame) -> None:
        if not self._move("opened"):
            return
        self.link_number = frame.link
        self._opened_us = self._frame_us = frame.received_us
        self.streams = dict.fromkeys(self.plan.streams(), Stream.REQUESTED)
        for part in wire.chunks(list(self.streams)):
            request = self._number()
            self._asked[request] = part
            self._requests.append(Send(frame.link, wire.subscribe(part, request)))
        # Chunks go out half a second apart, each with its own time to be answered.
        self._due["ack"] = frame.received_us + ACK_DEADLINE_US + len(self._asked) * SECOND_US // 2
        self._due["silence"] = frame.received_us + SILENCE_US

    def _on_close(self, frame: Frame) -> None:
        if frame.link < self.link_number or not self._move("lost"):
            return
        lived = frame.received_us - self._opened_us if self._opened_us else 0
        self._opened_us = 0
        self._asked.clear()
        for name in ("ack", "silence"):
            self._due.pop(name, None)
        for symbol, tape in self.tapes.items():
            tape.lost()
            self._due.pop(f"probe {symbol}", None)
        now = self._now(frame)
        reason = frame.payload[:PAYLOAD_LIMIT]
        self._say(Disconnected(self.plan.key, now, self._at(now), frame.link, reason, lived))

    def _fail(self, reason: str) -> None:
        if self._move("failed"):
            self._requests.append(Hangup(self.link_number, reason))

    def _on_reply(self, reply: Reply, frame: Frame) -> None:
        streams = self._asked.pop(reply.id, None) if isinstance(reply.id, int) else None
        if reply.error is not None:
            self._quarantine(f"the exchange refused a request: {reply.error}", frame)
            self._fail(f"refused: {reply.error}")
            return
        if streams is None:
            self._quarantine("an answer to no request of ours", frame)
            return
        for name in streams:
            if self.streams.get(name) is Stream.REQUESTED:
                self.streams[name] = Stream.ACKED
        if not self._asked and self._move("acked"):
            self._acked(frame)

    def _acked(self, frame: Frame) -> None:
        self._due.pop("ack", None)
        now = self._now(frame)
        self._say(Connected(self.plan.key, now, self._at(now), frame.link))
        for symbol, tape in self.tapes.items():
            if tape.state is TapeState.UNPROVEN:
                self._due[f"probe {symbol}"] = frame.received_us + PROBE_US

    # ---- frames ----

    def _on_frame(self, frame: Frame) -> None:
        self.received_frames += 1
        self._frame_us = frame.received_us
        try:
            message = wire.parse(frame.payload)
        except WireError as error:
            self._quarantine(str(error.why), frame)
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
            self._on_reply(message, frame)

    def _on_trade(
        self, m: WireTrade | WireAggTrade, ids: tuple[int, int], frame: Frame, *, aggregate: bool
    ) -> None:
        tape = self.tapes.get(m.symbol)
        if tape is None:
            tape = self._stranger(m.symbol, frame, aggregate)
        if tape is None or tape.aggregate is not aggregate:
            return
        clock_us = to_us(m.event_time)
        row = (m.id, to_us(m.time), m.price, m.quantity, m.buyer_is_maker, *ids)
        tape.live(row, clock_us)
        self.waiting += 1
        self._dirty[m.symbol] = None
        if tape.wish is not None:
            self._grant(m.symbol, tape, frame.received_us)
        if clock_us - self._ticked >= TICK_US:
            self._tick(clock_us)

    def _stranger(self, symbol: str, frame: Frame, aggregate: bool) -> Tape | None:
        if not self.plan.any_symbol:
            self._quarantine(f"unknown symbol `{symbol}`", frame)
            return None
        return self._tape(symbol, aggregate=aggregate)

    def _on_kline(self, message: WireKline, frame: Frame) -> None:
        clock_us = to_us(message.event_time)
        if message.symbol not in self.tapes and not self.plan.any_symbol:
            self._quarantine(f"unknown symbol `{message.symbol}`", frame)
            return
        if message.kline.final:
            try:
                kline = to_kline(f"{self.plan.exchange}:{message.symbol}", message)
            except (DecimalError, IntervalError) as error:
                self._quarantine(str(error), frame)
                return
            self._items.append((kline.key, ExchangeKline(kline)))
        if clock_us - self._ticked >= TICK_US:
            self._tick(clock_us)

    def _on_time(self, frame: Frame) -> None:
        # REST may overtake frames that are still on their way: a second is taken off.
        body = _json(frame.payload)
        server = body.get("serverTime")
        if isinstance(server, int) and to_us(server) - SECOND_US - self._ticked >= TICK_US:
            self._tick(to_us(server) - SECOND_US)

    def _tick(self, clock_us: int) -> None:
        self._clock_us = max(self._clock_us, clock_us)
        self._ticked = self._clock_us - self._clock_us % TICK_US
        for symbol, tape in self.tapes.items():
            tape.tick(self._ticked)
            self._dirty[symbol] = None

    # ---- repair ----

    def _grant(self, symbol: str, tape: Tape, now_us: int) -> None:
        wish, tape.wish = tape.wish, None
        if isinstance(wish, Fetch):
            request = self._number()
            self._pages[request] = (symbol, False)
            self._requests.append(FetchTrades(request, symbol, wish.from_id, wish.limit))
        elif isinstance(wish, Wait):
            self._due[f"wait {symbol}"] = now_us + int(wish.seconds * SECOND_US)

    def _on_page(self, frame: Frame) -> None:
        body = _json(frame.payload)
        symbol, newest = self._pages.pop(body.get("request", 0), ("", False))
        tape = self.tapes.get(symbol)
        if tape is None:
            return
        rows = self._rows(body, tape, frame)
        if newest:
            if rows:
                tape.newest(max(row.id for row in rows), self._now(frame))
            elif tape.state is TapeState.UNPROVEN:
                self._due[f"probe {symbol}"] = frame.received_us + PROBE_US
        else:
            tape.answer(rows, self._now(frame))
            self.waiting += len(rows or ())
        self._dirty[symbol] = None
        self._grant(symbol, tape, frame.received_us)

    def _rows(
        self, body: dict[str, Any], tape: Tape, frame: Frame
    ) -> list[wire.RestTrade] | list[wire.RestAggTrade] | None:
        text = body.get("body")
        if not isinstance(text, str):
            return None  # the driver could not ask; it says why in `error`
        try:
            return wire.parse_page(text, aggregate=tape.aggregate)
        except WireError as error:
            self._quarantine(error.why, frame)
            return None

    # ---- time ----

    def _on_alarm(self, frame: Frame) -> None:
        now = frame.received_us
        for name in [name for name, due in self._due.items() if due <= now]:
            del self._due[name]
            what, _, symbol = name.partition(" ")
            if what == "wait":
                tape = self.tapes[symbol]
                tape.answer(None, self._now(frame))
                self._dirty[symbol] = None
                self._grant(symbol, tape, now)
            elif what == "probe":
                self._probe(symbol)
            elif what == "ack":
                self._fail("no answer to SUBSCRIBE")
            else:
                self._watch(now)

    def _probe(self, symbol: str) -> None:
        if self.tapes[symbol].state is TapeState.UNPROVEN and self.link is Link.LIVE:
            request = self._number()
            self._pages[request] = (symbol, True)
            self._requests.append(FetchNewest(request, symbol))

    def _watch(self, now: int) -> None:
        if now - self._frame_us >= SILENCE_US:
            self._fail(f"no frame for {SILENCE_US // SECOND_US} s")
        else:
            self._due["silence"] = self._frame_us + SILENCE_US

    # ---- smaller ones ----

    def _on_file(self, frame: Frame) -> None:
        # A capture of lines: from here on a frame's link is the number of its line.
        self._source = f"{frame.payload}:"

    def _tape(self, symbol: str, *, aggregate: bool | None = None) -> Tape:
        plan = self.plan
        tape = self.tapes[symbol] = Tape(
            f"{plan.exchange}:{symbol}",
            next_id=plan.next_ids.get(symbol),
            scales=plan.scales.get(symbol, (0, 0)),
            aggregate=plan.feed == "aggTrade" if aggregate is None else aggregate,
            repairs=plan.repairs,
        )
        return tape

    def _number(self) -> int:
        self._next_request += 1
        return self._next_request - 1

    def _now(self, frame: Frame) -> int:
        return self._clock_us or frame.received_us

    def _at(self, time_us: int) -> int:
        return self._positions.at(time_us)

    def _say(self, item: Connected | Disconnected | Quarantined) -> None:
        self._items.append((item.key, item))

    def _quarantine(self, reason: str, frame: Frame) -> None:
        now = self._now(frame)
        payload = frame.payload[:PAYLOAD_LIMIT]
        source = f"{self._source}{frame.link}"
        self._say(Quarantined(self.plan.key, now, self._at(now), reason, source, payload))


def _json(text: str) -> dict[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
