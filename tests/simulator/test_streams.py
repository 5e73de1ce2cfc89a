"""Names of streams, and when frames of klines go out in each of Binance's eras."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from simulator.config import SYMBOLS, MarketSettings
from simulator.faults import Frame
from simulator.market import Market, open_market
from simulator.streams import Channels, StreamName, parse_stream
from simulator.tape import SECOND_US

NOW = datetime(2026, 1, 5, 12, 0, 31, tzinfo=UTC)
MS = 1000


@pytest.fixture(scope="module")
def market() -> Market:
    return open_market(MarketSettings(start="now", history=120), now=NOW)


def payload(frame: Frame) -> dict[str, object]:
    data: dict[str, object] = json.loads(frame[2][4:])
    return data


def klines(
    market: Market, stream: str, mode: str, seconds: int
) -> list[tuple[int, int, bool, int]]:
    """Return (ms after the start, open second, closed, trades) of each frame."""
    channel = Channels(market, mode).find(stream, 1000, combined=False)
    assert channel is not None
    out = []
    for frame in channel.due(market.start_us, market.start_us + seconds * SECOND_US):
        k = json.loads(frame[2][4:])["k"]
        opened = k["t"] // 1000 - market.start_us // SECOND_US
        out.append(((frame[0] - market.start_us) // MS, opened, k["x"], k["n"]))
    return out


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("btcusdt@trade", StreamName("btcusdt", "trade")),
        ("BTCUSDT@aggTrade", StreamName("BTCUSDT", "aggTrade")),
        ("btcusdt@kline_1M", StreamName("btcusdt", "kline", "1M")),
        ("btcusdt@kline_1d@+08:00", StreamName("btcusdt", "kline", "1d", 8 * 3600 * SECOND_US)),
        ("btcusdt@depth20@100ms", StreamName("btcusdt", "silent")),
        ("!miniTicker@arr", StreamName("", "silent")),
        ("币安@trade", StreamName("币安", "trade")),
        ("btcusdt", None),
        ("@trade", None),
        ("btcusdt@", None),
        ("btcusdt@Trade", None),
        ("btcusdt@kline_1D", None),
        ("btcusdt@kline_1d@+09:00", None),
        ("!ticker@arr", None),
    ],
)
def test_a_name_is_taken_apart_or_malformed(name: str, parts: StreamName | None) -> None:
    assert parse_stream(name) == parts


def test_a_start_of_now_is_this_minute(market: Market) -> None:
    assert market.start_us == NOW.replace(second=0).timestamp() * SECOND_US


def test_the_timer_speaks_every_even_second_and_closes_at_once(market: Market) -> None:
    frames = klines(market, "btcusdt@kline_1m", "timer", 122)
    assert [ms // 1000 for ms, *_ in frames] == list(range(0, 122, 2))
    assert {ms % 1000 for ms, *_ in frames} <= set(range(14, 22))
    closed = [(ms // 1000, opened) for ms, opened, x, _ in frames if x]
    assert closed == [(0, -60), (60, 0), (120, 60)]


def test_the_late_timer_closes_two_seconds_late(market: Market) -> None:
    frames = klines(market, "btcusdt@kline_1m", "late_timer_2s", 122)
    assert [(ms // 1000, opened) for ms, opened, x, _ in frames if x] == [(2, -60), (62, 0)]
    assert (0, -60, False) in {(ms // 1000, opened, x) for ms, opened, x, _ in frames}


def test_the_next_trade_closes_a_bar_or_two_seconds_do(market: Market) -> None:
    busy = [f for f in klines(market, "btcusdt@kline_1m", "next_trade", 130) if f[2]]
    assert [opened for _, opened, *_ in busy] == [-60, 0, 60]
    assert all(ms % 60_000 < 1500 for ms, *_ in busy)
    quiet = klines(market, "dogebtc@kline_1m", "next_trade", 1800)
    closes = [ms % 60_000 for ms, _, x, _ in quiet if x]
    assert len(closes) == 30
    assert max(closes) in range(2014, 2022)
    # Nothing is said about minutes in which nothing happens.
    assert len(quiet) < 60


def test_second_klines_come_closed_some_ms_late_even_when_empty(market: Market) -> None:
    frames = klines(market, "dogebtc@kline_1s", "timer", 30)
    assert len(frames) == 30
    assert all(x and 1 <= ms % 1000 <= 6 for ms, _, x, _ in frames)
    assert 0 in {n for *_, n in frames}


def test_an_open_bar_holds_what_traded_before_the_frame(market: Market) -> None:
    channel = Channels(market, "timer").find("btcusdt@kline_5m", 1, combined=False)
    tape = market.listings["BTCUSDT"].tape
    assert channel is not None
    for frame in channel.due(market.start_us + 4 * SECOND_US, market.start_us + 20 * SECOND_US):
        k = json.loads(frame[2][4:])["k"]
        assert k["n"] == tape.count_before(frame[0]) - tape.count_before(k["t"])


def test_frames_of_any_cutting_of_time_are_the_same(market: Market) -> None:
    for stream in ("btcusdt@trade", "btcusdt@aggTrade", "btcusdt@kline_1m", "dogebtc@trade"):
        begin, end = market.start_us, market.start_us + 70 * SECOND_US
        one = Channels(market, "timer").find(stream, 1000, combined=True)
        assert one is not None
        whole = one.due(begin, end)
        # At any time, and at the very time of a frame.
        cuts = sorted({*range(begin, end, 337_331), end, *(frame[0] for frame in whole[::7])})
        parts = [f for a, b in pairwise(cuts) for f in one.due(a, b)]
        assert parts == whole
        assert len(whole) > 30 or stream.startswith(SYMBOLS[4].symbol.lower())
