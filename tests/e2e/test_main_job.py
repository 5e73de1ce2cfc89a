"""Live against a simulator with faults, then from the recording: nothing lost, same bytes."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from simulator.faults import parse_fault
from simulator.local import Simulator
from simulator.scenarios import scenario

pytestmark = pytest.mark.slow

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "DOGEBTC")
THREE_CUTS = (
    "drop@after=70s,connection=1",
    "skip@frames=300,count=7,stream=btcusdt@trade,connection=2",
    "duplicate@frames=500,count=5,connection=2",
    "garbage@frames=700,connection=2",
    "drop@after=80s,connection=2",
    "refuse@connection=3,attempts=1,status=503",
    "drop@after=80s,connection=3",
)


def simulator(faults: tuple[str, ...] = THREE_CUTS, speed: float = 30.0) -> Simulator:
    settings = scenario("calm").settings.model_copy(
        update={"speed": speed, "faults": tuple(parse_fault(text) for text in faults)}
    )
    return Simulator(settings)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.parquet"))}


def rows(root: Path, kind: str, symbol: str, interval: str = "") -> list[dict[str, Any]]:
    folder = root / kind / "exchange=binance" / f"symbol={symbol}"
    if interval:
        folder = folder / f"interval={interval}"
    return [
        row for p in sorted(folder.rglob("part-*.parquet"))
        for row in pq.ParquetFile(p).read().to_pylist()
    ]  # fmt: skip


def micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def scaled(value: Decimal, places: int) -> int:
    return int(value.scaleb(places))


def twelve_fields(row: dict[str, Any]) -> tuple[int, ...]:
    """A lake row as the simulator's own kline: times, then prices in 1e-8, sums in 1e-16."""
    prices = [scaled(row[name], 8) for name in ("open", "high", "low", "close", "volume")]
    return (
        micros(row["open_time"]), micros(row["close_time"]) + 1, *prices,
        scaled(row["quote_volume"], 16), row["trades"], scaled(row["taker_buy_volume"], 8),
        scaled(row["taker_buy_quote_volume"], 16), row["first_id"], row["last_id"],
    )  # fmt: skip


def test_three_cuts_lose_nothing_and_the_recording_gives_the_same_bytes(
    tmp_path: Path, run_live: Callable[..., None], run_replay: Callable[..., None]
) -> None:
    with simulator() as sim:
        run_live(sim, tmp_path, SYMBOLS, seconds=400.0)
        expected = {
            (symbol, name): {k.open_us: k for k in sim.klines(symbol, name, 0, sim.now_us())}
            for symbol in SYMBOLS for name in ("1m", "3m", "5m")
        }  # fmt: skip
        assert sim.connections >= 4
    lake = tmp_path / "lake"

    compared: defaultdict[tuple[str, str], int] = defaultdict(int)
    for (symbol, name), official in expected.items():
        for row in rows(lake, "klines", symbol, name):
            if row["complete"]:
                theirs = official[micros(row["open_time"])]
                assert twelve_fields(row) == (theirs.open_us, theirs.end_us, *theirs.bar), symbol
                compared[symbol, name] += 1
    assert all(compared[symbol, "1m"] >= 4 for symbol in SYMBOLS[:4])
    assert compared["BTCUSDT", "3m"] >= 1

    for symbol in SYMBOLS:
        ids = [row["id"] for row in rows(lake, "trades", symbol)]
        if symbol != "DOGEBTC":
            assert len(ids) > 100
        assert ids == list(range(ids[0], ids[0] + len(ids))) if ids else True
    assert any(row["repaired"] for row in rows(lake, "trades", "BTCUSDT"))
    kinds = {row["kind"] for row in rows(lake, "events", "BTCUSDT")}
    assert kinds >= {"gap_opened", "gap_repaired"}
    assert "kline_mismatch" not in kinds
    assert rows(lake, "signals", "BTCUSDT")

    again = tmp_path / "again"
    run_replay(tmp_path / "recordings", again)
    assert files(again) == files(lake)

    wide = tmp_path / "wide"
    run_replay(tmp_path / "recordings", wide, workers=2)
    assert files(wide) == files(lake)
