"""``cryptotools doctor``: says whether everything is there that a run needs."""

import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import httpx
import redis
import typer
from rich.markup import escape
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from cli.options import ConfigFile, Set, overrides
from cli.output import OUT, Json, print_json, table
from config.settings import Settings
from connectors.redis.embedded import find_binary
from core.market.errors import CryptoToolsError
from dataflows.addresses import NO_REDIS
from dataflows.setup import prepare

_LOW_DISK = 2 << 30
_SKEW_MS = 1000
_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "failed": "[bold red]failed[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result and, when it is not ok, the way out."""

    check: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    hint: str = ""


def check_python() -> Finding:
    """Bytewax has wheels for 3.11 and 3.12."""
    version = platform.python_version()
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Finding("python", "ok", version)
    return Finding("python", "failed", version, "use Python 3.11 or 3.12")


def check_disk(name: str, path: Path) -> Finding:
    """Look for room and the right to write where `path` is, or will be."""
    place = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    try:
        free = shutil.disk_usage(place).free
        with TemporaryFile(dir=place):
            pass
    except OSError as error:
        why = f"{place}: {error.strerror}"
        return Finding(name, "failed", why, "choose another folder, or make this one writable")
    detail = f"{place}: {free / 2**30:.1f} GiB free"
    if free < _LOW_DISK:
        return Finding(name, "warning", detail, "a busy symbol takes about 1 GiB a month")
    return Finding(name, "ok", detail)


def check_exchange(settings: Settings) -> Finding:
    """Ask REST for its time: reachability and clock skew in one."""
    url = settings.binance.rest
    before = time.time()
    try:
        answer = httpx.get(f"{url}{settings.binance.place.prefix}/time", timeout=5.0)
        answer.raise_for_status()
        server_ms = int(answer.json()["serverTime"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        hint = (
            "in a blocked region use binance.endpoint=vision; without network, `cryptotools demo`"
        )
        return Finding("exchange rest", "failed", f"{url}: {error}", hint)
    after = time.time()
    skew = server_ms - (before + after) * 500
    detail = f"{url}: {(after - before) * 1000:.0f} ms, clock skew {skew:+.0f} ms"
    if abs(skew) > _SKEW_MS + (after - before) * 500:
        hint = "synchronise the clock (NTP); data is not harmed, receive times are"
        return Finding("exchange rest", "warning", detail, hint)
    return Finding("exchange rest", "ok", detail)


def check_socket(settings: Settings) -> Finding:
    """Open the WebSocket and close it again."""
    url = f"{settings.binance.ws}/stream"
    before = time.monotonic()
    try:
        with connect(url, open_timeout=5.0):
            pass
    except (OSError, TimeoutError, WebSocketException, ValueError) as error:
        hint = "a proxy or firewall may bar WebSockets; see binance.ws_url"
        return Finding("exchange socket", "failed", f"{url}: {error}", hint)
    return Finding("exchange socket", "ok", f"{url}: {(time.monotonic() - before) * 1000:.0f} ms")


def check_redis(settings: Settings) -> Finding:
    """Ping the server that is set, or look for one that could be embedded."""
    url = settings.redis.url
    if url == NO_REDIS:
        return Finding("redis", "ok", "switched off (redis.url = none)")
    if not url:
        try:
            return Finding("redis", "ok", f"embedded: {find_binary().path}")
        except CryptoToolsError as error:
            return Finding("redis", "failed", str(error), "set REDIS_URL, or redis.url = none")
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            version = client.info("server").get("redis_version", "?")
    except (redis.RedisError, ValueError) as error:
        return Finding("redis", "failed", str(error), "is the server up, is REDIS_URL right?")
    return Finding("redis", "ok", f"version {version}")


def check_port(name: str, port: int) -> Finding:
    """Say whether a port that may be wanted is free."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    if taken:
        return Finding(name, "warning", f"port {port} is in use", "choose another one there")
    return Finding(name, "ok", f"port {port} is free")


def findings(settings: Settings) -> list[Finding]:
    """Return the result of every check."""
    checks: list[Callable[[], Finding]] = [
        check_python,
        lambda: check_disk("lake", settings.lake.path),
        lambda: check_disk("state", settings.state_dir),
        lambda: check_redis(settings),
        lambda: check_exchange(settings),
        lambda: check_socket(settings),
        lambda: check_port("simulator port", 9443),
        lambda: check_port("cluster port", 9999),
    ]
    return [check() for check in checks]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(config: ConfigFile = None, set_: Set = None, *, json: Json = False) -> None:
        """Check Python, disk, Redis, exchange, clock and ports; exit 3 if something failed."""
        found = findings(prepare(config, overrides(set_)))
        if json:
            print_json([asdict(finding) for finding in found])
        else:
            rows: list[tuple[object, ...]] = [
                (f.check, _MARKS[f.status], escape(f.detail), escape(f.hint)) for f in found
            ]
            OUT.print(table("check", "status", "detail", "way out", rows=rows))
        if any(finding.status == "failed" for finding in found):
            raise typer.Exit(3)
