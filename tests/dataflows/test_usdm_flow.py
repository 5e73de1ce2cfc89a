"""The main job on USD-M futures, as the engine starts it, with a cut: lake, replay, proofs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from simulator.config import SimulatorSettings
from simulator.faults import parse_fault
from simulator.klines import Kline
from simulator.local import Simulator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SPEED = 30.0
MINUTES = 4  # after the cut
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
CONFIG = """
symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
[klines]
intervals = ["1m", "3m"]
[binance]
market = "usdm"
ws_url = "{ws}"
rest_url = "{rest}"
backoff_base = 0.1
[redis]
url = "none"
"""


def exchange() -> Simulator:
    market = {"product": "usdm", "unpublished": 0.05, "history": 600}
    texts = ("drop@frames=1500,connection=1", "refuse@connection=2,attempts=3,status=503")
    faults = tuple(parse_fault(text) for text in texts)
    settings = {"market": market, "speed": SPEED, "faults": faults}
    return Simulator(SimulatorSettings.model_validate(settings))


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def told(folder: Path, *options: str) -> tuple[int, Any]:
    process = start(folder, "cli.main", *options, "--json")
    out, errors = process.communicate(timeout=60)
    assert out, errors
    return process.returncode, json.loads(out)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def rows(lake: Path, kind: str, symbol: str, interval: str = "") -> list[dict[str, Any]]:
    folder = lake / kind / "exchange=binance-usdm" / f"symbol={symbol}"
    if interval:
        folder = folder / f"interval={interval}"
    return [
        row for path in sorted(folder.rglob("part-*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]  # fmt: skip


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.parquet"))}


def micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def measures(row: dict[str, Any]) -> tuple[Decimal, ...]:
    names = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
    return tuple(row[name] for name in (*names, "taker_buy_quote_volume"))


def official(kline: Kline) -> tuple[Decimal, ...]:
    bar = kline.bar
    prices = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    o, h, low, c, v = (Decimal(units).scaleb(-8) for units in prices)
    quote, bought = Decimal(bar.quote_volume), Decimal(bar.buy_quote_volume)
    return (
        o,
        h,
        low,
        c,
        v,
        quote.scaleb(-16),
        Decimal(bar.buy_volume).scaleb(-8),
        bought.scaleb(-16),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[int, Kline]], Any]:
    """Run it until some minutes after the cut; return the folder, their klines, the comparison."""
    folder = tmp_path_factory.mktemp("usdm")
    with exchange() as sim:
        (folder / "cryptotools.toml").write_text(CONFIG.format(ws=sim.ws_url, rest=sim.rest_url))
        flow = start(folder, "bytewax.run", "dataflows.main")
        until(lambda: sim.connections == 2)
        end_us = sim.now_us() + MINUTES * 60_000_000
        until(lambda: sim.now_us() > end_us)
        flow.send_signal(signal.SIGTERM)
        _, errors = flow.communicate(timeout=60)
        assert flow.returncode == 0, errors
        assert sim.connections == 2
        klines = {
            symbol: {k.open_us: k for k in sim.klines(symbol, "1m", 0, sim.now_us())}
            for symbol in SYMBOLS
        }
        compared = told(folder, "verify", "--against", "exchange")
    return folder, klines, compared


Run = tuple[Path, dict[str, dict[int, Kline]], Any]


def test_the_lake_is_contiguous_by_aggregate_ids(run: Run) -> None:
    lake = run[0] / "lake"
    for symbol in SYMBOLS[:2]:
        found = rows(lake, "trades", symbol)
        ids = [row["id"] for row in found]
        assert len(ids) > 300
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        kinds = {row["kind"] for row in rows(lake, "events", symbol)}
        assert not {"gap", "kline_mismatch", "quarantined"} & kinds
        if symbol == "BTCUSDT":
            assert any(row["repaired"] for row in found)
            assert {"gap_opened", "gap_repaired"} <= kinds


def test_klines_equal_the_exchanges_but_for_counts(run: Run) -> None:
    folder, theirs, _ = run
    for symbol in SYMBOLS:
        compared = more = 0
        for row in rows(folder / "lake", "klines", symbol, "1m"):
            if row["complete"]:
                kline = theirs[symbol][micros(row["open_time"])]
                assert measures(row) == official(kline)
                # First and last id are those of the first and last aggregate; between them lie
                # ids that nobody sees, so aggregates tell how many trades there were at most.
                assert (row["first_id"], row["last_id"]) == (kline.bar.first_id, kline.bar.last_id)
                assert row["trades"] >= kline.bar.trades
                more += row["trades"] > kline.bar.trades
                compared += 1
        assert compared >= MINUTES - 1
        assert more or symbol != "BTCUSDT"


def test_the_exchange_is_asked_for_its_klines_and_agrees(run: Run) -> None:
    exit_code, outcomes = run[2]
    assert exit_code == 1  # for the first window, which nobody saw from its start
    for outcome in outcomes:
        assert outcome["key"].startswith("binance-usdm:")
        assert (outcome["only_here"], outcome["only_there"]) == (0, 0)
        assert outcome["different"] <= 1
        assert not any("trades" in text for text in outcome["examples"])
    assert outcomes[0]["equal"] >= MINUTES - 1


def test_the_recording_gives_the_same_bytes(run: Run) -> None:
    folder = run[0]
    exit_code, facts = told(folder, "replay", "recordings", "--lake", "again")
    assert exit_code == 0, facts
    assert files(folder / "again") == files(folder / "lake")
    exit_code, verdicts = told(folder, "verify-parity")
    assert exit_code == 0
    assert all(v["equal"] and v["records"] == v["of"] for v in verdicts)


def test_the_day_is_certified_as_far_as_it_was_seen(run: Run) -> None:
    folder = run[0]
    exit_code, certificate = told(folder, "certify", "BTCUSDT")
    assert exit_code == 1  # some minutes are no day
    assert certificate["key"] == "binance-usdm:BTCUSDT"
    held = certificate["held"]
    assert len(held) == 1
    assert held[0]["last_id"] - held[0]["first_id"] + 1 == certificate["rows"]
    assert [(m["first_id"], m["last_id"]) for m in certificate["missing"]] == [
        (None, held[0]["first_id"] - 1), (held[0]["last_id"] + 1, None),
    ]  # fmt: skip
    klines = certificate["klines"]
    assert klines["equal"] == klines["stored"] >= MINUTES - 1
    assert (klines["differing"], certificate["kline_mismatches"]) == (0, [])
    assert certificate["repaired"]
    exit_code, holes = told(folder, "gaps")
    assert not [hole for hole in holes if hole["between"]]
