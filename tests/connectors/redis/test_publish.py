"""The function in the server: what it takes, drops, refuses and keeps."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer
from connectors.redis.keys import meta_key, stream_key
from connectors.redis.link import Command, Link, durable_after, load_functions

KEY = "binance:BTCUSDT"
META = meta_key(KEY)
TRADES = stream_key(KEY, "trade")
SIGNALS = stream_key(KEY, "signal")
BIG = 2**64 - 1
Publish = Callable[..., list[int]]


@pytest.fixture
def publish(client: redis.Redis, server: EmbeddedServer) -> Publish:
    link = Link(RedisConfig(url=server.url))
    load_functions(link)
    link.close()

    def call(
        rows: object,
        *,
        generation: str = "1",
        keep: str = "1000",
        retention: str = "",
        stream: str = TRADES,
    ) -> list[int]:
        text = rows if isinstance(rows, str) else orjson.dumps(rows).decode()
        found: Any = client.fcall("ct_pub_3", 2, META, stream, generation, keep, retention, text)
        return list(found)

    return call


def row(seq: object, ms: object = "1000", *fields: object) -> list[object]:
    return [str(seq), str(ms), list(fields or ("a", "b"))]


def ids(client: redis.Redis, stream: str = TRADES) -> list[str]:
    found: Any = client.xrange(stream)
    return [entry_id for entry_id, _ in found]


def test_a_row_is_added_once(client: redis.Redis, publish: Publish) -> None:
    assert publish([row(1), row(2)]) == [2, 0, 0]
    assert publish([row(1), row(2), row(3)]) == [1, 2, 0]
    assert ids(client) == ["1000-1", "1000-2", "1000-3"]


def test_lanes_of_a_stream_have_numbers_of_their_own(client: redis.Redis, publish: Publish) -> None:
    # Late, another part of the flow tells of something earlier: it is not known already.
    assert publish([row(50, 2000), [*row(7, 900), "strategies"], row(51, 2000)]) == [3, 0, 0]
    assert publish([[*row(7, 900), "strategies"], row(51, 2000)]) == [0, 2, 0]
    assert publish([[*row(8, 2500), "strategies"], [*row(3, 10), "models"], row(52, 2400)]) == [
        3, 0, 0,
    ]  # fmt: skip
    assert ids(client) == ["2000-50", "2001-7", "2001-51", "2500-8", "2501-3", "2501-52"]


def test_a_lane_must_be_a_text(publish: Publish) -> None:
    with pytest.raises(redis.ResponseError, match="lane"):
        publish([[*row(1), 5]])


def test_numbers_are_compared_with_all_their_64_bits(client: redis.Redis, publish: Publish) -> None:
    numbers = [9, 10, 2**53, 2**53 + 1, 2**63, BIG - 1, BIG]
    assert publish([row(n) for n in numbers]) == [7, 0, 0]
    assert ids(client) == [f"1000-{n}" for n in numbers]
    assert publish([row(BIG - 1), row(BIG)]) == [0, 2, 0]


def test_time_never_steps_back_in_ids(client: redis.Redis, publish: Publish) -> None:
    publish([row(1, 500), row(2, 400), row(3, 600)])
    publish([row(4, 100)])
    assert ids(client) == ["500-1", "500-2", "600-3", "600-4"]


def test_a_time_far_in_the_future_does_not_pin_what_follows(
    client: redis.Redis, publish: Publish
) -> None:
    now = time.time_ns() // 1_000_000
    publish([row(1, now + 10**9)])
    (first,) = ids(client)
    assert now < int(first.partition("-")[0]) <= now + 65_000
    assert publish([row(2, now)]) == [1, 0, 0]


def test_an_event_without_a_time_or_number_has_an_id(client: redis.Redis, publish: Publish) -> None:
    assert publish([row(0, 0)]) == [1, 0, 0]
    assert ids(client) == ["1-0"]
    assert publish([row(0, 0)]) == [0, 1, 0]


@pytest.mark.parametrize(
    "bad",
    [
        7,
        ["1"],
        [1, "1000", ["a", "b"]],
        ["1", 1000, ["a", "b"]],
        ["", "1000", ["a", "b"]],
        ["01", "1000", ["a", "b"]],
        ["-1", "1000", ["a", "b"]],
        ["1.5", "1000", ["a", "b"]],
        [str(2**64), "1000", ["a", "b"]],
        ["2", "1000", []],
        ["2", "1000", ["a"]],
        ["2", "1000", ["price", 67123.45]],
        ["2", "1000", ["a", ["b"]]],
    ],
)
def test_a_bad_row_fails_before_any_write(
    client: redis.Redis, publish: Publish, bad: object
) -> None:
    with pytest.raises(redis.ResponseError, match="BADROW row 2"):
        publish([row(1), bad])
    assert client.keys() == []


@pytest.mark.parametrize("text", ["", "{", "7", "nonsense"])
def test_bad_json_fails_before_any_write(client: redis.Redis, publish: Publish, text: str) -> None:
    with pytest.raises(redis.ResponseError):
        publish(text)
    assert client.keys() == []


def test_a_bad_generation_fails_before_any_write(client: redis.Redis, publish: Publish) -> None:
    with pytest.raises(redis.ResponseError, match="BADROW no generation"):
        publish([row(1)], generation="x")
    assert client.keys() == []


def test_what_is_no_text_but_has_one_becomes_it(client: redis.Redis, publish: Publish) -> None:
    publish([row(1, 1000, "yes", True, "no", False, "none", None)])
    found: Any = client.xrange(TRADES)
    assert found[0][1] == {"yes": "1", "no": "0", "none": ""}


def test_an_older_generation_is_fenced_off_and_writes_nothing(
    client: redis.Redis, publish: Publish
) -> None:
    publish([row(1)], generation="10")
    with pytest.raises(redis.ResponseError, match="FENCED a writer of generation 10"):
        publish([row(2)], generation="9")
    assert ids(client) == ["1000-1"]


def test_a_server_that_forgot_generations_learns_them_from_who_writes(
    client: redis.Redis, publish: Publish
) -> None:
    publish([row(1)], generation="10")
    assert client.fcall("ct_open_3", 1, META) == 11


def test_rows_that_only_the_stream_remembers_are_refused_and_counted(
    client: redis.Redis, publish: Publish
) -> None:
    client.xadd(TRADES, {"a": "b"}, id="2000-5")
    assert publish([row(4, 2000), row(5, 2000), row(6, 2000)]) == [1, 0, 2]
    assert ids(client) == ["2000-5", "2000-6"]
    assert publish([row(4, 2000), row(5, 2000), row(6, 2000)]) == [0, 3, 0]
    client.xadd(TRADES, {"a": "b"}, id="2000-9")
    assert publish([row(8, 2000), row(9, 2000)]) == [0, 0, 2]
    assert publish([row(8, 2000), row(9, 2000)]) == [0, 2, 0]


def test_a_stream_is_cut_by_time_and_by_number(client: redis.Redis, publish: Publish) -> None:
    publish([row(n, 100_000 + n) for n in range(2000)], keep="1000000", retention="500")
    assert 500 <= client.xlen(TRADES) <= 700
    publish([row(n, 100_000 + n) for n in range(2000)], keep="300", stream=SIGNALS)
    assert 300 <= client.xlen(SIGNALS) <= 500
    assert ids(client, SIGNALS)[-1] == "101999-1999"


class Told(Link):
    """A server that gives these answers: a replica needs a port, which ours does not open."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def ask_all(self, commands: Sequence[Command]) -> list[object]:
        assert len(commands) == len(self._answers)
        return self._answers


