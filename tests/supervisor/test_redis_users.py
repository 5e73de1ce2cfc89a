"""docs/operations/users.acl: each part runs with its own user, and may do nothing else. TLS."""

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from connectors.redis.binary import find_binary
from simulator.local import Simulator
from tests.subscribers.notify.receiver import receiving
from tests.supervisor.conftest import Job, until
from tests.supervisor.test_api import answering, free_port

pytestmark = pytest.mark.slow

USERS = Path(__file__).parents[2] / "docs/operations/users.acl"
ROUTES = (
    "/ready", "/status", "/api/v1/symbols", "/api/v1/instances", "/api/v1/audit", "/api/v1/jobs",
    "/api/v1/klines/BTCUSDT?forming=true&limit=3", "/api/v1/trades/BTCUSDT?limit=3",
    "/api/v1/signals", "/api/v1/events", "/api/v1/fills", "/api/v1/equity", "/api/v1/models",
    "/api/v1/symbols/BTCUSDT/gaps", "/api/v1/instances/rsi_reversal/performance",
    "/api/v1/indicators/BTCUSDT?name=rsi", "/api/v1/predictions/BTCUSDT",
)  # fmt: skip
FORBIDDEN = (
    ("FLUSHALL",), ("CONFIG", "SET", "maxmemory", "1"), ("KEYS", "*"), ("ACL", "LIST"),
    ("SHUTDOWN",), ("SET", "else", "1"), ("GET", "else"),
)  # fmt: skip
TRADES = "md:{binance:BTCUSDT}:trade"
FORGED = ("XADD", TRADES, "*", "id", "1")
COMMAND = ("XADD", "md:~control", "*", "body", "{}")
OWN_FORBIDDEN = {
    "flow": (("XRANGE", TRADES, "-", "+"), ("SET", "md:~once:x", "1")),
    "api": (FORGED, ("DEL", TRADES), ("XADD", "md:~outcomes", "*", "a", "b")),
    "reader": (FORGED, COMMAND, ("XDEL", TRADES, "1-1")),
    "notify": (FORGED, COMMAND, ("DEL", "md:~flows")),
}


def url_of(user: str, port: int) -> str:
    return f"redis://{user}:{user}-password@127.0.0.1:{port}/0"


@contextmanager
def server(folder: Path, *options: str, program: str = "") -> Iterator[int]:
    port = free_port()
    command = [program or str(find_binary().path), "--dir", str(folder), "--bind", "127.0.0.1",
               "--save", "", *options]  # fmt: skip
    plain = "--tls-port" not in options
    words = ["--port", str(port)] if plain else []
    filled = [word.replace("{port}", str(port)) for word in (*command, *words)]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(filled, stdout=log, stderr=log)
    try:
        until(lambda: listens(port), 20, "the server")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as own:
        return own.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def users(tmp_path: Path) -> Iterator[int]:
    shutil.copy(USERS, tmp_path / "users.acl")
    with server(tmp_path, "--aclfile", str(tmp_path / "users.acl")) as port:
        yield port


def denied(port: int) -> list[tuple[str, str]]:
    with redis.Redis.from_url(url_of("admin", port), decode_responses=True) as admin:
        log: Any = admin.acl_log()
        return [(entry["username"], entry["object"]) for entry in log]


