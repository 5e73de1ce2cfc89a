"""The examples run, and do what their first lines say, also when they are run twice."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.embedded import ensure, stop
from connectors.redis.writer import Writer
from core.market.intervals import interval
from core.market.kline import Kline
from core.market.signal import Side, Signal
from core.market.trades import Trades

ROOT = Path(__file__).parents[2]
KEY = "binance:BTCUSDT"
MINUTE = interval("1m")
CLOSES = [6_000_000 + 5_000 * ((n * n) % 37) for n in range(120)]


def kline(n: int, close: int) -> Kline:
    open_us = 1_723_161_600_000_000 + n * 60_000_000
    return Kline(
        KEY, MINUTE, open_us, open_us + 59_999_999, 2, 5, close, close, close, close, 100, close,
        1, 0, 0, n, n, seq=(open_us // 1000 + 60_000) << 20,
    )  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    server = ensure(folder)
    out = Writer(RedisConfig(url=server.url))
    klines = [kline(n, close) for n, close in enumerate(CLOSES)]
    last = klines[-1]
    said = Signal(
        KEY, MINUTE, "rsi", "mine", Side.LONG, last.open_us, last.close_us, "60000", "why not",
        seq=last.seq,
    )  # fmt: skip
    ids = np.arange(1, 301, dtype=np.int64)
    trades = Trades(KEY, 2, 5, ids, 1_723_161_600_000_000 + ids, ids, ids, ids > 7)
    out.publish([*klines, said, replace(trades)])
    out.close()
    yield server.url
    stop(folder)


def run(name: str, *options: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *options, "--once"],
        env=env | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_strategy_worker_writes_each_signal_once(url: str) -> None:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        options = ("--url", url, "--fast", "2", "--slow", "5")
        run("strategy_worker.py", *options)
        stream = f"my:{{{KEY}}}:cross"
        first = client.xrange(stream)
        assert isinstance(first, list)
        assert len(first) > 10
        client.xgroup_destroy(f"md:{{{KEY}}}:kline:1m", "cross")  # all klines come again
        run("strategy_worker.py", *options)
        assert client.xrange(stream) == first


def test_a_dashboard_worker_shows_the_newest(url: str) -> None:
    head, row = run("dashboard_worker.py", "--url", url).splitlines()
    assert head.split() == ["symbol", "price", "minute", "trades", "equity", "signal"]
    assert row.split()[:2] == ["BTCUSDT", f"{CLOSES[-1] / 100:g}"]
    assert "long by mine" in row


def test_a_database_worker_stores_each_record_once(url: str, tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite"
    for group_gone in (False, True):
        if group_gone:
            with redis.Redis.from_url(url, decode_responses=True) as client:
                client.xgroup_destroy(f"md:{{{KEY}}}:trade", "sqlite")
        run("database_worker.py", "--url", url, "--file", str(file))
        database = sqlite3.connect(file)
        found = dict(
            database.execute("SELECT kind, count(*) FROM records GROUP BY kind").fetchall()
        )
        database.close()
        assert found == {"kline": 120, "signal": 1, "trade": 300}
