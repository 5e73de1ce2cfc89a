"""On recorded trades: the exchange's own klines, to the last digit."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.klines import KlineBuilder
from core.market.decimals import parse, to_text
from core.market.intervals import INTERVALS, MINUTE_US
from core.market.kline import MEASURES, Kline
from core.market.trades import Ints, Trades

DATA = Path(__file__).parents[4] / "shared" / "data"
SPOT = DATA / "ws-spot-2024-08"
OFFICIAL = DATA / "kl-spot-2024-08" / "BTCUSDT_official_1m_2354-0005.csv"
FUTURES = DATA / "cryptofeed" / "BINANCE_FUTURES.ws.1.0"


def needs(*paths: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not all(p.exists() for p in paths), reason="recorded data is absent")


def message(line: str) -> dict[str, Any]:
    start = line.find("{")
    found = json.loads(line[start:]) if start >= 0 else {}
    data: dict[str, Any] = found.get("data", {})
    return data


def at_scale(texts: list[str]) -> tuple[int, Ints]:
    parsed = [parse(text) for text in texts]
    scale = max(s for _, s in parsed)
    return scale, np.array([units * 10 ** (scale - s) for units, s in parsed], np.int64)


def trades_of(rows: list[dict[str, Any]], key: str) -> Trades:
    price_scale, price = at_scale([r["p"] for r in rows])
    quantity_scale, quantity = at_scale([r["q"] for r in rows])
    aggregate = "a" in rows[0]
    ids, times, makers = (
        np.array([r[name] for r in rows]) for name in ("a" if aggregate else "t", "T", "m")
    )
    first, last = (
        np.array([r[name] for r in rows]) if aggregate else None for name in ("f", "l")
    )  # fmt: skip
    return Trades(
        key, price_scale, quantity_scale, ids, times * 1000, price, quantity, makers, first, last
    )


@pytest.fixture(scope="module")
def spot() -> Trades:
    rows = []
    for path in sorted(SPOT.glob("*.gz")):
        with gzip.open(path, "rt") as lines:
            found = (message(line) for line in lines if '"e":"trade"' in line)
            rows += [data for data in found if data["s"] == "BTCUSDT"]
    return trades_of(rows, "binance:BTCUSDT")


def klines(trades: Trades, size: int, *names: str) -> list[Kline]:
    intervals = tuple(INTERVALS[name] for name in names)
    build = KlineBuilder(trades.key, base=INTERVALS["1m"], intervals=intervals)
    parts = (trades.take(slice(i, i + size)) for i in range(0, len(trades), size))
    found = [item for part in parts for item in build.on_trades(part)]
    klines = [item for item in found if isinstance(item, Kline)]
    assert len(klines) == len(found)
    return klines


@needs(SPOT, OFFICIAL)
@pytest.mark.parametrize("size", [1, 100, 65_536])
def test_spot_trades_give_the_official_klines(spot: Trades, size: int) -> None:
    with OFFICIAL.open() as lines:
        official = [
            (int(r["open_time"]), *(to_text(*parse(r[m])) for m in MEASURES[:5]))
            for r in csv.DictReader(lines)
        ]
    found = klines(spot, size, "1m", "5m")
    minutes = [k for k in found if k.interval.name == "1m"]
    ours = [(k.open_ms, *map(k.text, MEASURES[:5])) for k in minutes]
    assert ours[1:] == official[1:-1]
    assert [k.complete for k in minutes] == [False] + [True] * 10
    assert all(k.trades == k.last_id - k.first_id + 1 for k in found)
    fives = [k for k in found if k.interval.name == "5m"]
    assert [k.complete for k in fives] == [False, True, True]
    assert fives[1].trades == sum(k.trades for k in minutes[1:6])


@needs(SPOT)
def test_real_klines_do_not_depend_on_the_cut(spot: Trades) -> None:
    assert (
        klines(spot, 1, "1m", "5m")
        == klines(spot, 777, "1m", "5m")
        == klines(spot, 10**6, "1m", "5m")
    )


@needs(FUTURES)
def test_futures_aggregates_give_what_the_exchange_says_of_the_forming_minute() -> None:
    found = [message(line) for line in FUTURES.read_text().splitlines() if '"data"' in line]
    aggregates = [m for m in found if m.get("e") == "aggTrade"]
    compared = 0
    for said in (m["k"] for m in found if m.get("e") == "kline"):
        rows = [r for r in aggregates if r["s"] == said["s"] and r["l"] <= said["L"]]
        begins = any(r["T"] < said["t"] for r in rows)
        if not begins or rows[-1]["l"] != said["L"] or rows[-1]["T"] < said["t"]:
            continue  # its start, or its newest aggregate, is not in the recording
        build = KlineBuilder("k", base=INTERVALS["1m"], intervals=(INTERVALS["1m"],))
        build.on_trades(trades_of(rows, "k"))
        (ours,) = build.forming()
        assert ours.complete
        assert ours.open_us == said["t"] * 1000 == ours.close_us + 1 - MINUTE_US
        names = ("o", "h", "l", "c", "v", "V", "q", "Q")
        assert [ours.text(m) for m in MEASURES] == [to_text(*parse(said[n])) for n in names]
        assert (ours.trades, ours.first_id, ours.last_id) == (said["n"], said["f"], said["L"])
        compared += 1
    assert compared >= 15
