"""Secrets on their real ways into logs: an address of Redis, a webhook that answers."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import orjson
import pytest

from config.notify import ChannelConfig, NotifyConfig, WebhookConfig
from config.secret import secrets_of
from telemetry import log
from telemetry.mask import Mask

ROOT = Path(__file__).parents[2]
PASSWORD = "hunter2-in-the-url"


class _Echo(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(500)
        self.end_headers()
        self.wfile.write(f"no channel for {self.path}".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base names it
        """Be quiet."""


@pytest.fixture
def hook() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/services/T0AAAAAAA/c0ffeeC0FFEEc0ffee"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhooks_address_stays_secret_whoever_logs_it(
    hook: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telemetry.log.MASK", Mask())
    root, web = logging.getLogger(), logging.getLogger("httpx")
    before = root.handlers[:], root.level, web.level
    config = WebhookConfig.model_validate({"url": hook, "headers": {"X-Key": "header-key"}})
    notify = NotifyConfig(channels={"ops": ChannelConfig(webhook=config)})
    try:
        log.configure("info", json=True, secrets=secrets_of(notify))
        web.setLevel(logging.INFO)  # the library tells of each request, with the address
        url = config.url.get_secret_value()
        answer = httpx.post(url, headers={"X-Key": "header-key"})
        logging.getLogger("cryptotools.notify").warning("it answered: %s", answer.text)
        logging.getLogger("cryptotools.notify").warning("sent %s", dict(answer.request.headers))
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        web.setLevel(before[2])
    said = capsys.readouterr().err
    assert [orjson.loads(line)["logger"] for line in said.splitlines()] == [
        "httpx", "cryptotools.notify", "cryptotools.notify",
    ]  # fmt: skip
    assert "c0ffee" not in said
    assert "header-key" not in said
    assert said.count("***") >= 3


@pytest.mark.parametrize("json", ["true", "false"])
def test_a_redis_that_cannot_be_reached_keeps_its_password(json: str, tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    more = {"REDIS_URL": f"redis://app:{PASSWORD}@127.0.0.1:1/0",
            "CRYPTOTOOLS_LOG__LEVEL": "debug", "CRYPTOTOOLS_LOG__JSON_LINES": json,
            "PYTHONPATH": str(ROOT)}  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-m", "cli.main", "tail", "trade"], cwd=tmp_path, env=kept | more,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode != 0
    assert "redis" in found.stderr
    assert PASSWORD not in found.stdout + found.stderr
    assert "Traceback" not in found.stderr
