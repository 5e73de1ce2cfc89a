"""The USD-M face of the simulated exchange: routes, frames, holes in trade ids, REST, limits."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection

from simulator.altered import altered
from simulator.config import LimitSettings, MarketSettings, SimulatorSettings
from simulator.faults import parse_fault
from simulator.klines import DAY_US
from simulator.local import Simulator
from simulator.market import Listing, open_market
from simulator.rest import Reply
from simulator.tape import SECOND_US, Aggregate, Tape, Trade
from simulator.usdm.rest import UsdmRest
from simulator.usdm.streams import parse_stream
from simulator.usdm.tape import CELL_US, UsdmTape
from simulator.usdm.wire import DELAY_US, places

Json = dict[str, Any]
NOW = datetime(2026, 1, 5, tzinfo=UTC)
HISTORY = 600.0


def listing(symbol: str = "BTCUSDT", **market: object) -> Listing:
    usual = {"product": "usdm", "unpublished": 0.1, "history": HISTORY}
    settings = MarketSettings.model_validate(usual | market)
    return open_market(settings, now=NOW).listings[symbol]


def until(tape: Tape) -> int:
    return tape.begin_us + int(HISTORY) * SECOND_US


def trades_of(tape: Tape) -> list[Trade]:
    return tape.trades(0, until(tape), 10**9)


def aggregates_of(tape: Tape) -> list[Aggregate]:
    return tape.aggregates(0, until(tape), 10**9)


def usdm(**settings: object) -> SimulatorSettings:
    usual = {"market": {"product": "usdm", "unpublished": 0.1, "history": 600}, "speed": 40.0}
    return SimulatorSettings.model_validate(usual | settings)


@pytest.fixture(scope="module")
def futures() -> Iterator[Simulator]:
    with Simulator(usdm(limits={"weight": None, "messages": None})) as sim:
        yield sim


@pytest.fixture(scope="module")
def rest(futures: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{futures.rest_url}/fapi/v1", timeout=30) as client:
        yield client


def get(rest: httpx.Client, path: str, **query: str | int) -> Any:  # noqa: ANN401  # any JSON
    answer = rest.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- the tape ----


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEBTC"])
def test_trade_ids_have_holes_and_aggregate_ids_have_none(symbol: str) -> None:
    market = listing(symbol)
    trades, rows = trades_of(market.tape), aggregates_of(market.tape)
    assert [row.id for row in rows] == list(range(rows[0].id, rows[0].id + len(rows)))
    assert all(b.id > a.id for a, b in pairwise(trades))
    assert all(b.first_id > a.last_id for a, b in pairwise(rows))
    held = {trade.id for trade in trades}
    for row in rows:
        inside = [n for n in range(row.first_id, row.last_id + 1) if n in held]
        assert {row.first_id, row.last_id} <= set(inside)
    if symbol == "BTCUSDT":
        # Between two aggregates, and inside of one.
        assert any(b.first_id > a.last_id + 1 for a, b in pairwise(rows))
        assert sum(row.last_id - row.first_id + 1 for row in rows) > len(trades)


def test_what_is_shown_is_the_spot_market_without_some_orders() -> None:
    spot = open_market(MarketSettings(history=HISTORY), now=NOW).listings["ETHUSDT"].tape
    same = UsdmTape(spot, unpublished=0.0)
    assert trades_of(same) == trades_of(spot)
    everything = set(trades_of(spot))
    shown = trades_of(listing("ETHUSDT").tape)
    assert set(shown) < everything
    assert 0.85 < len(shown) / len(everything) < 0.95
    assert shown[0] == trades_of(spot)[0]  # a symbol is listed with a trade


def test_aggregates_are_fills_of_one_price_and_side_within_100_ms() -> None:
    market = listing("BTCUSDT", unpublished=0.0)
    rows, trades = aggregates_of(market.tape), iter(trades_of(market.tape))
    joined = 0
    for before, row in pairwise(rows):
        same = (before.price, before.buyer_is_maker) == (row.price, row.buyer_is_maker)
        assert not same or before.time_us // CELL_US != row.time_us // CELL_US
    for row in rows:
        fills = [next(trades) for _ in range(row.last_id - row.first_id + 1)]
        assert {(f.price, f.buyer_is_maker) for f in fills} == {(row.price, row.buyer_is_maker)}
        assert {f.time_us // CELL_US for f in fills} == {row.time_us // CELL_US}
        assert sum(f.quantity for f in fills) == row.quantity
        joined += fills[0].time_us != fills[-1].time_us
    assert joined


def test_a_block_is_the_same_whenever_it_is_read() -> None:
    ahead, back = listing("SOLUSDT").tape, listing("SOLUSDT").tape
    last = int(HISTORY)
    forward = [ahead.block(i) for i in range(last)]
    backward = [back.block(i) for i in reversed(range(last))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert list(a.trades()) == list(b.trades())
        assert (a.position, a.aggregate_position, a.previous) == (
            b.position, b.aggregate_position, b.previous,
        )  # fmt: skip


def test_trades_are_found_by_id_though_ids_have_holes() -> None:
    tape = listing("BNBUSDT").tape
    trades = trades_of(tape)
    holes = [(i, b) for i, (a, b) in enumerate(pairwise(trades), 1) if b.id > a.id + 1]
    assert holes
    for position, after in holes[:20]:
        assert tape.position_of(after.id) == tape.position_of(after.id - 1) == position
    assert tape.position_of(0) == 0
    assert tape.trades(tape.position_of(10**15), until(tape), 5) == []


def test_spans_without_trade_leave_holes_as_they_are() -> None:
    settings = MarketSettings(product="usdm", unpublished=0.1, history=0)
    market = open_market(settings, now=NOW)
    halted = altered(market, [parse_fault("status@after=60s,for=60s,symbol=SOLUSDT,status=HALT")])
    tape, start = halted.listings["SOLUSDT"].tape, halted.start_us
    end = start + 300 * SECOND_US
    rows = tape.aggregates(0, end, 10**9)
    assert [row.id for row in rows] == list(range(rows[0].id, rows[0].id + len(rows)))
    assert all(b.first_id > a.last_id for a, b in pairwise(rows))
    gone = range(start + 60 * SECOND_US, start + 120 * SECOND_US)
    assert not [row for row in rows if row.time_us in gone]
    for trade in tape.trades(0, end, 10**9)[::50]:
        assert tape.trades(tape.position_of(trade.id), end, 1) == [trade]


# ---- sockets ----


def test_aggregates_come_on_the_market_route_as_usd_m_writes_them(
    futures: Simulator,
    rest: httpx.Client,
    opened: Callable[..., ClientConnection],
    read: Callable[..., list[Json]],
) -> None:
    frames = read(opened(futures, "/stream?streams=btcusdt@aggTrade&timeUnit=MICROSECOND"), 300)
    assert list(frames[0]) == ["stream", "data"]
    rows = [frame["data"] for frame in frames]
    assert list(rows[0]) == ["e", "E", "s", "a", "p", "q", "nq", "f", "l", "T", "m", "st"]
    assert [row["a"] for row in rows] == list(range(rows[0]["a"], rows[0]["a"] + 300))
    assert all(row["st"] == 1 and row["E"] - row["T"] >= DELAY_US // 1000 - 1 for row in rows)
    assert all(a["E"] <= b["E"] < 10**14 for a, b in pairwise(rows))
    assert any(b["f"] > a["l"] + 1 for a, b in pairwise(rows))
    # `nq` leaves some orders out, and is on the grid of quantities.
    less = [row for row in rows if row["nq"] != row["q"]]
    assert less
    assert all(0 <= Decimal(row["nq"]) < Decimal(row["q"]) for row in less)
    # Prices have one place more than ticks need, quantities those of the step.
    assert {len(row["p"].partition(".")[2]) for row in rows} == {3}
    assert {len(row["q"].partition(".")[2]) for row in rows} == {5}
    page = get(rest, "/aggTrades", symbol="BTCUSDT", fromId=rows[0]["a"], limit=300)
    assert list(page[0]) == ["a", "p", "q", "nq", "f", "l", "T", "m"]
    assert page == [{name: row[name] for name in page[0]} for row in rows]


@pytest.mark.parametrize("route", ["", "/public", "/private"])
def test_another_route_acknowledges_and_says_nothing(
    route: str, futures: Simulator, opened: Callable[..., ClientConnection]
) -> None:
    # The fixture puts the path behind an address that has the market's route.
    base = futures.ws_url.removesuffix("/market")
    assert base != futures.ws_url
    socket = opened(_At(base), f"{route}/stream?streams=ethusdt@aggTrade")
    socket.send('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@kline_1m"],"id":1}')
    assert json.loads(socket.recv(timeout=20)) == {"result": None, "id": 1}
    socket.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
    listed = json.loads(socket.recv(timeout=20))["result"]
    assert listed == ["ethusdt@aggTrade", "btcusdt@aggTrade", "btcusdt@kline_1m"]
    began = futures.now_us()
    with pytest.raises(TimeoutError):
        socket.recv(timeout=0.5)
    assert futures.now_us() - began > 10 * SECOND_US


class _At:
    """Stands for a simulator at another address."""

    def __init__(self, ws_url: str) -> None:
        self.ws_url = ws_url


def test_undocumented_and_absent_streams_are_accepted_and_silent(
    futures: Simulator, opened: Callable[..., ClientConnection], ask: Callable[..., Json]
) -> None:
    socket = opened(futures, "/ws")
    names = ["btcusdt@trade", "btcusdt@kline_1s", "btcusdt@markPrice@1s", "!forceOrder@arr"]
    assert ask(socket, {"method": "SUBSCRIBE", "params": names, "id": 1})["result"] is None
    with pytest.raises(TimeoutError):
        socket.recv(timeout=0.5)
    for name in ("btcusdt@avgPrice", "btcusdt@kline_7m", "btcusdt@kline_1d@+08:00", "btcusdt"):
        assert parse_stream(name) is None
        answer = ask(socket, {"method": "SUBSCRIBE", "params": [name], "id": 2})
        assert answer["error"]["msg"] == "Invalid request: invalid stream"


def test_klines_come_every_quarter_of_a_second_and_only_if_something_traded(
    futures: Simulator,
    rest: httpx.Client,
    opened: Callable[..., ClientConnection],
    read: Callable[..., list[Json]],
) -> None:
    socket = opened(futures, "/ws/solusdt@kline_1m")
    closed = read(socket, last=lambda frame: bool(frame["k"]["x"]))
    frames = closed + read(socket, last=lambda frame: bool(frame["k"]["x"]))
    assert list(frames[0]) == ["e", "E", "s", "k"]
    assert all(frame["E"] % 250 <= 21 for frame in frames)
    updates = [f["k"] for f in frames if not f["k"]["x"]]
    assert len(updates) > 60  # Spot would send 30 in that time
    assert all(a["n"] <= b["n"] for a, b in pairwise(updates) if a["t"] == b["t"])
    final = frames[-1]["k"]
    row = get(rest, "/klines", symbol="SOLUSDT", interval="1m", startTime=final["t"], limit=1)[0]
    names = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")
    assert row == [final[name] for name in names]
    assert len(final["q"].partition(".")[2]) == 3 + 3


def test_ten_messages_a_second_pass_and_the_eleventh_does_not(
    opened: Callable[..., ClientConnection],
    drain: Callable[..., tuple[list[Json], Exception]],
) -> None:
    with Simulator(usdm()) as sim:
        socket = opened(sim, "/ws")
        for number in range(11):
            socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        frames, closed = drain(socket)
    assert 10 <= len(frames) <= 11  # the one too many may be answered before it is counted
    assert "Too many requests" in str(closed)


# ---- REST ----


def test_klines_count_what_can_be_seen_and_not_their_ids(
    futures: Simulator, rest: httpx.Client
) -> None:
    start = (futures.start_us // 1000 - 300_000) // 60_000 * 60_000
    klines = get(rest, "/klines", symbol="ETHUSDT", interval="1m", startTime=start, limit=3)
    key = {"X-MBX-APIKEY": "any"}
    found: list[Json] = []
    query: dict[str, str | int] = {"symbol": "ETHUSDT", "fromId": 0, "limit": 500}
    while not found or found[-1]["time"] < start + 180_000:
        found += rest.get("/historicalTrades", params=query, headers=key).json()
        query["fromId"] = found[-1]["id"] + 1
    for kline in klines:
        inside = [t for t in found if kline[0] <= t["time"] <= kline[6]]
        assert kline[8] == len(inside) < inside[-1]["id"] - inside[0]["id"] + 1
        assert Decimal(kline[5]) == sum(Decimal(t["qty"]) for t in inside)
        assert Decimal(kline[7]) == sum(Decimal(t["quoteQty"]) for t in inside)
        assert (kline[1], kline[4]) == (inside[0]["price"], inside[-1]["price"])
    assert list(found[0]) == [
        "id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isRPITrade",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/historicalTrades?symbol=BTCUSDT", 401, -2014),
        ("/aggTrades?symbol=BTCUSDT&limit=1001", 400, -1130),
        ("/klines?symbol=BTCUSDT&interval=1m&limit=1501", 400, -1130),
        ("/klines?symbol=BTCUSDT&interval=1s", 400, -1120),
        ("/klines?symbol=NOSUCH&interval=1m", 400, -1121),
        ("/aggTrades?symbol=BTCUSDT&startTime=0&endTime=3600000", 400, -1127),
        ("/aggTrades?symbol=BTCUSDT&startTime=0&fromId=1", 400, -1128),
        ("/aggTrades", 400, -1102),
        ("/trades?symbol=BTCUSDT&fromId=1", 400, -1104),
    ],
)
def test_refusals_have_the_codes_of_the_documentation(
    path: str, status: int, code: int, rest: httpx.Client
) -> None:
    answer = rest.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_spots_paths_lead_nowhere(rest: httpx.Client, futures: Simulator) -> None:
    for path in ("/api/v3/ping", "/fapi/v1/uiKlines", "/fapi/v2/ping"):
        assert rest.get(futures.rest_url + path).status_code == 404


def test_exchange_info_tells_of_all_contracts_whatever_is_asked(rest: httpx.Client) -> None:
    info = get(rest, "/exchangeInfo", symbol="ETHUSDT")
    symbols = {s["symbol"]: s for s in info["symbols"]}
    assert list(symbols) == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "DOGEBTC"]
    btc = symbols["BTCUSDT"]
    assert (btc["contractType"], btc["status"], btc["marginAsset"]) == (
        "PERPETUAL", "TRADING", "USDT",
    )  # fmt: skip
    filters = {f["filterType"]: f for f in btc["filters"]}
    assert (filters["PRICE_FILTER"]["tickSize"], btc["pricePrecision"]) == ("0.01", 3)
    assert (filters["LOT_SIZE"]["stepSize"], btc["quantityPrecision"]) == ("0.00001", 5)
    assert filters["MIN_NOTIONAL"]["notional"] == "5"
    assert symbols["DOGEBTC"]["quantityPrecision"] == 0
    assert "permissionSets" not in btc


class Asking:
    """A REST API without sockets, at times of one's choice."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.market = open_market(settings.market, now=NOW)
        self.rest = UsdmRest(self.market, settings)

    def at(self, seconds: float, path: str) -> Reply:
        now_us = self.market.start_us + int(seconds * SECOND_US)
        return self.rest.reply(f"/fapi/v1{path}", {}, now_us)


