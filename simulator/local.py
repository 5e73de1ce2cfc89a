"""A simulated exchange on a thread of its own: for tests, demos and benchmarks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import Self, TypeVar

from core.market.errors import ServiceError
from simulator.config import SimulatorSettings
from simulator.klines import Kline
from simulator.scenarios import scenario
from simulator.server import HOST, Exchange, serve
from simulator.tape import Trade

_Value = TypeVar("_Value")
_START_SECONDS = 60.0
_CALL_SECONDS = 60.0


class Simulator:
    """A simulated exchange that serves from `start` (or ``with``) to `stop`.

    Args:
        what: The name of a scenario, or settings.
        port: 0 takes any free one; `ws_url` and `rest_url` say which.

    """

    def __init__(
        self, what: str | SimulatorSettings = "calm", *, host: str = HOST, port: int = 0
    ) -> None:
        self._settings = scenario(what).settings if isinstance(what, str) else what
        self._host, self._port = host, port
        self._thread: Thread | None = None
        self._running: Future[tuple[Exchange, asyncio.AbstractEventLoop]] = Future()
        self._stop = asyncio.Event()
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def settings(self) -> SimulatorSettings:
        """What it was made from."""
        return self._settings

    @property
    def ws_url(self) -> str:
        """Where the streams are: append ``/ws/<stream>`` or ``/stream?streams=``."""
        return self._exchange.ws_url

    @property
    def rest_url(self) -> str:
        """Where the REST API is: append ``/api/v3/…``, or ``/fapi/v1/…``."""
        return self._exchange.rest_url

    @property
    def start_us(self) -> int:
        """Exchange time at which it started."""
        return self._exchange.market.start_us

    @property
    def connections(self) -> int:
        """How many connections have been opened so far."""
        return self._exchange.connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return self._exchange.open_connections

    def start(self) -> Self:
        """Serve from now on; return when it listens, or raise why it cannot."""
        self._thread = Thread(target=self._main, name="simulator", daemon=True)
        self._thread.start()
        self._running.result(_START_SECONDS)
        return self

    def stop(self) -> None:
        """Close every connection and end the thread; raise what it failed of, if it did."""
        if self._thread is None:
            return
        if self._thread.is_alive():
            _, loop = self._running.result()
            loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_CALL_SECONDS)
        self._thread = None
        if self._error is not None:
            raise self._error

    def now_us(self) -> int:
        """Return the exchange time in microseconds."""
        return self._exchange.now_us()

    def drop_all(self) -> int:
        """Cut every connection, without a closing handshake; return how many."""
        return self._call(lambda exchange: exchange.drop_all())

    def klines(self, symbol: str, interval: str, start_us: int, end_us: int) -> list[Kline]:
        """Return the exchange's own klines that open in ``[start, end)`` and have ended."""
        return self._call(lambda exchange: exchange.klines(symbol, interval, start_us, end_us))

    def trades(self, symbol: str, start_us: int, end_us: int) -> list[Trade]:
        """Return the trades with ``start <= T < end`` that have happened by now."""
        return self._call(lambda exchange: exchange.trades(symbol, start_us, end_us))

    @property
    def _exchange(self) -> Exchange:
        if not self._running.done():
            raise ServiceError("simulator", "is not started", hint="use it in a `with` statement")
        return self._running.result()[0]

    def _call(self, ask: Callable[[Exchange], _Value]) -> _Value:
        """Run on the exchange's own thread, which alone touches its market."""
        exchange, loop = self._running.result()
        answer: Future[_Value] = Future()

        def run() -> None:
            try:
                answer.set_result(ask(exchange))
            except BaseException as error:  # handed to the caller's thread
                answer.set_exception(error)

        loop.call_soon_threadsafe(run)
        return answer.result(_CALL_SECONDS)

    def _main(self) -> None:
        try:
            asyncio.run(
                serve(
                    self._settings,
                    host=self._host,
                    port=self._port,
                    started=lambda ex: self._running.set_result((ex, asyncio.get_running_loop())),
                    stop=self._stop,
                )
            )
        except BaseException as error:  # raised by start, or by stop
            if self._running.done():
                self._error = error
            else:
                self._running.set_exception(error)
