"""A receiver on loopback whose answers are data, and records to tell of."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import redis

from config.notify import NotifyConfig
from connectors.redis.codec import Entry, entry_of, rows_of
from connectors.redis.keys import REGISTRY, stream_key
from core.market.events import Event
from core.market.intervals import interval
from core.market.paper import Fill
from core.market.signal import Side, Signal
from subscribers.notify.worker import Worker

KEY = "binance:BTCUSDT"
START_US = 1_770_000_000_000_000
_HANG_S = 30.0

Answer: TypeAlias = int | str | tuple[int, dict[str, str]]


@dataclass
class Request:
    """What the receiver was sent."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    taken: bool

    @property
    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


@dataclass
class Receiver:
    """Answers by script: one answer per request, 200 when there is none left.

    An answer is a status, ``(status, headers)``, ``hang`` (no answer) or ``drop``: it is taken, and
    the connection ends without an answer.
    """

    url: str = ""
    script: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    text: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def taken(self) -> list[Request]:
        """What it took, in its order; the same may be there twice."""
        return [one for one in list(self.requests) if one.taken]

    @property
    def once(self) -> list[dict[str, Any]]:
        """What it took, each id once: the first time."""
        found: dict[str, dict[str, Any]] = {}
        for one in self.taken:
            found.setdefault(one.json["id"], one.json)
        return list(found.values())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients may be gone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with receiver.lock:
            answer = receiver.script.pop(0) if receiver.script else 200
            status, more = answer if isinstance(answer, tuple) else (answer, {})
            taken = status == "drop" or (isinstance(status, int) and status < 300)
            headers = dict(self.headers.items())
            receiver.requests.append(Request(self.path, headers, body, time.monotonic(), taken))
        if status == "hang":
            receiver.ended.wait(_HANG_S)
        if not isinstance(status, int):
            self.close_connection = True
            return
        text = receiver.text.encode()
        self.send_response(status)
        for name, value in {**more, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver."""
    found = Receiver()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = found
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def signal(seq: int, key: str = KEY, *, instance: str = "rsi_reversal", **more: object) -> Signal:
    """Return a signal, a minute later with each `seq`."""
    told: dict[str, Any] = {"side": Side.LONG, "price": "67123.45"}
    told |= {"reason": "rsi 30.4 left oversold", "values": (("rsi", 30.4),), **more}
    open_us = START_US + seq * 60_000_000
    return Signal(
        key=key, interval=interval("1m"), strategy="rsi_reversal", instance=instance,
        open_us=open_us, close_us=open_us + 59_999_999, seq=seq, **told,
    )  # fmt: skip


def entry(record: Signal | Event | Fill) -> Entry:
    """Return a record as a reader gets it."""
    target, (row,) = rows_of(record)
    seq, ms, flat, *_ = json.loads(row)
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return entry_of(stream_key(record.key, *target), f"{ms}-{seq}", fields)


def eventually(what: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is true."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.005)


class Working:
    """A worker on a thread of its own."""

    def __init__(self, config: NotifyConfig, url: str, **more: Any) -> None:  # noqa: ANN401 - any
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._worker = Worker(config, url, stop=self.stop, lease_s=1.0, **more)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Working":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Stop it, and wait until it has."""
        self.stop.set()
        self.wait()

    def wait(self) -> None:
        """Wait until it has ended."""
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:
            self.error = error


def is_idle(client: redis.Redis, group: str = "notify") -> bool:
    """Say whether a group was given everything, and is done with it."""
    names: Any = client.smembers(REGISTRY)
    for name in names:
        groups: Any = client.xinfo_groups(name)
        own = [one for one in groups if one["name"] == group]
        newest: Any = client.xrevrange(name, count=1)
        if not own or own[0]["pending"] or own[0]["last-delivered-id"] != newest[0][0]:
            return False
    return True