@pytest.mark.parametrize(
    ("path", "weight"),
    [
        ("/ping", 1),
        ("/exchangeInfo", 1),
        ("/trades?symbol=BTCUSDT", 5),
        ("/aggTrades?symbol=BTCUSDT", 20),
        ("/historicalTrades?symbol=BTCUSDT", 200),
        ("/klines?symbol=BTCUSDT&interval=1m&limit=99", 1),
        ("/klines?symbol=BTCUSDT&interval=1m&limit=100", 2),
        ("/klines?symbol=BTCUSDT&interval=1m", 5),
        ("/klines?symbol=BTCUSDT&interval=1m&limit=1000", 5),
        ("/klines?symbol=BTCUSDT&interval=1m&limit=1500", 10),
        ("/klines?symbol=BTCUSDT&interval=1m&limit=x", 5),
    ],
)
def test_weights_are_those_of_usd_m(path: str, weight: int) -> None:
    reply = Asking(usdm(market={"product": "usdm", "history": 60})).at(1, path)
    assert {k: v for k, v in reply.headers.items() if "USED" in k} == {
        "X-MBX-USED-WEIGHT-1M": str(weight)
    }


def test_2400_a_minute_are_allowed_and_then_come_429_and_418() -> None:
    asking = Asking(usdm(limits={"ban_after": 2}))
    path = "/aggTrades?symbol=DOGEBTC&limit=1"
    statuses = [asking.at(1, path).status for _ in range(123)]
    assert statuses == [200] * 120 + [429] * 2 + [418]
    body = json.loads(asking.at(2, path).body)
    assert body["code"] == -1003
    assert "Way too many requests; IP banned until" in body["msg"]


