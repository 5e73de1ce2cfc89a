"""One connection to Redis, and nothing hidden behind it: no pool, no retry, no reconnect.

A server that restarted may have lost its newest rows, and only the break of the connection tells.
A client that reconnects by itself (redis-py's pools and pipelines do) would hide that.
"""

import contextlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, TypeAlias, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis.config import RedisConfig
from core.market.errors import ConfigError

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Argument, ...]

_EVERYSEC_S = 5.0
"""A second, two more that a write may be put off, and the fsync itself."""
_REPLICAS_S = 30.0
"""Until a fail-over is through."""
_NO_FSYNC_S = 35.0
"""Linux writes dirty pages back after 30 s."""


class Link:
    """An open connection; after any `ConnectionError` or `TimeoutError` it is of no more use.

    Raises:
        ConfigError: The address cannot be one.
        redis.RedisError: Nobody answers there, or refuses us.

    """

    def __init__(self, config: RedisConfig) -> None:
        try:
            pool = redis.ConnectionPool.from_url(
                config.url or "",
                socket_timeout=config.timeout,
                socket_connect_timeout=config.connect_timeout,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
        except ValueError as error:
            raise ConfigError("redis.url", str(error), hint="redis://host:6379/0") from None
        self._connection = cast("Any", pool.make_connection())  # its own methods have no types
        self._connection.connect()
        self.ask_all([("CLIENT", "SETNAME", config.client_name)])  # not everybody may; no matter

    def ask(self, *command: Argument) -> Any:  # noqa: ANN401 - an answer has any shape
        """Return the answer to a command, or raise its error."""
        (answer,) = self.ask_all([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands sent in one go; a refused one's is its exception."""
        self.tell(commands)
        return self.hear(len(commands))

    def tell(self, commands: Sequence[Command]) -> None:
        """Send commands in one go; their answers are for `hear`."""
        self._connection.send_packed_command(self._connection.pack_commands(commands))

    def hear(self, count: int) -> list[Any]:
        """Wait for the answers to so many commands told; a refused one's is its exception."""
        return [self._answer() for _ in range(count)]

    def has_heard(self) -> bool:
        """Return whether there is something to hear by now."""
        return bool(self._connection.can_read(timeout=0))

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(redis.RedisError, OSError):
            self._connection.disconnect()

    def _answer(self) -> Any:  # noqa: ANN401 - an answer has any shape
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            return error


def load_functions(link: Link) -> None:
    """Load the library of functions unless the server has this version of it."""
    code = files("connectors.redis").joinpath("publish.lua").read_text("utf-8")
    library = code.partition("name=")[2].partition("\n")[0]
    if not link.ask("FUNCTION", "LIST", "LIBRARYNAME", library):
        link.ask("FUNCTION", "LOAD", "REPLACE", code)


def durable_after(link: Link) -> float:
    """Return how many seconds after its answer this server may still forget a row in a crash.

    Where it does not tell, the time of a fail-over.
    """
    told = link.ask_all(
        [
            ("CONFIG", "GET", "appendonly"),
            ("CONFIG", "GET", "appendfsync"),
            ("INFO", "replication"),
        ]
    )
    if any(isinstance(answer, Exception) or not answer for answer in told):
        return _REPLICAS_S
    (_, log), (_, policy), replication = told
    if b"connected_slaves:0" not in replication:
        return _REPLICAS_S
    if log == b"yes" and policy == b"always":
        return 0.0
    return _NO_FSYNC_S if policy == b"no" else _EVERYSEC_S
