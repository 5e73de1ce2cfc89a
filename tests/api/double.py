"""Stands for a flow: a real inbox, planner, strategy hosts and heartbeat; only no market.

Enough to see what the API makes of a flow, at once and without processes.
"""

import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import redis

from config.settings import Settings, load
from connectors.binance.subscriptions import Subscriptions
from connectors.redis.control import Inbox
from connectors.redis.keys import FLOWS, stream_key
from core.control import Command, Outcome
from core.exchange.plan import Plan, Tell
from core.market.errors import ConfigError
from core.market.records import event_fields
from dataflows.heartbeat import Heartbeat
from dataflows.instances import planner_of
from dataflows.pulse import Pulse
from strategies.host import StrategyHost
from strategies.spec import Wanted

SHARD = "binance:shard-0"
LISTED = frozenset({"BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"})


def settings_at(url: str, folder: Path, **more: Any) -> Settings:  # noqa: ANN401 - settings
    """Return settings of a flow and an API below a folder, on a Redis."""
    return load(
        env={},
        dotenv=None,
        overrides={
            "redis": {"url": url},
            "symbols": ["BTCUSDT", "ETHUSDT"],
            "binance": {"ws_url": "ws://127.0.0.1:1", "rest_url": "http://127.0.0.1:1"},
            "state_dir": str(folder / "state"),
            "lake": {"path": str(folder / "lake")},
            "recording": {"path": str(folder / "recordings")},
            **more,
        },
    )


class FlowDouble:
    """Obeys commands like a flow of one shard."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = redis.Redis.from_url(str(settings.redis.url), decode_responses=True)
        self._plan = Plan(symbols=settings.symbols)
        self.pulse = Pulse()
        self.pulse.turns = 1
        self.pulse.links[SHARD][1] = time.time_ns() // 1000
        self.pulse.rotate_us[SHARD] = 82_800_000_000
        self.commands: list[Command] = []
        self.mute = False
        self._subscriptions = Subscriptions(
            self,  # type: ignore[arg-type]  # as much of a driver as is asked here
            shard=0, shards=1, room=100, planner=planner_of(settings),
        )  # fmt: skip
        self._follow()
        self._heart = Heartbeat(settings, pulse=self.pulse)
        self._inbox = Inbox(str(settings.redis.url))

    def start(self) -> "FlowDouble":
        """Begin."""
        self._heart.start()
        self._inbox.start(self._obey)
        until = time.monotonic() + 10
        while not self._redis.hexists(FLOWS, f"{self._settings.name}/0"):
            assert time.monotonic() < until, "nothing is told of the flow"
            time.sleep(0.005)
        return self

    def stop(self, *, word: bool = True) -> None:
        """End, with a last word or without."""
        self._inbox.stop()
        if word:
            self._heart.end()
        self._heart._done.set()
        self._redis.close()

    # ---- what a driver does ----

    def plan(self) -> Plan:
        return self._plan

    def command(
        self,
        *,
        subscribe: tuple[str, ...] = (),
        unsubscribe: tuple[str, ...] = (),
        tell: Tell | None = None,
        entry: str = "",
    ) -> "Future[None]":
        unknown = set(subscribe) - LISTED
        if unknown:
            raise ConfigError("symbols", f"the exchange has no symbol `{min(unknown)}`")
        left = [s for s in self._plan.symbols if s not in unsubscribe]
        symbols = tuple(dict.fromkeys([*left, *subscribe]))
        self._plan = self._plan.model_copy(update={"symbols": symbols})
        self._follow()
        if tell is not None:
            self._tell(tell)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _obey(self, command: Command, entry: str) -> list[Outcome]:
        self.commands.append(command)
        if self.mute:
            return []
        outcomes = self._subscriptions.obey(command, entry)
        self._heart.beat()
        return outcomes

    def _follow(self) -> None:
        now_us = time.time_ns() // 1000
        self.pulse.following[SHARD] = frozenset(self._plan.symbols)
        keys = {f"binance:{symbol}" for symbol in self._plan.symbols}
        for key in keys - set(self.pulse.hosts):
            self.pulse.clocks[key] = now_us
            self.pulse.hosts[key] = StrategyHost(key, self._settings.strategies)

    def _tell(self, tell: Tell) -> None:
        standing = {**self._plan.standing, tell.name: tell.message}
        if not tell.lasting:
            del standing[tell.name]
        self._plan = self._plan.model_copy(update={"standing": standing})
        self.pulse.told[SHARD] = {name: one.payload for name, one in standing.items()}
        wanted = Wanted.model_validate_json(tell.message.payload)
        for key, host in self.pulse.hosts.items():
            if isinstance(host, StrategyHost) and tell.message.concerns(key.partition(":")[2]):
                for event in host.want(wanted, [], time.time_ns() // 1000):
                    fields: dict[Any, Any] = event_fields(event)
                    self._redis.xadd(stream_key(key, "event"), fields)
