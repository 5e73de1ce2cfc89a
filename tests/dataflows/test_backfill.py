"""Backfill against the simulated exchange: rows reach their place, klines get a revision."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from config.settings import Settings
from connectors.binance.history import History, Span
from connectors.parquet.reader import read_klines, read_trades
from connectors.parquet.writer import LakeWriter
from core.continuity import Continuity
from core.exchange.repair import Missing
from core.klines import KlineBuilder
from core.market.errors import ConfigError, ServiceError
from core.market.events import Gap
from core.market.intervals import interval
from core.market.kline import Kline
from core.market.trades import Trades
from dataflows.backfill import backfill
from simulator.local import Simulator

KEY = "binance:BTCUSDT"
COUNT = 9000


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def settings(sim: Simulator, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "binance": {"ws_url": sim.ws_url, "rest_url": sim.rest_url},
            "lake": {"path": tmp_path / "lake"},
            "klines": {"intervals": ["1m", "5m"]},
        }
    )


def newest(sim: Simulator) -> int:
    url = f"{sim.rest_url}/api/v3/trades"
    return int(httpx.get(url, params={"symbol": "BTCUSDT", "limit": 1}).json()[0]["id"])


def fetched(settings: Settings, span: Span) -> list[Trades]:
    async def run() -> list[Trades]:
        history = History(settings.binance)
        parts = [part async for part in history.fetch("BTCUSDT", span)]
        await history.close()
        assert not [p for p in parts if isinstance(p, Missing)]
        return [p for p in parts if isinstance(p, Trades)]

    return asyncio.run(run())


def fill(settings: Settings, batches: list[Trades], hole: Span) -> None:
    """Write a lake as a flow does that could not get the hole."""
    writer = LakeWriter(settings.lake)
    intervals = (interval("1m"), interval("5m"))
    builder = KlineBuilder(KEY, base=intervals[0], intervals=intervals)
    continuity = Continuity(KEY)
    for batch in batches:
        kept = batch.take((batch.id < hole.first) | (batch.id > hole.last))
        for item in continuity.on_trades(kept):
            if isinstance(item, Gap):
                builder.on_gap(item)
            if isinstance(item, Trades):
                writer.write(item)
                for kline in builder.on_trades(item):
                    writer.write(kline)
    writer.flush_all()


def held(settings: Settings) -> list[int]:
    found = [t.id for _, t in read_trades(settings.lake.path / "trades")]
    return [int(i) for i in np.concatenate(found)]


def klines(settings: Settings) -> dict[tuple[str, int], Kline]:
    found: dict[tuple[str, int], Kline] = {}
    for kline in read_klines(settings.lake.path / "klines"):
        found[kline.interval.name, kline.open_us] = kline
    return found


def test_a_hole_is_filled_and_its_klines_equal_the_exchanges(
    sim: Simulator, settings: Settings
) -> None:
    last = newest(sim)
    first = last - COUNT + 1
    hole = Span(first + 4000, first + 5200)
    fill(settings, fetched(settings, Span(first, last)), hole)
    before = klines(settings)
    assert any(not k.complete for k in before.values())
    told: list[tuple[int, int]] = []

    outcome = backfill(
        settings, "btcusdt", f"{hole.first}..{hole.last}", told=lambda *at: told.append(at)
    )

    assert outcome.fetched == hole.last - hole.first + 1
    assert outcome.missing == []
    assert told[-1] == (outcome.fetched, outcome.fetched)
    assert outcome.weight == 20 + 2 * 25
    assert held(settings) == list(range(first, last + 1))
    after = klines(settings)
    changed = {w for w in after if w not in before or after[w] != before[w]}
    assert changed
    assert sum(outcome.reissued.values()) == len(changed)
    start, end = min(k.open_us for k in after.values()), max(k.close_us for k in after.values())
    official = {
        (name, k.open_us): k
        for name in ("1m", "5m")
        for k in sim.klines("BTCUSDT", name, start, end)
    }
    for window in changed:
        ours, theirs = after[window], official[window]
        bar = theirs.bar
        assert (ours.first_id, ours.last_id, ours.trades) == (bar.first_id, bar.last_id, bar.trades)
        if window in before:
            assert ours.revision == before[window].revision + 1
            assert ours.seq > before[window].seq
    again = backfill(settings, "BTCUSDT", f"{hole.first}..{hole.last}")
    assert again.reissued == {}
    assert held(settings) == list(range(first, last + 1))


def test_a_range_of_times_is_one_of_ids(sim: Simulator, settings: Settings) -> None:
    last = newest(sim)
    row = httpx.get(
        f"{sim.rest_url}/api/v3/historicalTrades",
        params={"symbol": "BTCUSDT", "fromId": last - 3000, "limit": 1},
    ).json()[0]
    begin = datetime.fromtimestamp(row["time"] / 1000, UTC)
    end = datetime.fromtimestamp(row["time"] / 1000 + 60, UTC)
    outcome = backfill(settings, "BTCUSDT", f"{begin:%Y-%m-%dT%H:%M:%S}..{end:%Y-%m-%dT%H:%M:%S}")
    assert outcome.fetched == outcome.last_id - outcome.first_id + 1 > 100
    times = [t.time_us for _, t in read_trades(settings.lake.path / "trades")]
    assert abs(int(times[0][0]) / 1e6 - begin.timestamp()) < 2


@pytest.mark.parametrize(
    ("symbol", "wanted", "said"),
    [
        ("BTCUSDT", "5", "is no FROM..TO"),
        ("BTCUSDT", "9..5", "holds nothing"),
        ("BTCUSDT", "noon..midnight", "`noon` is neither an id nor a time"),
        ("NOSUCH", "1..5", "has no symbol `NOSUCH`"),
    ],
)
def test_a_wrong_range_is_a_clear_error(
    settings: Settings, symbol: str, wanted: str, said: str
) -> None:
    with pytest.raises((ConfigError, ServiceError), match=said):
        backfill(settings, symbol, wanted)
