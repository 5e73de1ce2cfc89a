"""A ten-minute hole at 30 trades a second: how long until it is closed, and what it costs."""

import asyncio
import random
import tempfile
import time
from pathlib import Path

import httpx

from bench.live import simulator
from bench.rows import Row
from connectors.binance.config import BinanceConfig
from connectors.binance.driver import Driver
from connectors.binance.rest import Rest
from core.exchange.plan import Plan
from core.market.events import Connected, Gap, GapRepaired

_RATE = 30
_SECONDS = 600
_SYMBOL = "BTCUSDT"
_LIMIT_S = 60.0


def repair() -> list[Row]:
    """Come back after ten minutes of one symbol; from the link's acknowledgement on."""
    with (
        tempfile.TemporaryDirectory() as name,
        simulator(Path(name), rate=_RATE * 3, history=900.0) as found,
    ):
        config = BinanceConfig(ws_url=str(found["ws"]), rest_url=str(found["rest"]))
        newest = asyncio.run(_newest(config))
        missing = _RATE * _SECONDS
        driver = Driver(
            config,
            Plan(symbols=(_SYMBOL,), next_ids={_SYMBOL: newest + 1 - missing}),
            dice=random.Random(1),
        )
        spent = Rest(config, clock=time.time).budget.spent
        driver.start()
        seconds = _until_repaired(driver)
        driver.stop()
        weight = Rest(config, clock=time.time).budget.spent - spent
    label = f"repair of {_SECONDS // 60} minutes at {_RATE}/s"
    return [
        Row(label, seconds, "s", 5.0, at_most=True, against=f"{missing} trades by REST"),
        Row(f"{label}, REST weight", weight, "", against="of 6000 a minute"),
    ]


def _until_repaired(driver: Driver) -> float:
    linked, until = 0.0, time.monotonic() + _LIMIT_S
    while time.monotonic() < until:
        for _, item in driver.take():
            if isinstance(item, Connected):
                linked = time.monotonic()
            if isinstance(item, Gap):
                return float("inf")
            if isinstance(item, GapRepaired):
                return time.monotonic() - linked
        time.sleep(0.001)
    return float("inf")


async def _newest(config: BinanceConfig) -> int:
    async with httpx.AsyncClient(base_url=config.rest) as client:
        answer = await client.get("/api/v3/trades", params={"symbol": _SYMBOL, "limit": 1})
        return int(answer.json()[0]["id"])
