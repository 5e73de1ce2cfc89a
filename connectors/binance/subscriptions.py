"""Which symbols a shard follows: those of the settings, and what commands made of them since."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import suppress
from functools import partial
from typing import Literal, Protocol, TypeAlias
from zlib import crc32

from connectors.binance.driver import Driver
from connectors.binance.rest import RestError
from core.control import Command, InstanceCommand, ModelCommand, Outcome
from core.exchange.plan import Standing, Tell
from core.market.errors import ConfigError, CryptoToolsError

State: TypeAlias = Literal["applied", "accepted", "refused"]

_SECONDS = 60.0


class Inbox(Protocol):
    """Where commands come from."""

    since: str

    def start(self, handle: Callable[[Command, str], Iterable[Outcome]]) -> None:
        """Begin to call `handle` with commands and their places, on a thread of its own."""
        ...

    def stop(self) -> None:
        """End."""
        ...


Passed: TypeAlias = InstanceCommand | ModelCommand
"""Commands that shards pass on to their symbols."""

Planner = Callable[[Passed, Mapping[str, Standing]], Tell]
"""Says what symbols are to be told because of a command, given what they are told by now; raises
`CryptoToolsError` for one that cannot be obeyed."""


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
    """Obeys commands for one shard.

    Args:
        driver: Of the shard.
        shard: Its number.
        shards: How many there are.
        room: How many symbols it can carry.
        planner: Knows what is to be told; None: there is nobody to be told anything.

    """

    def __init__(
        self, driver: Driver, *, shard: int, shards: int, room: int, planner: Planner | None = None
    ) -> None:
        self._driver = driver
        self._shard, self._shards, self._room = shard, shards, room
        self._planner = planner

    def obey(self, command: Command, entry: str) -> list[Outcome]:
        """Make it so.

        Args:
            command: What is to be.
            entry: Its place, which is handed out with the inputs of the shard.

        Returns:
            An outcome for each symbol that belongs to this shard, or for the shard.

        """
        outcomes = self._obeyed(command)
        # Its place comes last: a crash before has the command obeyed again.
        with suppress(TookTooLong, CancelledError, RuntimeError):
            self._driver.command(entry=entry).result(_SECONDS)
        return outcomes

    def _obeyed(self, command: Command) -> list[Outcome]:
        if isinstance(command, Passed):
            act = partial(self._pass_on, command)
            return [_outcome(command.id, f"shard-{self._shard}", act)]
        own = [s for s in command.symbols if shard_of(s, self._shards) == self._shard]
        do = self._subscribe if command.action == "subscribe" else self._unsubscribe
        return [_outcome(command.id, s, partial(do, s)) for s in dict.fromkeys(own)]

    def _subscribe(self, symbol: str) -> tuple[State, str]:
        followed = self._driver.plan().symbols
        if symbol in followed:
            return "applied", "it was followed already"
        if len(followed) >= self._room:
            why = f"a shard carries {self._room} symbols, shard {self._shard} has them"
            raise ConfigError("binance.shards", why)
        self._driver.command(subscribe=(symbol,)).result(_SECONDS)
        return "applied", ""

    def _unsubscribe(self, symbol: str) -> tuple[State, str]:
        if symbol not in self._driver.plan().symbols:
            return "applied", "it was not followed"
        self._driver.command(unsubscribe=(symbol,)).result(_SECONDS)
        return "applied", ""

    def _pass_on(self, command: Passed) -> tuple[State, str]:
        if self._planner is None:
            raise ConfigError("strategies", "none run here")
        tell = self._planner(command, self._driver.plan().standing)
        self._driver.command(tell=tell).result(_SECONDS)
        return "accepted", ""


def _outcome(command: str, subject: str, act: Callable[[], tuple[State, str]]) -> Outcome:
    try:
        state, reason = act()
    except (CryptoToolsError, RestError) as error:
        state, reason = "refused", str(error).partition("\n")[0]
    except (TookTooLong, CancelledError, RuntimeError):
        state, reason = "refused", "the exchange cannot be reached, or the flow is ending"
    return Outcome(command=command, subject=subject, state=state, reason=reason)
