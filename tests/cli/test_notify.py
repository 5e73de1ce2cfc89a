"""``cryptotools notify`` as a user runs it."""

import json
import os
import signal as signals
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import EmbeddedServer, ensure, stop
from connectors.redis.keys import stream_key
from connectors.redis.writer import Writer
from core.market.events import Gap
from core.market.signal import Signal
from tests.cli.test_commands import cli
from tests.subscribers.notify.receiver import (
    KEY,
    START_US,
    Receiver,
    eventually,
    is_idle,
    receiving,
    signal,
)

ROOT = Path(__file__).parents[2]
SECRET = "s3cret-of-ours"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    folder = tmp_path_factory.mktemp("redis")
    yield ensure(folder)
    stop(folder)


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True, protocol=2) as found:
        found.flushall()
        found.xgroup_create(stream_key(KEY, "signal"), "notify", id="0", mkstream=True)
        yield found


@pytest.fixture
def folder(tmp_path: Path, server: EmbeddedServer, receiver: Receiver) -> Path:
    """Return a folder with settings: a webhook, and a service that is not there."""
    told = f"""
[redis]
url = "{server.url}"
[notify]
max_age_seconds = 1e12
[notify.channels.desk]
per_minute = 500
webhook = {{url = "{receiver.url}", secret = "{SECRET}"}}
[notify.channels.phone]
apprise = "json://user:{SECRET}@127.0.0.1:1/path"
[[notify.rules]]
to = ["desk"]
template = "{{symbol}} {{side}}{{kind}}"
[[notify.rules]]
to = ["phone"]
severity = "critical"
"""
    (tmp_path / "cryptotools.toml").write_text(told)
    return tmp_path


def publish(server: EmbeddedServer, *records: Signal | Gap) -> None:
    writer = Writer(RedisConfig(url=server.url))
    writer.publish(list(records))
    assert writer.flush(10.0)
    writer._hang_up()


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", "notify", "run", *options],
        cwd=folder, env={**env, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.send_signal(signals.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return out, err


def test_a_test_message_says_which_channels_work(folder: Path, receiver: Receiver) -> None:
    done = cli(folder, "notify", "test", exit_code=3)
    first, second = done.stdout.splitlines()
    assert first == "desk  ok"
    assert second.startswith("phone  A Connection error occurred")
    assert SECRET not in done.stdout + done.stderr
    assert receiver.taken[0].json["kind"] == "test"
    told = json.loads(cli(folder, "notify", "test", "desk", "--rule", "1", "--json").stdout)
    assert [(one["channel"], one["ok"]) for one in told] == [("desk", True)]
    assert [one.json["text"] for one in receiver.taken[1:]] == [
        "BTCUSDT longsignal", "BTCUSDT gap",
    ]  # fmt: skip


def test_mistakes_are_one_clear_error(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said = cli(folder, "notify", "test", "pone", exit_code=2).stderr
    assert "there is no `pone` here" in said
    assert "one of desk phone" in said
    empty = tmp_path_factory.mktemp("empty")
    said = cli(empty, "notify", "run", exit_code=2).stderr
    assert "no channel is set up" in said
    config = folder / "cryptotools.toml"
    config.write_text(config.read_text().replace("{symbol}", "{symbl}"))
    said = cli(folder, "config", "check", exit_code=2).stderr
    assert "notify.rules.0.template" in said
    assert "did you mean `{symbol}`?" in said


def test_settings_are_shown_without_secrets(folder: Path) -> None:
    shown = cli(folder, "config", "show").stdout
    assert "[notify.channels.desk.webhook]" in shown
    assert SECRET not in shown
    told = json.loads(cli(folder, "notify", "list", "--json").stdout)
    assert [(row["channel"], row["by"]) for row in told["channels"]] == [
        ("desk", "webhook, signed"), ("phone", "json"),
    ]  # fmt: skip
    assert SECRET not in json.dumps(told)


@pytest.mark.slow
def test_what_was_given_up_is_listed_and_sent_again(
    folder: Path, client: redis.Redis, server: EmbeddedServer, receiver: Receiver
) -> None:
    receiver.script = [404]
    publish(server, signal(1), signal(2))
    process = started(folder)
    eventually(lambda: is_idle(client), 60)
    _, said = ended(process)
    assert "channel desk: `BTCUSDT long` is given up at once" in said
    (dead,) = json.loads(cli(folder, "notify", "dead", "--json").stdout)
    assert (dead["channel"], dead["reason"]) == ("desk", "answered 404 Not Found")
    assert "answered 404" in cli(folder, "notify", "dead").stdout
    assert cli(folder, "notify", "dead", "--retry").stdout == "desk  1 sent\n"
    assert "nothing was given up" in cli(folder, "notify", "dead").stderr
    assert [one["id"][-1] for one in receiver.once] == ["2", "1"]


def test_what_would_be_sent_can_be_looked_at(
    folder: Path, client: redis.Redis, server: EmbeddedServer, receiver: Receiver
) -> None:
    gap_us = START_US + 10**9
    publish(server, signal(1), *(Gap(KEY, gap_us, n, n, n, "gone") for n in (1, 2, 3)))
    told = cli(folder, "notify", "run", "--replay", "100", "--json").stdout.splitlines()
    planned = [json.loads(line) for line in told]
    assert [(one["channel"], one["title"]) for one in planned] == [
        ("desk", "BTCUSDT long"), ("desk", "3 gaps"), ("phone", "3 gaps"),
    ]  # fmt: skip
    process = started(folder, "--dry-run")
    assert process.stderr is not None
    assert "nothing is sent" in process.stderr.readline()
    publish(server, signal(2))
    assert process.stdout is not None
    assert process.stdout.readline().endswith("desk BTCUSDT long\n")
    assert process.stdout.readline() == "    BTCUSDT longsignal\n"
    ended(process)
    assert not receiver.requests
    assert client.xpending(stream_key(KEY, "signal"), "notify")["pending"] == 0
    assert not list(client.scan_iter("md:~notify:*"))


def _reached(receiver: Receiver, count: int) -> None:
    eventually(lambda: len(receiver.once) >= count, 60)


@pytest.mark.slow
def test_killed_again_and_again_it_tells_everything_once(
    folder: Path, client: redis.Redis, server: EmbeddedServer, receiver: Receiver
) -> None:
    publish(server, *(signal(n) for n in range(20)))
    receiver.script = [200, 200, 500, "drop"] * 3
    for reached in (2, 5, 6):
        process = started(folder)
        _reached(receiver, reached)
        process.kill()
        process.communicate()
        client.delete("md:~notify:notify:~lease")
    process = started(folder)
    eventually(lambda: is_idle(client), 100)
    ended(process)
    assert [int(one["id"].rpartition("/")[2]) for one in receiver.once] == list(range(20))
