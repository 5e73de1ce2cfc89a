"""A receiver, a real Redis, and settings with the receiver as a channel."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from config.notify import NotifyConfig
from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer
from connectors.redis.writer import Writer
from core.market.events import Event
from core.market.paper import Fill
from core.market.signal import Signal
from tests.subscribers.notify.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


Publish = Callable[..., None]


@pytest.fixture
def publish(client: redis.Redis, server: EmbeddedServer) -> Iterator[Publish]:
    writers: list[Writer] = []

    def told(*records: Signal | Event | Fill) -> None:
        if not writers:
            writers.append(Writer(RedisConfig(url=server.url)))
        writers[0].publish(list(records))
        assert writers[0].flush(10.0)

    yield told
    for one in writers:
        one._hang_up()


def settings_to(receiver: Receiver, **more: object) -> NotifyConfig:
    """Return settings with one channel, the receiver, and a rule that takes everything."""
    channel: dict[str, Any] = {
        "webhook": {"url": receiver.url, "secret": "s3cret-of-ours", "timeout": 5.0},
        "per_minute": more.pop("per_minute", 10_000),
    }
    everything = {"to": ["hook"], "records": ["signal", "event", "fill"]}
    # What is told of happened long ago.
    tree = {"group_seconds": 0, "max_age_seconds": 1e12, "rules": [everything]}
    return NotifyConfig.model_validate({**tree, "channels": {"hook": channel}, **more})


@pytest.fixture
def to_hook(receiver: Receiver) -> Callable[..., NotifyConfig]:
    return lambda **more: settings_to(receiver, **more)
