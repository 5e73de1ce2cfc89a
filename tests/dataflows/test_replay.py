"""Files through the flow: real captures against the exchange's klines, archives, bad input."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from core.market.errors import FileError
from core.market.intervals import interval
from dataflows import engine
from dataflows.klines import KlinePlan
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from dataflows.replay import inputs_of, look, plan_of
from strategies.spec import InstanceSpec

DAY_MS = 1_738_281_600_000  # 2025-01-31
SPECS = (InstanceSpec(name="bollinger_breakout", params={"period": 3, "width": 0.5}),)


def replay(paths: list[Path], lake: Path, *names: str, symbol: str | None = None) -> Path:
    plan = KlinePlan(interval("1m"), tuple(interval(name) for name in names or ("1m", "5m")))
    outputs = Outputs({"lake": LakeSink(LakeConfig(path=lake))})
    inputs = inputs_of(look(paths, symbol=symbol), symbol=symbol)
    engine.run(build(inputs, Work(plan, SPECS), outputs))
    return lake


def rows(lake: Path, kind: str, key: str = "binance:BTCUSDT") -> list[dict[str, Any]]:
    exchange, _, symbol = key.partition(":")
    folder = lake / kind / f"exchange={exchange}" / f"symbol={symbol}"
    return [
        row
        for path in sorted(folder.rglob("part-*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


def trade(n: int, minute: int, price: str = "100.50") -> str:
    time_us = (DAY_MS + minute * 60_000 + n) * 1000
    return f"{n},{price},0.5,50.25,{time_us},{n % 2 == 0},True"


def test_recorded_frames_give_the_exchanges_own_klines(data: Path, tmp_path: Path) -> None:
    captures = sorted((data / "ws-spot-2024-08").glob("*.gz"))
    lake = replay(captures, tmp_path / "lake", "1m")
    official = data / "kl-spot-2024-08" / "BTCUSDT_official_1m_2354-0005.csv"
    with official.open() as file:
        theirs = [[cell.strip() for cell in row] for row in csv.reader(file)]
    ours = {int(k["open_time"].timestamp()): k for k in rows(lake, "klines")}
    compared = 0
    for row in theirs:
        opened = _seconds(row[0])
        kline = ours.get(opened) if opened is not None else None
        if kline is None or not kline["complete"]:
            continue
        names = ("open", "high", "low", "close", "volume")
        assert [kline[name] for name in names] == [Decimal(cell) for cell in row[1:6]]
        compared += 1
    assert compared == 10
    assert len(rows(lake, "trades")) == 19_904
    assert not [e for e in rows(lake, "events") if e["kind"] == "gap"]


def _seconds(cell: str) -> int | None:
    if cell.isdigit():
        return int(cell) // (1000 if len(cell) > 10 else 1)
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def test_an_official_day_gives_every_kline_of_the_day(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2025-01-31.csv"
    path.write_text("".join(f"{trade(n, n)}\n" for n in range(1440)))
    lake = replay([path], tmp_path / "lake")
    klines = rows(lake, "klines")
    minutes = [k for k in klines if k["interval"] == "1m"]
    assert len(minutes) == 1440
    assert all(k["complete"] and k["trades"] == 1 for k in minutes)
    assert len([k for k in klines if k["interval"] == "5m"]) == 288


def test_ids_repeated_skipped_and_unsorted_leave_as_gaps_and_books(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2025-01-31.csv"
    ids = [1, 2, 2, 4, 3, 8, 9]
    path.write_text("".join(f"{trade(n, n)}\n" for n in ids))
    lake = replay([path], tmp_path / "lake")
    assert [row["id"] for row in rows(lake, "trades")] == [1, 2, 3, 4, 8, 9]
    (gap,) = [e for e in rows(lake, "events") if e["kind"] == "gap"]
    assert '"first_id":5' in gap["detail"]
    assert '"last_id":7' in gap["detail"]
    incomplete = [
        k["open_time"].minute
        for k in rows(lake, "klines")
        if not k["complete"] and k["interval"] == "1m"
    ]
    assert incomplete == [4, 8]


def test_a_trade_of_price_zero_is_stored_and_in_no_kline(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2025-01-31.csv"
    path.write_text(f"{trade(1, 0)}\n{trade(2, 0, '0')}\n{trade(3, 0)}\n")
    lake = replay([path], tmp_path / "lake")
    assert [row["id"] for row in rows(lake, "trades")] == [1, 2, 3]
    first = next(k for k in rows(lake, "klines") if k["interval"] == "1m")
    assert (first["trades"], first["low"], first["complete"]) == (2, Decimal("100.5"), True)
    assert not [e for e in rows(lake, "events") if e["kind"] == "gap"]


def test_klines_of_a_file_feed_higher_intervals_and_strategies(data: Path, tmp_path: Path) -> None:
    lake = replay(
        [data / "kl-full12/usdm_NEARUSDT-1m-2026-06.csv.gz"], tmp_path / "lake", "1m", "1h", "1d"
    )
    klines = rows(lake, "klines", "binance-usdm:NEARUSDT")
    counts = {
        name: len([k for k in klines if k["interval"] == name]) for name in ("1m", "1h", "1d")
    }
    assert counts == {"1m": 43_200, "1h": 720, "1d": 30}
    day = next(k for k in klines if k["interval"] == "1d")
    minutes = [k for k in klines if k["interval"] == "1m" and k["open_time"] < day["close_time"]]
    assert day["volume"] == sum(k["volume"] for k in minutes)
    assert day["high"] == max(k["high"] for k in minutes)
    assert day["open"] == minutes[0]["open"]
    assert day["trades"] == sum(k["trades"] for k in minutes)
    assert rows(lake, "signals", "binance-usdm:NEARUSDT")


def test_missing_minutes_of_a_kline_file_are_an_event(data: Path, tmp_path: Path) -> None:
    lake = replay([data / "kl-gaps/2021-09_BTC_USDT-1m.json.gz"], tmp_path / "lake")
    (gap,) = [e for e in rows(lake, "events") if e["kind"] == "kline_gap"]
    assert "1m" in gap["detail"]


def test_a_lake_replays_to_the_same_lake(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2025-01-31.csv"
    path.write_text("".join(f"{trade(n, n // 7)}\n" for n in range(3000)))
    first = replay([path], tmp_path / "first")
    second = replay([first], tmp_path / "second")
    assert rows(first, "trades") == rows(second, "trades")
    # A lake has no ticks: what only time closes or proves is left open.
    known = {(k["interval"], k["open_time"]): k for k in rows(first, "klines") if k["complete"]}
    again = [k for k in rows(second, "klines") if k["complete"]]
    assert len(again) >= 400
    assert all(k | {"seq": 0} == known[k["interval"], k["open_time"]] | {"seq": 0} for k in again)


def test_what_cannot_be_replayed_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file or folder"):
        look([tmp_path / "nothing"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileError, match="holds nothing that can be replayed"):
        look([empty])
    with pytest.raises(FileError, match="nothing to replay"):
        inputs_of(look([]))


def test_klines_of_a_file_are_folded_from_their_own_interval_on(tmp_path: Path) -> None:
    hours = [
        f"{DAY_MS + n * 3_600_000},1,2,0.5,1.5,10,{DAY_MS + (n + 1) * 3_600_000 - 1},15,3,4,6,0"
        for n in range(24)
    ]
    path = tmp_path / "BTCUSDT-1h-2025-01-31.csv"
    path.write_text("\n".join(hours))
    found = look([path])
    wanted = KlinePlan(interval("1m"), tuple(interval(name) for name in ("1m", "4h", "1d")))
    plan = plan_of(found, wanted)
    assert (plan.base.name, [i.name for i in plan.intervals]) == ("1h", ["1h", "4h", "1d"])
    outputs = Outputs({"lake": LakeSink(LakeConfig(path=tmp_path / "lake"))})
    engine.run(build(inputs_of(found), Work(plan, SPECS), outputs))
    names = [k["interval"] for k in rows(tmp_path / "lake", "klines")]
    assert (names.count("1h"), names.count("4h"), names.count("1d")) == (24, 6, 1)


def test_klines_of_two_intervals_at_once_are_refused(tmp_path: Path) -> None:
    for name in ("BTCUSDT-1h-2025-01-31.csv", "BTCUSDT-1m-2025-01-31.csv"):
        (tmp_path / name).write_text("1,1,1,1,1,1,1,1,1,1,1,0\n")
    with pytest.raises(FileError, match="one interval at a time"):
        plan_of(look([tmp_path]), KlinePlan(interval("1m"), (interval("1m"),)))