def test_with_replicas_a_row_is_held_until_a_fail_over_is_through() -> None:
    always = [b"appendonly", b"yes"], [b"appendfsync", b"always"]
    assert durable_after(Told(*always, b"role:master\r\nconnected_slaves:0\r\n")) == 0.0
    assert durable_after(Told(*always, b"role:master\r\nconnected_slaves:1\r\n")) == 30.0
    assert durable_after(Told([], [], b"role:master\r\nconnected_slaves:0\r\n")) == 30.0
    no_log = [b"appendonly", b"no"], [b"appendfsync", b"always"]
    assert durable_after(Told(*no_log, b"connected_slaves:0")) == 5.0


def test_what_a_server_may_forget_is_asked_of_it(
    client: redis.Redis, server: EmbeddedServer
) -> None:
    link = Link(RedisConfig(url=server.url))
    found = {}
    try:
        for policy in ("always", "everysec", "no"):
            client.config_set("appendfsync", policy)
            found[policy] = durable_after(link)
    finally:
        client.config_set("appendfsync", "always")
        link.close()
    assert found == {"always": 0.0, "everysec": 5.0, "no": 35.0}
    assert client.acl_setuser("shy", enabled=True, nopass=True, commands=["+hello", "+ping"])
    shy = Link(RedisConfig(url=server.url.replace("unix://", "unix://shy:any@")))
    assert durable_after(shy) == 30.0
    shy.close()
    client.acl_deluser("shy")
