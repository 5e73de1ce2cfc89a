"""The worker on a real Redis and a real receiver: what is told, once, and what is not lost."""

import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import redis

from config.notify import NotifyConfig
from connectors.redis.embedded import EmbeddedServer
from connectors.redis.keys import FLOWS, stream_key
from core.market.errors import ServiceError
from core.market.events import Gap
from subscribers.notify import feed, lane, worker
from subscribers.notify.again import send_again
from subscribers.notify.channels import open_channel
from subscribers.notify.feed import Batch
from subscribers.notify.store import Store
from subscribers.notify.worker import Desk
from tests.subscribers.notify.receiver import KEY, Receiver, Working, eventually, is_idle, signal

Publish = Callable[..., None]
ToHook = Callable[..., NotifyConfig]

SIGNALS = stream_key(KEY, "signal")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_BASE_S", 0.01)
    monkeypatch.setattr(feed, "_LOOK_S", 0.1)
    monkeypatch.setattr(worker, "_POLL_S", 0.05)
    monkeypatch.setattr(worker, "_AWAY_S", 0.05)


@pytest.fixture
def group(client: redis.Redis) -> redis.Redis:
    """Have the group begin with the first entry."""
    client.xgroup_create(SIGNALS, "notify", id="0", mkstream=True)
    return client


def ids(receiver: Receiver) -> list[str]:
    return [one.json["id"].rpartition("/")[2] for one in receiver.taken]


