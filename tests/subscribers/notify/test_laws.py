"""Each record reaches each channel once, whenever workers die and whatever receivers answer.

A worker dies at any of its words to Redis, before it sends, or after: from then on it says nothing
more. The receiver drops ids that it has seen.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer
from connectors.redis.keys import stream_key
from connectors.redis.writer import Writer
from core.market.events import Gap
from core.market.signal import Signal
from subscribers.notify import feed, lane, worker
from subscribers.notify.channel import hider
from subscribers.notify.message import Message
from subscribers.notify.store import Store
from subscribers.notify.webhook import Webhook
from tests.subscribers.notify.conftest import settings_to
from tests.subscribers.notify.receiver import (
    KEY,
    Answer,
    Receiver,
    Working,
    eventually,
    is_idle,
    receiving,
    signal,
)


class DeadError(BaseException):
    """The worker was killed."""


class Life:
    """So many things can be done, then none any more."""

    def __init__(self, steps: float) -> None:
        self.left = steps

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise DeadError


class MortalStore(Store):
    life = Life(float("inf"))

    @property
    def client(self) -> Any:  # noqa: ANN401 - as the store's own
        self.life.step()
        return super().client


class MortalHook(Webhook):
    life = Life(float("inf"))

    def send(self, message: Message) -> None:
        self.life.step()
        super().send(message)
        self.life.step()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_BASE_S", 0.01)
    monkeypatch.setattr(feed, "_LOOK_S", 0.1)
    monkeypatch.setattr(feed, "_COUNT", 4)  # several batches
    monkeypatch.setattr(worker, "_POLL_S", 0.01)
    monkeypatch.setattr(worker, "Store", MortalStore)


def records(kinds: Sequence[bool], first: int) -> list[Signal | Gap]:
    return [
        signal(n) if one else Gap(KEY, signal(n).close_us, n, n, n, "gone")
        for n, one in enumerate(kinds, first)
    ]


def live(receiver: Receiver, url: str, client: redis.Redis, life: Life) -> None:
    MortalStore.life = MortalHook.life = life
    config = settings_to(receiver, group_seconds=0.02, attempts=50)
    hook = config.channels["hook"]
    assert hook.webhook is not None
    own = MortalHook(hook.webhook, hider(hook))
    with Working(config, url, channels={"hook": own}) as working:
        eventually(lambda: working.error is not None or is_idle(client))
    if isinstance(working.error, DeadError):
        client.delete("md:~notify:notify:~lease")  # or the next one would wait for its end
    else:
        assert working.error is None


answers = st.sampled_from([500, "drop", (429, {"Retry-After": "0.01"}), 503, 200, 200, 200])


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.lists(st.booleans(), max_size=8),
    st.lists(st.integers(5, 80), max_size=3),
    st.lists(answers, max_size=8),
)
def test_each_record_reaches_the_channel_once(
    quick: None,
    client: redis.Redis,
    server: EmbeddedServer,
    before: list[bool],
    after: list[bool],
    lives: list[int],
    script: list[Answer],
) -> None:
    client.flushall()
    for kind in ("signal", "event"):
        client.xgroup_create(stream_key(KEY, kind), "notify", id="0", mkstream=True)
    writer = Writer(RedisConfig(url=server.url))
    with receiving() as receiver:
        receiver.script = list(script)
        told = records(before, 1)
        writer.publish(list(told))
        assert writer.flush(10.0)
        for steps in lives:
            live(receiver, server.url, client, Life(steps))
        told += (more := records(after, 1 + len(before)))
        writer.publish(list(more))
        assert writer.flush(10.0)
        live(receiver, server.url, client, Life(float("inf")))
        writer._hang_up()
        reached = [one for message in receiver.once for one in message["records"]]
    wanted = [
        f"{KEY}/signal/rsi_reversal/{one.seq}" if isinstance(one, Signal)
        else f"{KEY}/event/gap/{one.seq}" for one in told
    ]  # fmt: skip
    assert Counter(reached) == Counter(wanted)
    for kind in ("signal", "event"):
        assert [r for r in reached if f"/{kind}/" in r] == [w for w in wanted if f"/{kind}/" in w]
