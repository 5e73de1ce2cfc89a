"""Markets for tests: their records, where these are put, and an API over them."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import uvicorn

from api.app import create_app
from api.services import Services, make_services
from config.settings import Settings, load
from connectors.arrowlog.journal import Journal
from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter
from connectors.redis.config import RedisConfig
from connectors.redis.writer import Writer
from core.market.intervals import MINUTE_US, interval
from core.market.kline import Kline
from core.market.trades import Trades
from strategies.spec import InstanceSpec

KEY = "binance:BTCUSDT"
START_US = 1_738_281_600_000_000  # 2025-01-31
COUNT = 600
M1 = interval("1m")
T = TypeVar("T")
Serve = Callable[[Settings], httpx.Client]
DEADLINE_S = 60.0


FAST = InstanceSpec(
    name="rsi_reversal", instance="fast", params={"period": 3, "oversold": 45, "overbought": 55}
)


class Market:
    """Where a test puts records: into files, into the log, into Redis."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings: Settings = load(
            env={},
            dotenv=None,
            overrides={
                "redis": {"url": url},
                "lake": {"path": str(folder / "lake"), "partitions": 1},
                "recording": {"path": str(folder / "recordings")},
                "state_dir": str(folder / "state"),
                "ml": {"registry": str(folder / "models")},
            },
        )
        self.lake = folder / "lake"

    def files(self, *records: object, **config: int) -> None:
        """Put records into files."""
        writer = LakeWriter(LakeConfig(path=self.lake, **config))
        for record in records:
            writer.write(record)
        writer.flush_all()

    def log(self, *records: object) -> None:
        """Put records into the log of a writer that died."""
        journal = Journal(self.lake / ".log" / "lake-00", service="lake")
        writer = LakeWriter(LakeConfig(path=self.lake), journal)
        writer.begin("ab12")
        for record in records:
            writer.write(record)
        writer.snapshot()
        journal.close()

    def publish(self, *records: Any) -> None:  # noqa: ANN401 - records of any kind
        """Put records into Redis."""
        writer = Writer(RedisConfig(url=self.settings.redis.url))
        writer.publish(records)
        assert writer.flush(10)
        writer._hang_up()

    def run(self, work: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
        """Run something with the services of an app."""

        async def whole() -> T:
            own = make_services(self.settings)
            try:
                return await work(own)
            finally:
                await own.bus.aclose()

        return asyncio.run(whole())


def trades(first: int, last: int, scale: int = 2) -> Trades:
    ids = np.arange(first, last + 1, dtype=np.int64)
    return Trades(
        KEY, scale, 5, ids, START_US + ids * 1000, 6_000_001 + ids % 7, 20_000 + ids, ids % 3 == 0
    )


def kline(n: int, **more: Any) -> Kline:  # noqa: ANN401 - fields of a kline
    open_us = START_US + n * MINUTE_US
    seq = (open_us + MINUTE_US) // 1000 << 20
    told: dict[str, Any] = {"seq": seq, **more}
    return Kline(
        KEY, M1, open_us, open_us + MINUTE_US - 1, 2, 5, 6_000_010, 6_000_020, 6_000_000,
        6_000_005 + n, 12_345, 740_700_000, 9, 100, 6_000_000, n, n + 8, **told,
    )  # fmt: skip


def get(market: Market, *paths: str, **headers: str) -> Any:  # noqa: ANN401 - one answer or several
    async def ask() -> list[httpx.Response]:
        app = create_app(market.settings)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            found = [await http.get(f"/api/v1{path}", headers=headers) for path in paths]
        await app.state.services.bus.aclose()
        return found

    found = asyncio.run(ask())
    return found[0] if len(found) == 1 else found


def walk(folder: Path, count: int = COUNT) -> Path:
    """Write klines of a random walk as the exchange's archive has them."""
    closes = (
        10_000 * np.exp(np.cumsum(np.random.default_rng(1).normal(size=count)) * 4e-3)
    ).tolist()
    lines = []
    for n, (first, last) in enumerate(pairwise([10_000.0, *closes])):
        at = (START_US + n * MINUTE_US) // 1000
        prices = [first, max(first, last) + 2, min(first, last) - 2, last]
        cells = ",".join(f"{int(price) / 100:.2f}" for price in prices)
        lines.append(f"{at},{cells},1.111,{at + 59_999},100,9,0.5,50,0\n")
    path = folder / "BTCUSDT-1m.csv"
    path.write_text("".join(lines))
    return path


def until(done: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it is
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        found = done()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to pass in time")


class Server(uvicorn.Server):
    """Runs on a thread."""

    def __init__(self, settings: Settings) -> None:
        config = uvicorn.Config(create_app(settings), port=0, log_level="error", ws="none")
        super().__init__(config)
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        until(lambda: self.started)
        port = self.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30)

    def end(self) -> None:
        self.client.close()
        self.should_exit = True
        self._thread.join(30)