def test_what_comes_is_told_and_acknowledged_and_what_was_before_is_not(
    client: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    publish(signal(1))
    with Working(to_hook(), server.url):
        eventually(lambda: is_idle(client))
        publish(signal(2), Gap(KEY, 10**15, 5, 3, 4, "gone"))
        eventually(lambda: len(receiver.taken) == 2 and is_idle(client))
    assert sorted(one["kind"] for one in receiver.once) == ["gap", "signal"]
    # A stream that came while it ran is told of from its beginning; one from before, from its end.
    assert client.get("md:~notify:notify:~lease") is None


def test_a_restart_tells_of_what_came_meanwhile_and_of_nothing_twice(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    publish(signal(1))
    for n in (2, 3):
        with Working(to_hook(), server.url):
            eventually(lambda: is_idle(group))
        publish(signal(n))
    assert ids(receiver) == ["1", "2"]


def test_a_group_that_begins_anew_tells_nothing_twice(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    publish(signal(1), signal(2))
    with Working(to_hook(), server.url):
        eventually(lambda: len(receiver.taken) == 2 and is_idle(group))
        group.xgroup_destroy(SIGNALS, "notify")
        publish(signal(3))
        eventually(lambda: len(receiver.taken) == 3 and is_idle(group))
    assert ids(receiver) == ["1", "2", "3"]


def test_of_two_workers_one_sends_and_the_other_takes_over(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    with Working(to_hook(), server.url) as first, Working(to_hook(), server.url):
        for n in range(10):
            publish(signal(n))
        eventually(lambda: is_idle(group))
        first.end()
        publish(signal(10))
        eventually(lambda: is_idle(group))
    assert ids(receiver) == [str(n) for n in range(11)]


def test_workers_of_another_name_are_told_everything_as_well(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    group.xgroup_create(SIGNALS, "other", id="0")
    publish(signal(1))
    with Working(to_hook(), server.url), Working(to_hook(name="other"), server.url):
        eventually(lambda: is_idle(group) and is_idle(group, "other"))
    assert ids(receiver) == ["1", "1"]


def test_failures_are_tried_again_in_order(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    receiver.script = [500, "drop", (429, {"Retry-After": "0.3"}), 503]
    publish(signal(1), signal(2))
    with Working(to_hook(), server.url):
        eventually(lambda: is_idle(group))
    assert [one.json["id"][-1] for one in receiver.requests] == ["1"] * 5 + ["2"]
    asked, obeyed = receiver.requests[2:4]
    assert obeyed.at - asked.at >= 0.3
    counts = Store(server.url, "notify").counts()
    assert (counts["hook/sent"], counts["hook/failed"]) == ("2", "4")
    assert counts["hook/error"].startswith("answered 503")


def test_what_is_given_up_can_be_sent_again(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    config = to_hook(attempts=2)
    receiver.script = [500, 500, 404]
    publish(signal(1), signal(2), signal(3))
    with Working(config, server.url):
        eventually(lambda: is_idle(group))
    assert ids(receiver) == ["3"]
    store = Store(server.url, "notify")
    dead = store.dead()
    assert [(one.message.id[-1], one.attempts) for one in dead] == [("1", 2), ("2", 1)]
    assert dead[1].reason == "answered 404 Not Found"
    channels = {"hook": open_channel("hook", config.channels["hook"])}
    receiver.script = [500]
    outcome = send_again(config, channels, store, dead)["hook"]
    assert (len(outcome.sent), len(outcome.kept)) == (0, 2)
    assert len(store.dead()) == 2
    outcome = send_again(config, channels, store, dead)["hook"]
    assert (len(outcome.sent), len(outcome.kept), store.dead()) == (2, 0, [])
    assert ids(receiver) == ["3", "1", "2"]
    assert "no such channel" in send_again(config, {}, store, dead)["hook"].error
    channels["hook"].close()
    store.close()


def test_dead_letters_over_the_limit_go_as_one(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    receiver.script = [400] * 5
    publish(*(signal(n) for n in range(5)))
    with Working(to_hook(), server.url):
        eventually(lambda: is_idle(group))
    config, store = to_hook(per_minute=2), Store(server.url, "notify")
    group.delete("md:~notify:{notify/hook}:~sent")
    channel, now = open_channel("hook", config.channels["hook"]), [100.0]
    outcome = send_again(
        config, {"hook": channel}, store, store.dead(),
        wait=lambda seconds: now.append(now[-1] + seconds), clock=lambda: now[-1],
    )["hook"]  # fmt: skip
    assert (len(outcome.sent), store.dead()) == (5, [])
    assert [len(one.json["records"]) for one in receiver.taken] == [1, 1, 3]
    assert now[-1] == 160.0
    channel.close()
    store.close()


def test_a_storm_of_gaps_is_one_message(
    client: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    with Working(to_hook(group_seconds=0.5), server.url):
        eventually(lambda: client.exists("md:~notify:notify:~lease"))
        publish(*(Gap(f"binance:S{n}USDT", 10**15, 5, 3, 4, "gone") for n in range(100)))
        eventually(lambda: receiver.taken and is_idle(client))
    (told,) = receiver.once
    assert (told["title"], told["severity"], len(told["records"])) == (
        "100 gaps", "critical", 100,
    )  # fmt: skip


def test_over_the_limit_the_rest_waits_for_a_digest(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    publish(*(signal(n) for n in range(9)))
    ahead = [0.0]
    clock = lambda: time.monotonic() + ahead[0]  # noqa: E731 - a clock that can be put forward
    with Working(to_hook(per_minute=4), server.url, clock=clock):
        eventually(lambda: len(receiver.taken) == 4)
        pending: Any = group.xpending(SIGNALS, "notify")
        assert pending["pending"] == 9
        assert len(receiver.taken) == 4
    # A worker that starts anew knows what was sent.
    taken, take = threading.Event(), Desk.take

    def told(desk: Desk, batch: Batch) -> None:
        take(desk, batch)
        taken.set()

    monkeypatch.setattr(Desk, "take", told)
    with Working(to_hook(per_minute=4), server.url, clock=clock):
        eventually(taken.is_set)
        assert len(receiver.taken) == 4
        ahead[0] = 61.0
        eventually(lambda: is_idle(group))
    assert [len(one["records"]) for one in receiver.once] == [1, 1, 1, 1, 5]
    assert receiver.once[-1]["record"]["why"] == "over"


def test_old_records_are_one_summary_and_ages_follow_the_exchanges_clock(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    publish(*(signal(n) for n in range(600)))
    config = to_hook(max_age_seconds=900, group_seconds=1)
    with Working(config, server.url):
        eventually(lambda: is_idle(group))
    (told,) = receiver.once
    assert told["title"] == "600 signals (older than 15 minutes)"
    # To an exchange of that time it is just now.
    known = "2026-02-02T03:46:00+00:00"
    now = {"known_until": known, "lag_s": 0.5}
    row = {"written": time.time(), "symbols": {KEY: now}}
    group.hset(FLOWS, mapping={"main/0": orjson.dumps(row), "main/0/instances": b"[]"})
    publish(signal(4000))
    with Working(config, server.url):
        eventually(lambda: len(receiver.taken) == 2)
    assert receiver.once[1]["kind"] == "signal"


def test_entries_that_were_trimmed_are_told_of(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    publish(signal(1), signal(2))
    group.xreadgroup("notify", "notify", {SIGNALS: ">"})
    group.xtrim(SIGNALS, maxlen=1, approximate=False)
    with Working(to_hook(), server.url):
        eventually(lambda: len(receiver.taken) == 2 and is_idle(group))
    assert {one["kind"] for one in receiver.once} == {"missed", "signal"}


def test_redis_that_is_away_is_waited_for(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, receiver: Receiver,
    to_hook: ToHook,
) -> None:  # fmt: skip
    publish(signal(1))
    with Working(to_hook(), server.url):
        eventually(lambda: is_idle(group))
        for _ in range(3):
            group.client_kill_filter(_type="normal", skipme=True)
            time.sleep(0.01)
        publish(signal(2))
        eventually(lambda: is_idle(group))
    assert ids(receiver) == ["1", "2"]


def test_a_redis_that_refuses_us_is_an_error(
    client: redis.Redis, server: EmbeddedServer, to_hook: ToHook
) -> None:
    client.acl_setuser("guest", enabled=True, passwords=["+x"], commands=["+ping", "+info"])
    working = Working(to_hook(), server.url.replace("unix://", "unix://guest:x@"))
    working.wait()
    assert isinstance(working.error, ServiceError)
    assert "REDIS_URL" in str(working.error)


def test_a_fault_of_a_channels_library_is_tried_again_and_says_no_secret(
    group: redis.Redis, server: EmbeddedServer, publish: Publish, to_hook: ToHook
) -> None:
    class Broken:
        sent = 0

        def send(self, _message: object) -> None:
            self.sent += 1
            if self.sent == 1:
                raise KeyError("a token")

        def close(self) -> None:
            pass

    broken = Broken()
    publish(signal(1))
    with Working(to_hook(), server.url, channels={"hook": broken}):
        eventually(lambda: is_idle(group))
    assert broken.sent == 2
    assert Store(server.url, "notify").counts()["hook/error"] == "failed with KeyError"