def test_each_part_runs_with_its_own_user(
    job: Callable[..., Job], calm: Simulator, users: int
) -> None:
    port = free_port()
    own = job(calm, REDIS__URL=url_of("flow", users), RECORDING__PATH="recordings")
    up = own.start("up")
    own.well()
    asked = {"REDIS__URL": url_of("api", users), "API__ENABLED": "true"}
    api = own.start("api", "--port", str(port), **asked)
    url = f"http://127.0.0.1:{port}"
    until(lambda: answering(url), 30, "the API")
    with httpx.Client(base_url=url, timeout=30) as http:
        until(lambda: http.get(ROUTES[6]).is_success, 30, "klines")
        found = {route: http.get(route).status_code for route in ROUTES}
        assert {route for route, status in found.items() if status != 200} == set()
        key = {"Idempotency-Key": "once"}
        told = [http.post("/api/v1/symbols", json={"symbols": ["BNBUSDT"]}, headers=key).json()
                for _ in range(2)]  # fmt: skip
        assert told[0]["outcome"] == "applied", told
        assert told[0] == told[1]
        assert http.post("/api/v1/instances/macd_cross/pause").json()["outcome"] == "applied"
        proof = http.post("/api/v1/jobs", json={"kind": "parity"}).json()["id"]
        until(lambda: http.get(f"/api/v1/jobs/{proof}").json()["state"] == "done", 60, "a proof")
        topics = "klines/BTCUSDT/1m,trades/BTCUSDT,ticker,status,signals,events"
        with http.stream("GET", f"/api/v1/live/sse?topics={topics}") as live:
            frame = next(line for line in live.iter_lines() if "forming" in line)
            assert '"state":"live"' in frame
    code, said = own.run("consume", "-k", "kline", "--from", "all", "--once", "--json",
                         REDIS__URL=url_of("reader", users))  # fmt: skip
    assert (code, "BTCUSDT" in said) == (0, True), said
    code, said = own.run("consume", "--lag", REDIS__URL=url_of("reader", users))
    assert code == 0, said
    with receiving() as receiver:
        rules = json.dumps([{"to": ["desk"], "records": ["event"], "kinds": ["instance_changed"]}])
        channels = json.dumps({"desk": {"webhook": {"url": receiver.url}}})
        notifier = own.start("notify", "run", REDIS__URL=url_of("notify", users),
                             NOTIFY__CHANNELS=channels, NOTIFY__RULES=rules)  # fmt: skip
        until(lambda: "sending to desk" in own.said(), 30, "the notifier")

        def heard() -> bool:
            httpx.post(f"{url}/api/v1/instances/macd_cross/resume", timeout=30)
            httpx.post(f"{url}/api/v1/instances/macd_cross/pause", timeout=30)
            return bool(receiver.taken)

        until(heard, 60, "a message")
        assert own.end(notifier) == 0
    assert own.end(api) == 0
    assert own.end(up) == 0
    assert denied(users) == []


@pytest.mark.parametrize("user", OWN_FORBIDDEN)
def test_and_may_do_nothing_else(users: int, user: str) -> None:
    with redis.Redis.from_url(url_of("admin", users)) as admin:
        admin.xadd(TRADES, {"id": "1"})
    with redis.Redis.from_url(url_of(user, users)) as own:
        for command in (*FORBIDDEN, *OWN_FORBIDDEN[user]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                own.execute_command(*command)
    with (
        redis.Redis.from_url(f"redis://127.0.0.1:{users}/0") as stranger,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        stranger.ping()


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def _certificates(folder: Path) -> None:
    _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout",
             "ca.key", "-out", "ca.crt", "-subj", "/CN=test CA")  # fmt: skip
    _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out",
             "server.csr", "-subj", "/CN=localhost")  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    _openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
             "-CAcreateserial", "-days", "2", "-extfile", "names",
             "-out", "server.crt")  # fmt: skip


@pytest.mark.skipif(
    not (shutil.which("redis-server") and shutil.which("openssl")),
    reason="no redis-server with TLS (the embedded one has none)",
)
def test_a_flow_publishes_over_tls_and_trusts_no_other(
    job: Callable[..., Job], calm: Simulator, tmp_path: Path
) -> None:
    _certificates(tmp_path)
    options = ("--port", "0", "--tls-port", "{port}", "--tls-cert-file", "server.crt",
               "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.crt",
               "--tls-auth-clients", "no")  # fmt: skip
    with server(tmp_path, *options, program="redis-server") as port:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path / 'ca.crt'}"
        own = job(calm, REDIS__URL=url)
        up = own.start("up")
        own.well()
        code, said = own.run("consume", "-k", "trade", "--from", "all", "--count", "5")
        assert (code, "BTCUSDT" in said) == (0, True), said
        api_port = free_port()
        api = own.start("api", "--port", str(api_port))
        asked = f"http://127.0.0.1:{api_port}"
        until(lambda: answering(asked), 30, "the API over TLS")
        code, said = own.run("consume", "--once", REDIS__URL=f"rediss://localhost:{port}/0")
        assert code == 3
        assert "certificate" in said.lower()
        assert (own.end(api), own.end(up)) == (0, 0)
