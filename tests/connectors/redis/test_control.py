"""The control stream on a real server: commands obeyed in order, answered, never forgotten."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from connectors.redis.control import Inbox, Sender
from connectors.redis.embedded import EmbeddedServer, ensure
from connectors.redis.keys import CONTROL, OUTCOMES
from core.control import Command, Outcome, SymbolsCommand
from core.market.errors import ServiceError


def command(name: str, *symbols: str) -> Command:
    return SymbolsCommand(id=name, action="subscribe", symbols=symbols or ("BTCUSDT",))


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Flow:
    """Obeys, and remembers what."""

    def __init__(self) -> None:
        self.obeyed: list[str] = []
        self.position = ""
        self.inboxes: list[Inbox] = []

    def open(self, url: str, since: str = "") -> Inbox:
        self.inboxes.append(Inbox(url, since))
        self.inboxes[-1].start(self.obey)
        return self.inboxes[-1]

    def obey(self, said: Command, entry: str) -> list[Outcome]:
        assert isinstance(said, SymbolsCommand)
        self.obeyed.append(said.id)
        self.position = entry
        return [
            Outcome(command=said.id, subject=s, state="refused" if s == "NOSUCH" else "applied")
            for s in said.symbols
        ]


@pytest.fixture
def flow() -> Iterator[Flow]:
    found = Flow()
    yield found
    for inbox in found.inboxes:
        inbox.stop()


@pytest.mark.usefixtures("client")
def test_a_command_is_obeyed_once_and_answered_for_each_symbol(
    flow: Flow, server: EmbeddedServer
) -> None:
    flow.open(server.url, "0-0")
    outcomes = Sender(server.url).send(command("a", "BTCUSDT", "NOSUCH"), ("BTCUSDT", "NOSUCH"), 20)
    assert {o.subject: o.state for o in outcomes} == {"BTCUSDT": "applied", "NOSUCH": "refused"}
    assert flow.obeyed == ["a"]


@pytest.mark.usefixtures("client")
def test_nobody_answers_where_nothing_runs_and_the_command_waits(
    flow: Flow, server: EmbeddedServer
) -> None:
    assert Sender(server.url).send(command("a"), ("BTCUSDT",), 0.1) == []
    flow.open(server.url, "0-0")
    until(lambda: flow.obeyed == ["a"])


@pytest.mark.usefixtures("client")
def test_who_goes_on_from_a_position_obeys_what_came_since(
    flow: Flow, server: EmbeddedServer
) -> None:
    sender = Sender(server.url)
    first = flow.open(server.url, "0-0")
    sender.send(command("a"), ("BTCUSDT",), 20)
    until(lambda: flow.position)
    first.stop()
    sender.send(command("b"), ("BTCUSDT",), 0.0)
    sender.send(command("c"), ("BTCUSDT",), 0.0)
    flow.open(server.url, flow.position)
    until(lambda: flow.obeyed == ["a", "b", "c"])


def test_one_without_a_position_obeys_only_what_comes(
    flow: Flow, server: EmbeddedServer, client: redis.Redis
) -> None:
    client.xadd(CONTROL, {"body": command("old").model_dump_json()}, id="1-1")
    flow.open(server.url)
    Sender(server.url).send(command("new"), ("BTCUSDT",), 20)
    assert flow.obeyed == ["new"]


def test_what_is_no_command_is_refused_in_words_and_the_next_one_obeyed(
    flow: Flow, server: EmbeddedServer, client: redis.Redis
) -> None:
    flow.open(server.url, "0-0")
    client.xadd(CONTROL, {"body": '{"id":"x","action":"dance","symbols":["BTCUSDT"]}'})
    client.xadd(CONTROL, {"nothing": "here"})
    Sender(server.url).send(command("a"), ("BTCUSDT",), 20)
    assert flow.obeyed == ["a"]
    told: Any = client.xrange(OUTCOMES)
    reasons = [fields["reason"] for _, fields in told]
    assert "does not match any of the expected tags" in reasons[0]
    assert "Invalid JSON" in reasons[1]


@pytest.mark.usefixtures("client")
def test_a_killed_server_is_waited_for(flow: Flow, server: EmbeddedServer, folder: Path) -> None:
    flow.open(server.url, "0-0")
    Sender(server.url).send(command("a"), ("BTCUSDT",), 20)
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(ServiceError, match="is it running"):
        Sender(server.url).send(command("lost"), ("BTCUSDT",), 1)
    again = ensure(folder)
    outcomes = Sender(again.url).send(command("b"), ("BTCUSDT",), 20)
    assert [o.command for o in outcomes] == ["b"]
    # One whose answer was on its way is obeyed again, which changes nothing.
    assert list(dict.fromkeys(flow.obeyed)) == ["a", "b"]
