"""A real Chromium on the real page: simulated exchange, flow, Redis and API as processes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from connectors.redis.embedded import stop

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if not item.path.is_relative_to(Path(__file__).parent):
            continue
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium; `make e2e` installs it"))
        elif item.get_closest_marker("e2e") and "e2e" not in config.getoption("-m"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: `make e2e`"))


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:  # noqa: ANN401 - its own
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} does not come about within {seconds:g} s"
        time.sleep(0.05)
    return found


@dataclass
class Stack:
    """`cryptotools up --demo`, and what it takes to hurt it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        return self.folder / "cryptotools.toml"

    def get(self, path: str) -> Any:  # noqa: ANN401 - whatever it says
        return httpx.get(f"{self.url}{path}", timeout=20).json()

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready").is_success
        except httpx.HTTPError:
            return False

    def kill_api(self) -> None:
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in path.read_text().split():
                if b"--saved" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)

    def another_api(self, *options: str) -> str:
        """Serve the same flow once more, with other settings; return its address."""
        port = free_port()
        command = [sys.executable, "-m", "cli.main", "api", "-c", str(self.settings),
                   "--port", str(port), *options]  # fmt: skip
        self.others.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL))
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            try:
                return httpx.get(f"{url}/ready").is_success
            except httpx.HTTPError:
                return False

        until(answers, 30, "another API")
        return url


def run_stack(folder: Path, speed: float) -> Iterator[Stack]:
    port = free_port()
    command = [sys.executable, "-m", "cli.main", "up", "--demo", "--dir", str(folder / "demo"),
               "--port", str(port), "--speed", str(speed)]  # fmt: skip
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    env["PYTHONPATH"] = str(ROOT)
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=env)
    own = Stack(folder / "demo", port, process)
    try:
        until(own.ready, 40, "the API")
        yield own
    finally:
        for one in [*own.others, process]:
            one.send_signal(signal.SIGTERM)
        for one in [*own.others, process]:
            try:
                one.wait(30)
            except subprocess.TimeoutExpired:
                one.kill()
        stop(folder / "demo" / "state" / "redis")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from run_stack(tmp_path_factory.mktemp("stack"), 30.0)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as own:
        browser = own.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and all that went wrong in it."""

    page: Page
    problems: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(chromium: Browser, stack: Stack) -> Iterator[Callable[..., Watched]]:
    """Open a page; what goes wrong in it fails the test."""
    made: list[Watched] = []

    def make(
        path: str = "#/market", *, url: str = "", width: int = 1440, height: int = 900,
        theme: Any = "dark", script: str = "",  # noqa: ANN401 - a literal of playwright
    ) -> Watched:  # fmt: skip
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, bypass_csp=False
        )
        if script:
            context.add_init_script(script)
        own = Watched(context.new_page())
        base = url or stack.url
        own.page.on("pageerror", lambda error: own.problems.append(str(error)))
        own.page.on(
            "console",
            lambda said: own.problems.append(said.text) if said.type == "error" else None,
        )
        own.page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((base, base.replace("http", "ws"), "data:", "blob:"))
                else own.strangers.append(asked.url)
            ),
        )
        own.page.goto(f"{base}/{path}")
        made.append(own)
        return own

    yield make
    for one in made:
        one.page.context.close()
    for one in made:
        assert not one.problems, one.problems
        assert not one.strangers, one.strangers
