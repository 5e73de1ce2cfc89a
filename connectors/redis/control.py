"""The control stream: commands in, outcomes out.

    md:~control     one entry per command, `body` its JSON; read by every part of every flow
    md:~outcomes    one entry per command and subject, by whoever the subject belongs to

Commands wait in the stream while no flow runs: one that goes on from a snapshot obeys those since.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import redis
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis.keys import CONTROL, OUTCOMES
from core.control import Command, Outcome, read_command
from core.market.errors import ServiceError

LOG = logging.getLogger("cryptotools.control")

Handle = Callable[[Command, str], Iterable[Outcome]]
"""Obeys the command of an entry, whose id is given as well."""

_BLOCK_MS = 500
_TIMEOUT_S = 5.0
_AGAIN_S = 1.0
_COUNT = 100
_KEPT = 10_000


class Inbox:
    """Reads commands on a thread of its own and tells what became of them.

    Args:
        url: An address.
        since: Id of the last entry obeyed; empty: only what comes from now on.

    Attributes:
        since: The id to go on above where nothing was obeyed.

    """

    def __init__(self, url: str, since: str = "") -> None:
        self.since = self._position = since or f"{time.time_ns() // 1_000_000}-0"
        self._client = _client(url)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._complained = False

    def start(self, handle: Handle) -> None:
        """Begin; `handle` is called for one command after the other, on the thread.

        One whose outcome could not be told is handled again.
        """
        self._thread = threading.Thread(
            target=self._run, args=(handle,), name="control", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()

    def _run(self, handle: Handle) -> None:
        while not self._stopping.is_set():
            try:
                self._obey(handle)
                self._complained = False
            except (redis.RedisError, OSError) as error:
                if not self._complained:
                    LOG.warning("no commands can be read: %s", error)
                self._complained = True
                self._stopping.wait(_AGAIN_S)
        self._client.close()

    def _obey(self, handle: Handle) -> None:
        answer: Any = self._client.xread({CONTROL: self._position}, count=_COUNT, block=_BLOCK_MS)
        for _, entries in answer or []:
            for entry, fields in entries:
                if self._stopping.is_set():
                    return
                for outcome in _handled(str(entry), fields.get("body", ""), handle):
                    self._tell(outcome)
                self._position = str(entry)

    def _tell(self, outcome: Outcome) -> None:
        fields: dict[Any, Any] = outcome.model_dump()
        self._client.xadd(OUTCOMES, fields, maxlen=_KEPT, approximate=True)


class Sender:
    """Sends commands and waits for what becomes of them.

    Every method raises `ServiceError` when Redis is not there.
    """

    def __init__(self, url: str) -> None:
        self._client = _client(url)

    def send(self, command: Command, subjects: Collection[str], seconds: float) -> list[Outcome]:
        """Send a command; return the outcomes that came in time, one to a subject at most."""
        try:
            last: Any = self._client.xrevrange(OUTCOMES, count=1)
            since = str(last[0][0]) if last else "0-0"
            body = command.model_dump_json(exclude_defaults=True)
            self._client.xadd(CONTROL, {"body": body}, maxlen=_KEPT, approximate=True)
            return self._outcomes(command.id, set(subjects), since, time.monotonic() + seconds)
        except (redis.RedisError, OSError) as error:
            raise ServiceError("redis", str(error), hint="is it running?") from None

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _outcomes(self, command: str, open_: set[str], since: str, until: float) -> list[Outcome]:
        found: list[Outcome] = []
        while open_ and time.monotonic() < until:
            answer: Any = self._client.xread({OUTCOMES: since}, block=_BLOCK_MS)
            for _, entries in answer or []:
                for entry, fields in entries:
                    since = str(entry)
                    if fields.get("command") == command:
                        found.append(Outcome.model_validate(fields))
                        open_ -= {found[-1].subject} if found[-1].subject else set(open_)
        return found


def _handled(entry: str, body: str, handle: Handle) -> Iterable[Outcome]:
    try:
        command = read_command(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        reason = f"{where}: {first['msg']}"
        LOG.warning("command %s cannot be read: %s", entry, reason)
        return [Outcome(command=entry, subject="", state="refused", reason=reason)]
    return handle(command, entry)


def _client(url: str) -> redis.Redis:
    try:
        return redis.Redis.from_url(
            url,
            decode_responses=True,
            protocol=2,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise ServiceError("redis", str(error), hint="redis://host:6379/0") from None
