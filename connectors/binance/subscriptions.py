"""Which symbols a shard follows: those of the settings, and what commands made of them since."""

from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as TookTooLong
from typing import Protocol
from zlib import crc32

from connectors.binance.driver import Driver
from connectors.binance.rest import RestError
from core.control import Command, Outcome
from core.market.errors import ConfigError

_SECONDS = 60.0


class Inbox(Protocol):
    """Where commands come from."""

    position: str

    def start(self, handle: Callable[[Command], Iterable[Outcome]]) -> None:
        """Begin to call `handle`, on a thread of its own."""
        ...

    def stop(self) -> None:
        """End."""
        ...


def shard_of(symbol: str, shards: int) -> int:
    """Return the shard of a symbol: the same on every machine and in every run."""
    return crc32(symbol.encode()) % shards


def merged(
    configured: tuple[str, ...], before: tuple[str, ...], followed: tuple[str, ...]
) -> tuple[str, ...]:
    """Return what to follow after a restart.

    Args:
        configured: The symbols of the settings now.
        before: Those of the settings when the snapshot was taken.
        followed: What was followed then, after commands.

    >>> merged(("BTCUSDT", "SOLUSDT"), ("BTCUSDT", "ETHUSDT"), ("BTCUSDT", "XRPUSDT"))
    ('BTCUSDT', 'SOLUSDT', 'XRPUSDT')

    """
    removed, added = set(before) - set(followed), [s for s in followed if s not in before]
    kept = [symbol for symbol in configured if symbol not in removed]
    return tuple(dict.fromkeys([*kept, *added]))


class Subscriptions:
    """Obeys commands for the symbols of one shard.

    Args:
        driver: Of the shard.
        shard: Its number.
        shards: How many there are.
        room: How many symbols it can carry.

    """

    def __init__(self, driver: Driver, *, shard: int, shards: int, room: int) -> None:
        self._driver = driver
        self._shard, self._shards, self._room = shard, shards, room

    def obey(self, command: Command) -> list[Outcome]:
        """Make it so; return an outcome for each of its symbols that belong to this shard."""
        own = [
            s for s in dict.fromkeys(command.symbols) if shard_of(s, self._shards) == self._shard
        ]
        act = self._subscribe if command.action == "subscribe" else self._unsubscribe
        return [self._outcome(command, symbol, act) for symbol in own]

    def _outcome(self, command: Command, symbol: str, act: Callable[[str], str]) -> Outcome:
        try:
            done = act(symbol)
        except (ConfigError, RestError) as error:
            reason = str(error).partition("\n")[0]
            return Outcome(command=command.id, subject=symbol, state="refused", reason=reason)
        except (TookTooLong, CancelledError, RuntimeError):
            reason = "the exchange cannot be reached, or the flow is ending"
            return Outcome(command=command.id, subject=symbol, state="refused", reason=reason)
        return Outcome(command=command.id, subject=symbol, state="applied", reason=done)

    def _subscribe(self, symbol: str) -> str:
        followed = self._driver.symbols()
        if symbol in followed:
            return "it was followed already"
        if len(followed) >= self._room:
            why = f"a shard carries {self._room} symbols, shard {self._shard} has them"
            raise ConfigError("binance.shards", why)
        self._driver.command(subscribe=(symbol,)).result(_SECONDS)
        return ""

    def _unsubscribe(self, symbol: str) -> str:
        if symbol not in self._driver.symbols():
            return "it was not followed"
        self._driver.command(unsubscribe=(symbol,)).result(_SECONDS)
        return ""