def test_aggregates_of_more_than_48_hours_ago_are_gone() -> None:
    market = {"product": "usdm", "history": 3 * DAY_US / SECOND_US, "unpublished": 0.2}
    names = {"symbols": [{"symbol": "AUSDT", "base": "A", "quote": "USDT", "price": "5"}]}
    symbol = {**names["symbols"][0], "rate": 0.01}
    asking = Asking(usdm(market=market | {"symbols": [symbol]}))
    rows = json.loads(asking.at(0, "/aggTrades?symbol=AUSDT&fromId=0&limit=1000").body)
    oldest = asking.market.start_us // 1000 - 48 * 3_600_000
    assert oldest <= rows[0]["T"] < oldest + 3_600_000
    assert rows[0]["a"] > 1
    start = f"startTime={oldest - 7_200_000}&endTime={oldest - 3_700_000}"
    assert asking.at(0, f"/aggTrades?symbol=AUSDT&{start}").body == "[]"


def test_an_aggregate_is_in_history_once_nothing_can_join_it() -> None:
    asking = Asking(usdm())
    newest = json.loads(asking.at(0.05, "/aggTrades?symbol=BTCUSDT&limit=1").body)[0]
    assert newest["T"] * 1000 < asking.market.start_us
    later = json.loads(asking.at(60, f"/aggTrades?symbol=BTCUSDT&fromId={newest['a']}").body)
    assert later[0] == newest


# ---- settings ----


def test_usd_m_has_its_own_limits_unless_told() -> None:
    own = usdm()
    assert (own.limits.weight, own.limits.messages) == (2400, 10)
    assert (own.ping_interval, own.pong_timeout) == (180.0, 600.0)
    some = usdm(limits={"messages": 3}, ping_interval=1.0)
    assert (some.limits.weight, some.limits.messages, some.ping_interval) == (2400, 3, 1.0)
    assert usdm(limits=LimitSettings()).limits == LimitSettings()
    market = MarketSettings(product="usdm")
    assert SimulatorSettings(market=market).limits == own.limits
    assert SimulatorSettings().limits == LimitSettings()


def test_places_of_a_grid() -> None:
    grids = ("0.010", "100", "0.00000001", "1")
    assert [places(Decimal(text)) for text in grids] == [2, 0, 8, 0]
