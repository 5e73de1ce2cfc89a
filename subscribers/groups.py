"""The commands of consumer groups, on one server or on a cluster.

    ready ──► which streams have something above where the group stands      (waits)
    take  ──► per stream, at one moment: how it and the group are, and the next entries
    claim ──► what was handed out before and not acknowledged, one delivery more

How the stream is and what was read are one transaction: only so it is certain whether entries were
trimmed away between what the group was given and what it is given now.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from connectors.redis.keys import PATTERN, REGISTRY
from core.market.errors import ConfigError
from subscribers.entries import order
from subscribers.look import FIRST, Look, Row, Waiting, look_of, rows_of, waiting_of

FAULTS = (redis.RedisError, RedisClusterException, OSError)
"""What goes wrong with a server or a cluster."""

_TIMEOUT_S = 10.0
_POLL_S = 0.05  # between two looks at a cluster, where no command waits at several nodes
_MANY = 64  # streams of one transaction
_ABSENT = ("NOGROUP", "BUSYGROUP", "no such key", "The XGROUP subcommand requires the key")


class GroupLink:
    """Speaks for one consumer of one group; every method may raise one of `FAULTS`.

    Args:
        url: An address; that of a cluster is recognised.
        group: The group's name.
        name: The consumer's name.
        wait: Waits so many seconds, or until it is to stop.

    Attributes:
        group: The group's name.
        is_cluster: Whether it is a cluster, once connected.

    """

    def __init__(self, url: str, group: str, name: str, *, wait: Callable[[float], object]) -> None:
        self.group = group
        self._url, self._name, self._wait = url, name, wait
        self._found: Any = None  # redis-py's answers have no usable types
        self.is_cluster = False

    @property
    def client(self) -> Any:  # noqa: ANN401 - of a server or of a cluster
        """The client, connected on first use."""
        if self._found is None:
            self._found = self._connect()
        return self._found

    def close(self) -> None:
        """Hang up; the next use connects anew."""
        if self._found is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                self._found.close()
            self._found = None

    # ---- streams ----

    def registered(self) -> set[str]:
        """Return the names of the streams that writers have listed."""
        return {str(name) for name in self.client.smembers(REGISTRY)}

    def scanned(self) -> set[str]:
        """Return the names of all streams, found by looking at every key."""
        return set(self.client.scan_iter(match=PATTERN, count=1000, _type="stream"))

    def look(self, names: Sequence[str]) -> dict[str, Look | None]:
        """Return how streams are; None: there is no such stream."""
        done = self._at_once(names, lambda pipe, name: self._ask_look(pipe, name))
        return {name: look_of(answers, self.group) for name, answers in done.items()}

    def ready(self, above: Mapping[str, str], seconds: float) -> list[str]:
        """Return the streams that have entries above these ids; waits so long for the first."""
        if not above:
            self._wait(seconds)
            return []
        if self.is_cluster:
            return self._ready_in_cluster(above, seconds)
        answer = self.client.xread(dict(above), count=1, block=max(1, int(seconds * 1000)))
        return [name for name, _ in answer or []]

    def take(self, counts: Mapping[str, int]) -> dict[str, tuple[Look | None, list[Row]]]:
        """Return, per stream, how it was and the next entries for the group, at most so many.

        A stream without the group gives none; its `Look` says so.
        """

        def ask(pipe: Any, name: str) -> None:  # noqa: ANN401 - a pipeline
            self._ask_look(pipe, name)
            pipe.xreadgroup(self.group, self._name, {name: ">"}, count=counts[name])

        done = self._at_once(list(counts), ask)
        return {
            name: (look_of(answers[:3], self.group), rows_of(answers[3]))
            for name, answers in done.items()
        }

    # ---- the group ----

    def create(self, starts: Mapping[str, tuple[str, int | None]]) -> None:
        """Make the group on streams, behind an id; `None` if it is not known which entry that is.

        Streams that have it, or are gone, are left alone.
        """

        def ask(pipe: Any, name: str) -> None:  # noqa: ANN401 - a pipeline
            at, read = starts[name]
            pipe.xgroup_create(name, self.group, id=at, entries_read=read)

        self._at_once(list(starts), ask)

    def waiting(self, names: Sequence[str], idle_ms: int, count: int) -> dict[str, list[Waiting]]:
        """Return the oldest entries that nobody has touched for so long."""

        def ask(pipe: Any, name: str) -> None:  # noqa: ANN401 - a pipeline
            pipe.xpending_range(name, self.group, "-", "+", count, idle=idle_ms)

        return {n: waiting_of(a[0]) for n, a in self._at_once(names, ask).items()}

    def own(self, name: str, after: str, count: int) -> list[Waiting]:
        """Return what this consumer holds of a stream, above an id."""
        answers = self._at_once(
            [name],
            lambda pipe, n: pipe.xpending_range(n, self.group, f"({after}", "+", count, self._name),
        )
        return waiting_of(answers[name][0])

    def claim(
        self, name: str, ids: Sequence[str], idle_ms: int
    ) -> tuple[list[Row], list[str], Look | None]:
        """Take entries over if nobody has touched them for so long: they count as delivered again.

        Returns their rows, the ids of those that are no longer in the stream, and how it is.
        """

        def ask(pipe: Any, n: str) -> None:  # noqa: ANN401 - a pipeline
            self._ask_look(pipe, n)
            pipe.xclaim(n, self.group, self._name, idle_ms, list(ids))

        answers = self._at_once([name], ask)[name]
        look, claimed = look_of(answers[:3], self.group), answers[3]
        if isinstance(claimed, Exception):
            return [], [], look
        rows = rows_of([(name, claimed)])
        found = {i for i, _ in rows}
        # A trimmed entry is nobody's any more: the server takes it off the list by itself.
        first = order(look.first) if look is not None and look.first else None
        gone = [i for i in ids if i not in found and (first is None or order(i) < first)]
        return rows, gone, look

    def extend(self, ids: Mapping[str, Sequence[str]]) -> None:
        """Hold entries as if they had been handed out now; this counts as no delivery."""

        def ask(pipe: Any, name: str) -> None:  # noqa: ANN401 - a pipeline
            pipe.xclaim(name, self.group, self._name, 0, list(ids[name]), justid=True)

        self._at_once(list(ids), ask)

    def ack(self, ids: Mapping[str, Sequence[str]]) -> None:
        """Acknowledge entries; a stream without the group is left alone."""
        self._at_once(list(ids), lambda pipe, name: pipe.xack(name, self.group, *ids[name]))

    def hand_to(self, consumer: str, name: str, entry: str, idle_ms: int) -> bool:
        """Let a consumer hold an entry, idle for so long and never delivered; say whether it does.

        It cannot if the entry is no longer in the stream, or the group not there.
        """

        def ask(pipe: Any, n: str) -> None:  # noqa: ANN401 - a pipeline
            pipe.xclaim(
                n, self.group, consumer, 0, [entry], idle=idle_ms, retrycount=0, force=True,
                justid=True,
            )  # fmt: skip

        answer = self._at_once([name], ask)[name][0]
        return not isinstance(answer, Exception) and bool(answer)

    def groups(self, name: str) -> list[str]:
        """Return the names of all groups of a stream."""
        answer = self._at_once([name], lambda pipe, n: pipe.xinfo_groups(n))[name][0]
        return [] if isinstance(answer, Exception) else [group["name"] for group in answer]

    def consumers(self, name: str) -> list[dict[str, Any]]:
        """Return ``name pending idle`` of the group's consumers in a stream."""
        answer = self._at_once([name], lambda pipe, n: pipe.xinfo_consumers(n, self.group))[name][0]
        return [] if isinstance(answer, Exception) else list(answer)

    def leave(self, names: Iterable[str]) -> None:
        """Take this consumer off the streams of which it holds nothing."""
        for name in names:
            if not self.own(name, FIRST, 1):
                with contextlib.suppress(redis.ResponseError):
                    self.client.xgroup_delconsumer(name, self.group, self._name)

    # ---- how ----

    def _connect(self) -> Any:  # noqa: ANN401 - of a server or of a cluster
        try:
            client = redis.Redis.from_url(self._url, **_options(), retry=Retry(NoBackoff(), 0))
        except ValueError as error:
            raise ConfigError("redis.url", str(error), hint="redis://host:6379/0") from None
        self.is_cluster = _is_cluster(client)
        if not self.is_cluster:
            return client
        client.close()
        return RedisCluster.from_url(self._url, **_options())

    def _ask_look(self, pipe: Any, name: str) -> None:  # noqa: ANN401 - a pipeline
        pipe.xinfo_stream(name)
        pipe.xinfo_groups(name)
        pipe.xpending(name, self.group)

    def _ready_in_cluster(self, above: Mapping[str, str], seconds: float) -> list[str]:
        pipe = self.client.pipeline()
        for name, at in above.items():
            pipe.xread({name: at}, count=1)
        found = pipe.execute(raise_on_error=True)
        ready = [name for name, answer in zip(above, found, strict=True) if answer]
        if not ready:
            self._wait(min(seconds, _POLL_S))
        return ready

    def _at_once(
        self, names: Sequence[str], ask: Callable[[Any, str], object]
    ) -> dict[str, list[Any]]:
        # One transaction for several streams: of all, or in a cluster of those of one slot.
        done: dict[str, list[Any]] = {}
        for some in self._together(names):
            pipe = self._place(some[0]).pipeline(transaction=True)
            each = 0
            for name in some:
                ask(pipe, name)
                each = each or len(pipe)
            answers = pipe.execute(raise_on_error=False)
            for n, name in enumerate(some):
                done[name] = answers[n * each : (n + 1) * each]
        for answers in done.values():
            _raise_strange(answers)
        return done

    def _place(self, name: str) -> Any:  # noqa: ANN401 - of a server
        # The cluster client's own transactions leave answers as they came.
        if not self.is_cluster:
            return self.client
        return self.client.get_redis_connection(self.client.get_node_from_key(name))

    def _together(self, names: Sequence[str]) -> Iterable[Sequence[str]]:
        if not self.is_cluster:
            return [names[n : n + _MANY] for n in range(0, len(names), _MANY)]
        by_tag: dict[str, list[str]] = {}
        for name in names:
            by_tag.setdefault(name.partition("{")[2].partition("}")[0], []).append(name)
        return by_tag.values()


def _options() -> dict[str, Any]:
    return {
        "decode_responses": True,
        "protocol": 2,
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": 2.0,
    }


def _is_cluster(client: redis.Redis) -> bool:
    try:
        told: Any = client.info("cluster")
    except redis.ResponseError:  # an ACL may not grant it
        return False
    return bool(told.get("cluster_enabled"))


def _raise_strange(answers: Sequence[Any]) -> None:
    # A stream or a group that is not there is a state like others; the callers see it.
    for answer in answers:
        if isinstance(answer, Exception) and not str(answer).startswith(_ABSENT):
            raise answer
