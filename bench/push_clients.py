"""Clients of live push, all in one process: ``python -m bench.push_clients plan``.

They look at every frame: each event has to come to each client once, and in order. Says `ready`
when every client was told how things stand, and at the end what was found, as JSON.
"""

import asyncio
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from bench.push_plan import TOPIC, Plan
from bench.push_wire import wire

_READY_S = 60.0
_LATE_S = 30.0
_LINGER_S = 0.5  # in which nothing may come twice
_AT_ONCE = 50
_FAULTS = 20
_SMALL = 4096  # bytes that a stalled client's system takes for it, about


@dataclass(slots=True)
class Tally:
    """What clients found.

    Attributes:
        events: Delays of events in milliseconds, from before they were added to when they came.
        values: The same of values that were seen.
        frames: That came while it was measured.
        faults: What must not be, the first of them.

    """

    events: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    frames: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """Note what must not be."""
        if len(self.faults) < _FAULTS:
            self.faults.append(text)


class Client(asyncio.Protocol):
    """One that reads.

    Args:
        number: Which it is.
        plan: What is run.
        tally: Of all clients.

    """

    def __init__(self, number: int, plan: Plan, tally: Tally) -> None:
        self._name, self._plan, self._tally = f"client {number}", plan, tally
        self._wire = wire(plan)
        self._transport: Any = None
        self._next = 1
        self.ready, self.done = asyncio.Event(), asyncio.Event()
        self.ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = transport
        self._transport.write(self._wire.opening())

    def data_received(self, data: bytes) -> None:
        """Look at what came."""
        now = time.time_ns()
        for body in self._wire.read(data):
            self._look(orjson.loads(body), now)
        if answers := self._wire.answers():
            self._transport.write(answers)

    def connection_lost(self, _error: Exception | None) -> None:
        """Take note that nothing comes any more."""
        if not self.ending:
            self._tally.fault(f"{self._name} was cut off before event {self._next}")
        self.ready.set()
        self.done.set()

    def end(self) -> None:
        """Go."""
        self.ending = True
        self._transport.abort()

    def _look(self, frame: dict[str, Any], now: int) -> None:
        if "error" in frame or frame.get("reset"):
            self._tally.fault(f"{self._name} was told {str(frame)[:200]}")
            return
        for event in frame["events"]:
            self._event(event["fields"], now)
        value = frame["latest"].get(TOPIC, {})
        if value.get("run") == self._plan.run and int(value["n"]) > self._plan.skipped:
            self._tally.values.append((now - int(value["sent_ns"])) / 1e6)
        self._tally.frames += self._next > self._plan.skipped + 1
        self.ready.set()

    def _event(self, fields: dict[str, str], now: int) -> None:
        n = int(fields["n"])
        if fields["run"] != self._plan.run or n != self._next:
            self._tally.fault(f"{self._name} was given event {n} where {self._next} comes")
        self._next = n + 1
        if n > self._plan.skipped:
            self._tally.events.append((now - int(fields["sent_ns"])) / 1e6)
        if n == self._plan.rounds:
            self.done.set()


async def stall(plan: Plan) -> socket.socket:
    """Connect one that reads nothing, once it has asked."""
    loop, own = asyncio.get_running_loop(), socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
    own.setblocking(False)
    await loop.sock_connect(own, ("127.0.0.1", plan.port))
    line = wire(plan)
    await loop.sock_sendall(own, line.opening())
    if plan.transport == "ws":
        list(line.read(await loop.sock_recv(own, _SMALL)))
        await loop.sock_sendall(own, line.answers())
    return own


async def run(plan: Plan) -> Tally:
    """Connect all, and return what they found when the last event has come to each."""
    tally, loop = Tally(), asyncio.get_running_loop()
    clients = [Client(number, plan, tally) for number in range(plan.clients)]
    stalled = [await stall(plan) for _ in range(plan.stalled)]
    for at in range(0, len(clients), _AT_ONCE):
        part = clients[at : at + _AT_ONCE]
        await asyncio.gather(
            *(loop.create_connection(lambda one=one: one, "127.0.0.1", plan.port) for one in part)  # type: ignore[misc]  # the default is the client
        )
    async with asyncio.timeout(_READY_S):
        await asyncio.gather(*(one.ready.wait() for one in clients))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        async with asyncio.timeout(plan.rounds / plan.rate + _LATE_S):
            await asyncio.gather(*(one.done.wait() for one in clients))
        await asyncio.sleep(_LINGER_S)
    except TimeoutError:
        tally.fault(f"{sum(not one.done.is_set() for one in clients)} clients still wait")
    for one in clients:
        one.end()
    for own in stalled:
        own.close()
    return tally


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(asdict(asyncio.run(run(Plan.read(sys.argv[1]))))).decode() + "\n")
