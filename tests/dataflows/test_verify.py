"""The lake against archives and against a (simulated) exchange: equal, and each way to differ."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from connectors.archive.names import detect
from connectors.binance.config import BinanceConfig
from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter
from core.klines import KlineBuilder
from core.market.errors import FileError, ServiceError
from core.market.intervals import interval
from core.market.kline import Kline
from core.market.trades import Trades
from dataflows.exchange_klines import ExchangeKlines, against_exchange
from dataflows.lakedays import start_of
from dataflows.verify import Outcome, against_archive
from simulator.local import Simulator
from simulator.scenarios import scenario

KEY = "binance:BTCUSDT"
DAY_US = start_of("2025-01-31")
ROWS = 3000
STEP_US = 20_000_000


def price_of(n: int) -> float:
    return 100 + n // 3 % 7 / 4


def trades(first: int = 0, rows: int = ROWS) -> Trades:
    ids = np.arange(first, first + rows, dtype=np.int64)
    return Trades(
        KEY, 2, 1, id=ids, time_us=DAY_US + ids * STEP_US,
        price=np.array([round(price_of(n) * 100) for n in ids.tolist()], np.int64),
        quantity=ids % 4 + 1, buyer_is_maker=ids // 3 % 2 == 0,
    )  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Callable[..., Path]:
    def make(batch: Trades, *, change: Callable[[Kline], Kline] = lambda k: k) -> Path:
        root = tmp_path / "lake"
        writer = LakeWriter(LakeConfig(path=root))
        writer.write(batch)
        builder = KlineBuilder(KEY, base=interval("1m"), intervals=(interval("1m"),))
        builder.on_tick(DAY_US)
        for item in [*builder.on_trades(batch), *builder.on_tick(DAY_US + 61_000 * 1_000_000)]:
            writer.write(change(item) if isinstance(item, Kline) else item)
        writer.flush_all()
        return root

    return make


def archive(folder: Path, text: str, name: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def singles(ids: range, *, odd: int = -1) -> str:
    return "".join(
        f"{n},{price_of(n) + (n == odd):.8f},{(n % 4 + 1) / 10},1,{DAY_US + n * STEP_US},"
        f"{n // 3 % 2 == 0},True\n"
        for n in ids
    )


def told(outcome: Outcome) -> tuple[int, int, int, int]:
    return outcome.equal, outcome.different, outcome.only_here, outcome.only_there


def test_an_official_file_of_the_same_trades_is_the_same(
    tmp_path: Path, lake: Callable[..., Path]
) -> None:
    file = detect(archive(tmp_path, singles(range(ROWS)), "BTCUSDT-trades-2025-01-31.csv"))
    outcome = against_archive(lake(trades()), file)
    assert told(outcome) == (ROWS, 0, 0, 0)
    assert outcome.same


def test_each_way_to_differ_is_counted_and_named(tmp_path: Path, lake: Callable[..., Path]) -> None:
    text = singles(range(10)) + singles(range(20, ROWS + 5), odd=1000)
    file = detect(archive(tmp_path, text, "BTCUSDT-trades-2025-01-31.csv"))
    outcome = against_archive(lake(trades()), file)
    assert told(outcome) == (ROWS - 11, 1, 10, 5)
    assert outcome.examples[0] == "only here: 10..19"
    assert "1000..1000 price 101!=102" in outcome.examples[1]
    assert outcome.examples[2] == f"only there: {ROWS}..{ROWS + 4}"
    assert not outcome.same


def test_aggregates_of_a_file_are_held_against_single_trades(
    tmp_path: Path, lake: Callable[..., Path]
) -> None:
    groups = [range(n, min(n + 3, ROWS)) for n in range(0, ROWS, 3)]
    text = "".join(
        f"{a},{price_of(g[0])},{sum(n % 4 + 1 for n in g) / 10:.1f},{g[0]},{g[-1]},"
        f"{(DAY_US + g[0] * STEP_US) // 1000},{g[0] // 3 % 2 == 0},True\n"
        for a, g in enumerate(groups, start=77)
    )
    file = detect(archive(tmp_path, text, "BTCUSDT-aggTrades-2025-01-31.csv"))
    assert told(against_archive(lake(trades()), file)) == (1000, 0, 0, 0)


def test_a_file_without_a_period_says_nothing_of_other_ids(
    tmp_path: Path, lake: Callable[..., Path]
) -> None:
    path = archive(tmp_path, singles(range(500, 900)), "some.csv")
    outcome = against_archive(lake(trades()), detect(path, symbol="BTCUSDT"))
    assert told(outcome) == (400, 0, 0, 0)


def test_tapes_longer_than_a_batch_are_compared_whole(tmp_path: Path) -> None:
    rows = 200_000
    ids = np.arange(rows, dtype=np.int64)
    ones = np.ones(rows, np.int64)
    batch = Trades(KEY, 0, 0, ids, DAY_US + ids * 1000, ones, ones, ids < 0)
    writer = LakeWriter(LakeConfig(path=tmp_path / "lake", rotate_rows=70_000))
    writer.write(batch)
    writer.flush_all()
    text = "".join(
        f"{n},1,1,1,{DAY_US + n * 1000},False,True\n" for n in range(rows) if n != 99_999
    )
    file = detect(archive(tmp_path, text, "BTCUSDT-trades-2025-01-31.csv"))
    assert told(against_archive(tmp_path / "lake", file)) == (rows - 1, 0, 1, 0)


def kline_rows(start: int, end: int, *, odd: int = -1) -> str:
    builder = KlineBuilder(KEY, base=interval("1m"), intervals=(interval("1m"),))
    built = [*builder.on_trades(trades()), *builder.on_tick(DAY_US + 61_000 * 1_000_000)]
    return "".join(
        f"{k.open_us},{k.text('open')},{k.text('high')},{k.text('low')},{k.text('close')},"
        f"{k.text('volume')}{'1' if n == odd else ''},{k.close_us},{k.text('quote_volume')},"
        f"{k.trades},{k.text('taker_buy_volume')},{k.text('taker_buy_quote_volume')},0\n"
        for n, k in enumerate(built) if isinstance(k, Kline) and start <= n < end
    )  # fmt: skip


def test_klines_of_a_file_are_compared_field_by_field(
    tmp_path: Path, lake: Callable[..., Path]
) -> None:
    root = lake(trades())
    same = detect(archive(tmp_path, kline_rows(0, 1000), "BTCUSDT-1m-2025-01-31.csv"))
    assert told(against_archive(root, same)) == (1000, 0, 16, 0)  # the lake has a little more
    path = archive(tmp_path, kline_rows(100, 900, odd=500), "klines.csv")
    outcome = against_archive(root, detect(path, symbol="BTCUSDT"))
    assert told(outcome) == (799, 1, 0, 0)
    assert "2025-01-31T08:20:00Z volume" in outcome.examples[0]


def test_the_exchanges_own_klines_are_equal_to_those_of_its_trades(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.exchange_klines._PAGE", 4)
    settings = scenario("calm").settings.model_copy(update={"speed": 600.0})
    writer = LakeWriter(LakeConfig(path=tmp_path))
    of, key = interval("1m"), "binance:ETHUSDT"
    with Simulator(settings) as sim:
        start = of.open_of(sim.start_us) + 60_000_000
        end = start + 10 * 60_000_000
        deadline = time.monotonic() + 60
        while sim.now_us() < end:
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)
        for n, k in enumerate(sim.klines("ETHUSDT", "1m", start, end)):
            writer.write(Kline(key, of, k.open_us, k.end_us - 1, 8, 8, *k.bar, seq=n))
        writer.flush_all()
        config = BinanceConfig(ws_url=sim.ws_url, rest_url=sim.rest_url)
        with ExchangeKlines(config) as klines:
            outcome = against_exchange(tmp_path, klines, key, of)
            assert outcome.same, outcome.examples[:3]
            assert outcome.equal == 10
            with pytest.raises(FileError, match="no klines of 5m"):
                against_exchange(tmp_path, klines, key, interval("5m"))
            with pytest.raises(ServiceError, match="-1121"):
                list(klines.read("NOSUCH", of, start, end))


def test_an_exchange_that_is_not_there_is_a_service_that_cannot_be_used(
    lake: Callable[..., Path],
) -> None:
    config = BinanceConfig(ws_url="ws://127.0.0.1:9", rest_url="http://127.0.0.1:9")
    with ExchangeKlines(config) as klines, pytest.raises(ServiceError, match=r"127\.0\.0\.1:9"):
        against_exchange(lake(trades()), klines, KEY, interval("1m"))
