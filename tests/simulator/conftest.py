"""What the tests of the simulated exchange share: a small fast market and a reader of frames."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from simulator.config import MarketSettings, SimulatorSettings
from simulator.local import Simulator

Json = dict[str, Any]


class Start(Protocol):
    def __call__(self, **settings: object) -> Simulator: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start simulated exchanges: speed 40 and two minutes of history, unless told."""
    with ExitStack() as stack:

        def begin(**settings: object) -> Simulator:
            usual = {"speed": 40.0, "market": MarketSettings(history=120)}
            made = SimulatorSettings.model_validate(usual | settings)
            return stack.enter_context(Simulator(made))

        yield begin


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulator]:
    """One exchange for tests that only look: sixty times as fast, ten minutes of history."""
    with Simulator(SimulatorSettings(speed=60.0, market=MarketSettings(history=600))) as sim:
        yield sim


@pytest.fixture(scope="module")
def rest(shared: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared.rest_url, timeout=30) as client:
        yield client


@pytest.fixture
def opened() -> Iterator[Callable[[Simulator, str], ClientConnection]]:
    """Open WebSockets that are closed after the test."""
    with ExitStack() as stack:

        def open_socket(sim: Simulator, target: str) -> ClientConnection:
            return stack.enter_context(
                connect(
                    sim.ws_url + target, compression=None, ping_interval=None, close_timeout=0.1
                )
            )

        yield open_socket


@pytest.fixture
def read() -> Callable[..., list[Json]]:
    """Read frames until there are `count`, or until one is `last`."""

    def read_frames(
        socket: ClientConnection, count: int = 0, last: Callable[[Json], bool] | None = None
    ) -> list[Json]:
        frames: list[Json] = []
        while len(frames) < count or not count:
            frames.append(json.loads(socket.recv(timeout=20)))
            if last is not None and last(frames[-1]):
                break
        return frames

    return read_frames


@pytest.fixture
def ask() -> Callable[..., Json]:
    """Send a request and return its answer, passing over data."""

    def request(socket: ClientConnection, message: object) -> Json:
        socket.send(message if isinstance(message, str) else json.dumps(message))
        while True:
            frame: Json = json.loads(socket.recv(timeout=20))
            if not frame.keys() & {"e", "stream"}:
                return frame

    return request


@pytest.fixture
def drain() -> Callable[[ClientConnection], tuple[list[Json], ConnectionClosed]]:
    """Read until the connection ends; return the frames and how it ended."""

    def read_all(socket: ClientConnection) -> tuple[list[Json], ConnectionClosed]:
        frames: list[Json] = []
        while True:
            try:
                frames.append(json.loads(socket.recv(timeout=20)))
            except ConnectionClosed as closed:
                return frames, closed

    return read_all
