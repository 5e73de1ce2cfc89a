"""What must outlast a worker, in Redis: what was sent, what may have been, what was given up.

    md:~notify:{<worker>/<channel>}:r:<record>   id of the message that tells of it      expires
    md:~notify:{<worker>/<channel>}:m:<message>  ``held`` and the message, ``sent``, ``dead``
    md:~notify:{<worker>/<channel>}:~sent        when attempts were made, newest first   expires
    md:~notify:<worker>:~counts                  a hash of counters and last errors per channel
    md:~dead:<worker>                            a stream of messages that were given up

A message is held before it is sent for the first time: whoever comes after a crash sends that very
message again, under its id, instead of making others of its records.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from core.market.errors import ConfigError
from subscribers.notify.message import Message, from_json

LOG = logging.getLogger("cryptotools.notify")

_SENT, _DEAD, _HELD = "sent", "dead", "held "
_TIMEOUT_S = 5.0
_RATE_S = 120
_KEPT = 10_000
_PAGE = 500
_ERROR = 300


def connect(url: str) -> Any:  # noqa: ANN401 - of a server or of a cluster; answers have no types
    """Return a client that retries nothing by itself.

    Raises:
        ConfigError: The address cannot be one.
        redis.RedisError: Nobody answers there.

    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "protocol": 2,
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": 2.0,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        client = redis.Redis.from_url(url, **options)
    except ValueError as error:
        raise ConfigError("redis.url", str(error), hint="redis://host:6379/0") from None
    try:
        told: Any = client.info("cluster")
    except redis.ResponseError:  # not everybody may ask
        return client
    if not told.get("cluster_enabled"):
        return client
    client.close()
    return RedisCluster.from_url(url, **options)


@dataclass(frozen=True, slots=True)
class Dead:
    """A message that was given up.

    Attributes:
        id: Of its entry; the milliseconds are when it was given up.
        channel: Where it was to go.
        reason: The last error.
        attempts: How many were made.
        message: What was to be sent.

    """

    id: str
    channel: str
    reason: str
    attempts: int
    message: Message

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        own = self.message
        return {
            "dead": self.id, "channel": self.channel, "reason": self.reason,
            "attempts": self.attempts, "id": own.id, "kind": own.kind, "severity": own.severity,
            "title": own.title, "text": own.text, "records": list(own.records),
        }  # fmt: skip


