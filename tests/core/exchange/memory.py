"""An exchange in memory: it feeds one session and answers what it asks; no clock but its own."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.exchange.plan import Plan
from core.exchange.requests import (
    Dial,
    FetchNewest,
    FetchStatus,
    FetchTime,
    FetchTrades,
    Hangup,
    Request,
    Send,
)
from core.exchange.session import Session
from core.market.events import Event, Frame
from core.market.trades import Trades

KEY = "binance:BTCUSDT"
START_US = 1_723_161_600_000_000


def trade_text(
    trade_id: int,
    *,
    symbol: str = "BTCUSDT",
    price: str = "61837.63000000",
    at_us: int | None = None,
) -> str:
    at = START_US + trade_id * 10_000 if at_us is None else at_us
    return json.dumps(
        {"stream": f"{symbol.lower()}@trade",
         "data": {"e": "trade", "E": at, "s": symbol, "t": trade_id, "p": price,
                  "q": "0.02000000", "T": at, "m": trade_id % 2 == 0, "M": True}},
        separators=(",", ":"),
    )  # fmt: skip


def rest_row(trade_id: int) -> dict[str, object]:
    return {
        "id": trade_id, "price": "61837.63000000", "qty": "0.02000000", "quoteQty": "1",
        "time": START_US + trade_id * 10_000, "isBuyerMaker": trade_id % 2 == 0,
    }  # fmt: skip


@dataclass
class Exchange:
    """Feeds one session and answers what it asks, from a history of contiguous ids."""

    session: Session
    held: int = 0  # ids 0..held-1 exist
    absent: frozenset[int] = frozenset()
    answers: bool = True
    failing: bool = False
    now_us: int = START_US
    server_us: int = START_US
    link: int = 0
    up: list[int] = field(default_factory=list)  # links that bring data, oldest first
    dialled: list[str] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    inputs: list[Frame] = field(default_factory=list)
    hangups: list[str] = field(default_factory=list)
    items: list[tuple[str, object]] = field(default_factory=list)

    def feed(self, kind: str, payload: str = "", link: int | None = None) -> None:
        self.now_us += 100
        number = self.link if link is None else link
        frame = Frame(self.session.plan.key, self.now_us, kind, number, payload)
        self.inputs.append(frame)
        self.session.feed(frame)
        for request in self.session.requests():
            self.answer(request)

    def answer(self, request: Request) -> None:
        if isinstance(request, Hangup):
            self.hangups.append(request.reason)
            if len(self.up) > 1:
                self.close(request.reason, link=request.link)
        elif isinstance(request, Dial):
            self.dialled.append(request.reason)
        elif not self.answers:
            return
        elif isinstance(request, Send):
            self.sent.append(request.text)
            reply = json.dumps({"result": None, "id": json.loads(request.text)["id"]})
            self.feed("frame", reply, request.link)
        elif isinstance(request, FetchStatus):
            self.feed("status", json.dumps({"statuses": self.statuses}))
        elif isinstance(request, FetchTime):
            self.feed("time", json.dumps({"serverTime": self.server_us // 1000}))
        elif self.failing:
            self.feed("page", json.dumps({"request": request.request, "error": "HTTP 500"}))
        elif isinstance(request, FetchTrades):
            ids = [i for i in range(request.from_id, self.held) if i not in self.absent]
            self.page(request.request, ids[: request.limit])
        elif isinstance(request, FetchNewest):
            self.page(request.request, [self.held - 1] if self.held else [])

    def page(self, request: int, ids: list[int]) -> None:
        body = json.dumps([rest_row(i) for i in ids])
        self.feed("page", json.dumps({"request": request, "body": body}))

    def open(self) -> None:
        self.link += 1
        self.up.append(self.link)
        self.feed("open")

    def close(self, reason: str = "reset", link: int | None = None) -> None:
        gone = self.link if link is None else link
        if gone in self.up:
            self.up.remove(gone)
        self.feed("close", reason, gone)

    def trade(self, trade_id: int) -> None:
        self.held = max(self.held, trade_id + 1)
        for number in list(self.up) or [self.link]:
            self.feed("frame", trade_text(trade_id), number)

    def trades(self, first: int, last: int) -> None:
        for trade_id in range(first, last + 1):
            self.trade(trade_id)

    def wait(self, us: int) -> None:
        """Let time pass, firing every alarm that falls due."""
        until = self.now_us + us
        while (due := self.session.deadline_us) is not None and due <= until:
            self.now_us = max(self.now_us, due)
            self.feed("alarm")
        self.now_us = until

    def drain(self) -> list[object]:
        self.items += self.session.items()
        return [item for _, item in self.items]


def exchange(audit: tuple[str, ...] = ()) -> Exchange:
    return Exchange(Session(Plan(symbols=("BTCUSDT",), audit=audit)))


def ids(items: Iterable[object]) -> list[int]:
    return [i for item in items if isinstance(item, Trades) for i in item.id.tolist()]


def events(items: Iterable[object]) -> list[str]:
    return [item.kind for item in items if isinstance(item, Event)]
