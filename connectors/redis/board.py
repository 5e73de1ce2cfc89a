"""Where flows tell how they are, for those who cannot read their state folder.

    md:~flows    one field per flow and process, its account as JSON

Accounts are told by a thread of their own: a server that is away or slow holds up nobody.
"""

import logging
import threading
from typing import Any

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis.keys import FLOWS
from core.market.errors import ServiceError

LOG = logging.getLogger("cryptotools.redis")

_TIMEOUT_S = 2.0

Account = dict[str, Any]


def field(flow: str, part: str | int) -> str:
    """Return the name of the field of a part of a flow.

    >>> field("main", 0), field("main", "supervisor")
    ('main/0', 'main/supervisor')
    """
    return f"{flow}/{part}"


class Board:
    """Tells the newest account of each part of a flow; older ones that nobody told yet are lost.

    Args:
        url: An address.
        flow: Name of the flow.

    """

    def __init__(self, url: str, flow: str) -> None:
        try:
            self._client = redis.Redis.from_url(
                url,
                protocol=2,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise ServiceError("redis", str(error), hint="redis://host:6379/0") from None
        self._flow = flow
        self._waiting: dict[str, bytes] = {}
        self._change = threading.Condition()
        self._done = False
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()

    def show(self, part: str | int, account: Account) -> None:
        """Put an account up in place of the part's last one; returns at once."""
        body = orjson.dumps(account, option=orjson.OPT_NON_STR_KEYS)
        with self._change:
            self._waiting[field(self._flow, part)] = body
            self._change.notify()

    def close(self) -> None:
        """Tell what waits, and hang up."""
        with self._change:
            self._done = True
            self._change.notify()
        self._thread.join(2 * _TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._done)
                told, self._waiting = self._waiting, {}
                done = self._done
            if told:
                self._tell(told)
            if done:
                self._client.close()
                return

    def _tell(self, told: dict[str, bytes]) -> None:
        try:
            mapping: dict[Any, Any] = dict(told)
            self._client.hset(FLOWS, mapping=mapping)
            self._complained = False
        except (redis.RedisError, OSError) as error:
            if not self._complained:
                LOG.warning("the status cannot be told to redis: %s", error)
            self._complained = True
