"""``cryptotools consume``: reading for a group from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import typer
from typer.testing import CliRunner, Result

from cli.commands import consume
from cli.consuming import start_of
from connectors.redis.embedded import ensure, stop
from connectors.redis.keys import stream_key
from core.market.errors import ConfigError, ServiceError

ROOT = Path(__file__).parents[2]
STREAM = stream_key("binance:BTCUSDT", "trade")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    yield ensure(folder).url
    stop(folder)


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, decode_responses=True, protocol=2) as found:
        found.flushall()
        publish(found, 1, 10)
        yield found


def publish(client: redis.Redis, first: int, last: int) -> None:
    for n in range(first, last + 1):
        at = 1_723_161_600_000 + n
        fields: dict[Any, Any] = {"id": str(n), "time_us": f"{at}000", "price": "1.5"}
        client.xadd(STREAM, fields | {"quantity": "2", "taker": "buy"}, id=f"{at}-{n}")


def run(url: str, *options: str) -> Result:
    app = typer.Typer()
    consume.register(app)
    clean: dict[str, Any] = {k: None for k in os.environ if k.startswith("CRYPTOTOOLS")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("telemetry.log.configure", lambda *_args, **_more: None)
        return CliRunner().invoke(app, options, env=clean | {"REDIS_URL": url})


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line)["fields"]["id"] for line in result.stdout.splitlines()]


def test_entries_are_read_once_by_a_group(url: str, client: redis.Redis) -> None:
    first = run(url, "--from", "all", "--count", "4", "--json")
    assert ids(first) == ["1", "2", "3", "4"]
    assert json.loads(first.stdout.splitlines()[0])["key"] == "binance:BTCUSDT"
    rest = run(url, "--from", "all", "--once", "--json")
    assert ids(rest) == [str(n) for n in range(5, 11)]
    assert run(url, "--once").stdout == ""
    publish(client, 11, 11)
    assert "price 1.5" in run(url, "--once").stdout


def test_it_begins_where_it_is_told(url: str, client: redis.Redis) -> None:
    time_of_8 = "2024-08-09T00:00:00.008"
    assert ids(run(url, "--from", time_of_8, "--once", "--json")) == ["8", "9", "10"]
    behind = run(url, "-g", "b", "--from", "1723161600008-8", "--once", "--json")
    assert ids(behind) == ["9", "10"]
    assert ids(run(url, "-g", "c", "--once", "--json")) == []
    with pytest.raises(ConfigError, match="`yesterday` is no place to begin"):
        start_of("yesterday")


def test_a_look_changes_nothing(url: str, client: redis.Redis) -> None:
    for _ in range(2):
        peek = run(url, "--no-ack", "--from", "all", "--once", "--json")
        assert ids(peek) == [str(n) for n in range(1, 11)]
    assert client.xinfo_groups(STREAM) == []
    run(url, "--from", "all", "--count", "6")
    peek = run(url, "--no-ack", "-g", "consume", "--once", "--json")
    assert ids(peek) == ["7", "8", "9", "10"]


def test_a_command_is_given_batches_until_it_exits_with_0(
    url: str, client: redis.Redis, tmp_path: Path
) -> None:
    script = (
        f"cat >> {tmp_path}/got; test -e {tmp_path}/again || {{ touch {tmp_path}/again; exit 7; }}"
    )
    done = run(url, "--from", "all", "--once", "--exec", script)
    assert done.exit_code == 0, done.output
    got = [json.loads(line) for line in (tmp_path / "got").read_text().splitlines()]
    assert [row["fields"]["id"] for row in got] == [str(n) for n in range(1, 11)] * 2
    assert [row["deliveries"] for row in got] == [1] * 10 + [2] * 10


def test_lag_is_shown_by_group_and_stream(url: str, client: redis.Redis) -> None:
    assert "no group reads these streams" in run(url, "--lag").stderr
    run(url, "--from", "all", "--count", "4")
    run(url, "-g", "other", "--from", "all", "--once")
    rows = json.loads(run(url, "--lag", "--json").stdout)
    assert [(row["group"], row["lag"], row["pending"]) for row in rows] == [
        ("consume", 6, 0), ("other", 0, 0),
    ]  # fmt: skip
    head, line = run(url, "--lag", "-g", "consume").stdout.splitlines()
    assert head.split() == ["group", "stream", "consumers", "pending", "lag", "seconds", "idle"]
    assert line.split()[:5] == ["consume", STREAM, "0", "0", "6"]


def test_what_was_given_up_is_shown_and_handed_out_again(url: str, client: redis.Redis) -> None:
    run(url, "--from", "all", "--count", "1")
    assert "has given nothing up" in run(url, "--dead").stderr
    link = consume._link(url, "consume")
    from subscribers.consumer import Consumer

    with Consumer(url, "consume", name="a") as one:
        batch = one.poll(1.0)
        assert batch is not None
        batch.bury(batch.entries[0], "too odd")
        batch.ack()
    assert "too odd" in run(url, "--dead").stdout
    (told,) = [json.loads(line) for line in run(url, "--dead", "--json").stdout.splitlines()]
    assert (told["fields"]["id"], told["reason"]) == ("2", "too odd")
    assert "1 entries are handed out again" in run(url, "--dead", "--retry").stdout
    assert ids(run(url, "--once", "--min-idle", "0.01", "--json")) == ["2"]
    assert link.client.xlen("md:~dead:consume") == 0


def test_wrong_usage_is_told(url: str, client: redis.Redis) -> None:
    for options, said in (
        (("--retry",), "goes with --dead"),
        (("--no-ack", "--exec", "cat"), "no --no-ack"),
        (("--kind", "book"), "there is no `book`"),
        (("--group", "a b"), "is no name"),
    ):
        error = run(url, *options).exception
        assert isinstance(error, ConfigError)
        assert said in str(error)
    gone = run("redis://127.0.0.1:1/0", "--once").exception
    assert isinstance(gone, ServiceError)


def test_a_signal_ends_it(url: str, client: redis.Redis) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("CRYPTOTOOLS")}
    command = [sys.executable, "-m", "cli.main", "consume", "--from", "all", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        env=env | {"REDIS_URL": url, "PYTHONPATH": str(ROOT)},
    ) as found:  # fmt: skip
        assert found.stdout is not None
        assert found.stderr is not None
        found.stdout.readline()
        end = time.monotonic() + 10
        while any(group["pending"] for group in client.xinfo_groups(STREAM)):
            assert time.monotonic() < end
            time.sleep(0.01)
        found.send_signal(signal.SIGTERM)
        assert found.wait(20) == 0
        assert found.stderr.read() == b""
