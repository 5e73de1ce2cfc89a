"""Commands to a shard: obeyed, refused in words, and kept over a restart."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from connectors.binance.config import BinanceConfig
from connectors.binance.source import BinancePartition, BinanceSource
from connectors.binance.subscriptions import merged, shard_of
from connectors.shutdown import STOP
from core.control import Command, Outcome, SymbolsCommand
from core.market.events import Frame, Item
from core.market.trades import Trades
from simulator.local import Simulator
from simulator.scenarios import scenario


class Inbox:
    """Hands its commands over when it is told to."""

    def __init__(self, position: str) -> None:
        self.since = position
        self.handle: Callable[[Command, str], Iterable[Outcome]] = lambda *_: ()
        self.said = 0

    def start(self, handle: Callable[[Command, str], Iterable[Outcome]]) -> None:
        self.handle = handle

    def stop(self) -> None:
        """End."""

    def say(self, action: Any, *symbols: str) -> dict[str, tuple[str, str]]:  # noqa: ANN401 - also wrong ones
        said = SymbolsCommand(id="c", action=action, symbols=symbols)
        self.said += 1
        return {o.subject: (o.state, o.reason) for o in self.handle(said, f"{self.said}-0")}


@pytest.fixture
def sim() -> Iterator[Simulator]:
    STOP.clear()
    with Simulator(scenario("calm").settings.model_copy(update={"speed": 30.0})) as found:
        yield found


def opened(
    sim: Simulator, *symbols: str, state: dict[str, object] | None = None, shards: int = 1,
    shard: int = 0,
) -> tuple[BinancePartition, Inbox]:  # fmt: skip
    made: list[Inbox] = []

    def inboxes(position: str) -> Inbox:
        made.append(Inbox(position))
        return made[-1]

    config = BinanceConfig.model_validate(
        {"ws_url": sim.ws_url, "rest_url": sim.rest_url, "shards": shards}
    )
    source = BinanceSource(config, symbols, inboxes=inboxes, dice=lambda: random.Random(1))
    part = source.build_part("exchange", f"shard-{shard:02d}", state)
    return part, made[0]


def until_traded(part: BinancePartition, symbol: str) -> list[tuple[str, Item]]:
    items: list[tuple[str, Item]] = []
    end = time.monotonic() + 30
    while not any(k.endswith(f":{symbol}") and isinstance(i, Trades) for k, i in items):
        assert time.monotonic() < end
        items += part.next_batch()
        time.sleep(0.002)
    return items


def test_symbols_of_commands_are_followed_and_outlast_a_restart(sim: Simulator) -> None:
    part, inbox = opened(sim, "BTCUSDT", "SOLUSDT")
    assert inbox.say("subscribe", "ETHUSDT", "BTCUSDT") == {
        "ETHUSDT": ("applied", ""),
        "BTCUSDT": ("applied", "it was followed already"),
    }
    assert inbox.say("unsubscribe", "SOLUSDT", "XRPUSDT") == {
        "SOLUSDT": ("applied", ""),
        "XRPUSDT": ("applied", "it was not followed"),
    }
    items = until_traded(part, "ETHUSDT")
    assert [i.kind for _, i in items if isinstance(i, Frame)].count("command") == 4  # recorded
    state = part.snapshot()
    part.close()

    # The settings have changed meanwhile, too.
    again, inbox = opened(sim, "BTCUSDT", "SOLUSDT", "BNBUSDT", state=state)
    assert inbox.since == "2-0"
    items = until_traded(again, "ETHUSDT")
    again.close()
    assert again.snapshot()["symbols"] == ["BTCUSDT", "BNBUSDT", "ETHUSDT"]
    trades = next(i for k, i in items if k.endswith("ETHUSDT") and isinstance(i, Trades))
    assert int(trades.id[0]) == dict(state["next_ids"])["ETHUSDT"]  # type: ignore[call-overload]  # plain values


def test_what_cannot_be_is_refused_with_the_reason(sim: Simulator) -> None:
    part, inbox = opened(sim, "BTCUSDT")
    ((state, reason),) = inbox.say("subscribe", "NOSUCH").values()
    assert state == "refused"
    assert "has no symbol `NOSUCH`" in reason
    part.close()
    ((state, reason),) = inbox.say("subscribe", "ETHUSDT").values()
    assert (state, reason) == ("refused", "the exchange cannot be reached, or the flow is ending")


def test_a_shard_answers_for_its_own_symbols_only(sim: Simulator) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
    answered: dict[str, int] = {}
    for shard in range(2):
        part, inbox = opened(sim, shards=2, shard=shard)
        answered |= dict.fromkeys(inbox.say("subscribe", *symbols), shard)
        part.close()
    assert answered == {symbol: shard_of(symbol, 2) for symbol in symbols}


def test_a_snapshot_from_before_there_were_commands_takes_the_settings(sim: Simulator) -> None:
    part, _ = opened(sim, "BTCUSDT")
    state = part.snapshot()
    part.close()
    del state["configured"], state["control"]
    again, _ = opened(sim, "ETHUSDT", state=state)
    again.close()
    assert again.snapshot()["symbols"] == ["ETHUSDT"]


def test_settings_and_commands_merge_however_both_change() -> None:
    assert merged(("A", "B"), ("A", "B"), ("A", "B")) == ("A", "B")
    assert merged(("A", "B"), ("A", "B"), ("B", "C")) == ("B", "C")
    assert merged(("A", "B", "D"), ("A", "B"), ("B", "C")) == ("B", "D", "C")
    assert merged(("A",), ("A", "B"), ("A", "B")) == ("A",)