class Store:
    """The marks of one worker's channels; every method may raise `redis.RedisError`.

    Args:
        url: An address of Redis.
        worker: Name of the worker.
        max_age_s: What is older is never sent as itself, so its mark need not be kept for ever.

    """

    def __init__(self, url: str, worker: str, max_age_s: float = 900.0) -> None:
        self._url, self._worker = url, worker
        self._keep_s = int(max(86_400.0, 4 * max_age_s))
        self._found: Any = None

    @property
    def client(self) -> Any:  # noqa: ANN401 - as `connect`
        """The client, connected on first use."""
        if self._found is None:
            self._found = connect(self._url)
        return self._found

    def close(self) -> None:
        """Hang up; the next use connects anew."""
        if self._found is not None:
            self._found.close()
            self._found = None

    # ---- messages ----

    def known(self, channel: str, records: Sequence[str]) -> list[Message | bool]:
        """Say of each record what became of it: True: told; a message: maybe sent; False: nothing.

        Costs two round trips, whatever their number.
        """
        if not records:
            return []
        within = self.client.mget([self._record(channel, one) for one in records])
        ids = [one or "" for one in within]
        states = self.client.mget([self._message(channel, one) for one in ids]) if any(ids) else ids
        return [_read(state) if one else False for one, state in zip(ids, states, strict=True)]

    def hold(self, channel: str, message: Message) -> bool:
        """Keep a message that is about to be sent; False: it was sent before.

        A message that is held already stays as it is.
        """
        key = self._message(channel, message.id)
        pipe = self.client.pipeline(transaction=True)
        pipe.set(key, _HELD + message.as_json().decode(), nx=True, ex=self._keep_s)
        for one in message.records:
            pipe.set(self._record(channel, one), message.id, ex=self._keep_s)
        pipe.get(key)
        state = str(pipe.execute()[-1])
        return state.startswith(_HELD)

    def attempt(self, channel: str, tokens: int) -> None:
        """Note that a message is being sent, for the limit of whoever comes after us."""
        key = self._key(channel, "~sent")
        pipe = self.client.pipeline(transaction=True)
        pipe.lpush(key, f"{time.time():.3f}")
        pipe.ltrim(key, 0, tokens - 1)
        pipe.expire(key, _RATE_S)
        pipe.execute()

    def attempts(self, channel: str) -> list[float]:
        """Return how many seconds ago messages were sent of late."""
        now = time.time()
        told = self.client.lrange(self._key(channel, "~sent"), 0, -1)
        return [max(0.0, now - float(at)) for at in told]

    def sent(self, channel: str, message: Message) -> None:
        """Note that a message was delivered."""
        self.client.set(self._message(channel, message.id), _SENT, ex=self._keep_s)
        self._count(channel, "sent", len(message.records))

    def failed(self, channel: str, error: str) -> None:
        """Count an attempt that failed; its error is shown to people."""
        self._count(channel, "failed", 1, error)

    # ---- what was given up ----

    def bury(self, channel: str, message: Message, reason: str, attempts: int) -> None:
        """Put a message among the dead ones. Cut off in the middle, it may be there twice."""
        fields = {
            "channel": channel,
            "reason": reason[:_ERROR],
            "attempts": str(attempts),
            "message": message.as_json().decode(),
        }
        self.client.xadd(self.dead_key, fields, maxlen=_KEPT, approximate=True)
        self.client.set(self._message(channel, message.id), _DEAD, ex=self._keep_s)
        self._count(channel, "dead", 1, reason)

    def dead(self) -> list[Dead]:
        """Return what was given up, oldest first."""
        found: list[Dead] = []
        start = "-"
        while True:
            rows = self.client.xrange(self.dead_key, min=start, count=_PAGE)
            found += [one for row in rows if (one := _dead(*row)) is not None]
            if len(rows) < _PAGE:
                return found
            start = f"({rows[-1][0]}"

    def raised(self, dead: Iterable[Dead]) -> None:
        """Take messages from the dead ones: they were delivered."""
        for one in dead:
            self.client.xdel(self.dead_key, one.id)

    def revive(self, channel: str, message: Message) -> None:
        """Have `hold` let a message through that was given up."""
        held = _HELD + message.as_json().decode()
        self.client.set(self._message(channel, message.id), held, ex=self._keep_s)

    def counts(self) -> dict[str, str]:
        """Return ``<channel>/sent``, ``…/failed``, ``…/dead``, ``…/error`` and ``…/at``."""
        return dict(self.client.hgetall(self._counts))

    @property
    def dead_key(self) -> str:
        """The stream of messages that were given up."""
        return f"md:~dead:{self._worker}"

    # ---- how ----

    @property
    def _counts(self) -> str:
        return f"md:~notify:{self._worker}:~counts"

    def _key(self, channel: str, what: str) -> str:
        return f"md:~notify:{{{self._worker}/{channel}}}:{what}"

    def _record(self, channel: str, one: str) -> str:
        return self._key(channel, f"r:{one}")

    def _message(self, channel: str, one: str) -> str:
        return self._key(channel, f"m:{one}")

    def _count(self, channel: str, what: str, by: int, error: str = "") -> None:
        pipe = self.client.pipeline(transaction=True)
        pipe.hincrby(self._counts, f"{channel}/{what}", by)
        if error:
            pipe.hset(self._counts, f"{channel}/error", error[:_ERROR])
            pipe.hset(self._counts, f"{channel}/at", f"{time.time():.0f}")
        pipe.execute()


def _read(state: str | None) -> Message | bool:
    if state is None:
        return False  # evicted: better twice than never
    if not state.startswith(_HELD):
        return True
    try:
        return from_json(state.removeprefix(_HELD))
    except ValidationError:
        LOG.warning("a message of another version is not sent again as it was")
        return False


def _dead(entry: str, row: dict[str, str]) -> Dead | None:
    try:
        message = from_json(row["message"])
        return Dead(entry, row["channel"], row["reason"], int(row["attempts"]), message)
    except (KeyError, ValueError) as error:
        LOG.warning("dead letter %s cannot be read: %s", entry, error)
        return None
