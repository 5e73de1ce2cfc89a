"""The REST API on real sockets: paging, limits, weights, errors, and klines against the trades."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest

from simulator.config import LimitSettings, MarketSettings, SimulatorSettings
from simulator.local import Simulator
from simulator.market import open_market
from simulator.rest import Rest
from simulator.tape import SECOND_US

V3 = "/api/v3"
Query = dict[str, str | int] | list[tuple[str, str | int | float | bool | None]]


def get(rest: httpx.Client, path: str, **query: str | int) -> Any:  # noqa: ANN401  # any JSON
    answer = rest.get(V3 + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_server_says_its_time_in_the_unit_asked_for(
    rest: httpx.Client, shared: Simulator
) -> None:
    before = shared.now_us()
    ms = get(rest, "/time")["serverTime"]
    us = rest.get(V3 + "/time", headers={"X-MBX-TIME-UNIT": "MICROSECOND"}).json()["serverTime"]
    assert before // 1000 <= ms <= us // 1000 <= shared.now_us() // 1000
    assert get(rest, "/ping") == {}


def test_exchange_info_names_symbols_grids_and_limits(rest: httpx.Client) -> None:
    info = get(rest, "/exchangeInfo")
    assert [s["symbol"] for s in info["symbols"]] == [
        "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "DOGEBTC",
    ]  # fmt: skip
    assert info["rateLimits"][0]["limit"] == 6000
    two = get(rest, "/exchangeInfo", symbols='["BTCUSDT","DOGEBTC"]')["symbols"]
    filters = [{f["filterType"]: f for f in s["filters"]} for s in two]
    assert [f["PRICE_FILTER"]["tickSize"] for f in filters] == ["0.01000000", "0.00000001"]
    assert [f["LOT_SIZE"]["stepSize"] for f in filters] == ["0.00001000", "1.00000000"]
    assert get(rest, "/exchangeInfo", symbol="BTCUSDT")["symbols"] == two[:1]
    assert get(rest, "/exchangeInfo", symbolStatus="HALT")["symbols"] == []


def test_trades_are_paged_by_id_without_a_hole_and_end_now(
    rest: httpx.Client, shared: Simulator
) -> None:
    rows = get(rest, "/historicalTrades", symbol="BTCUSDT", fromId=0, limit=1000)
    first = rows[0]["id"]
    while page := get(
        rest, "/historicalTrades", symbol="BTCUSDT", fromId=rows[-1]["id"] + 1, limit=1000
    ):
        rows += page
        if len(page) < 1000:
            break
    assert [row["id"] for row in rows] == list(range(first, first + len(rows)))
    assert len(rows) > 10_000
    assert rows[-1]["time"] <= shared.now_us() // 1000
    assert get(rest, "/historicalTrades", symbol="BTCUSDT", fromId=10**15) == []
    row = rows[0]
    assert Decimal(row["quoteQty"]) == Decimal(row["price"]) * Decimal(row["qty"])
    assert list(row) == ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"]


def test_the_newest_rows_are_500_unless_told_and_1000_at_most(rest: httpx.Client) -> None:
    for path in ("/trades", "/historicalTrades", "/aggTrades"):
        assert len(get(rest, path, symbol="BTCUSDT")) == 500
        assert len(get(rest, path, symbol="BTCUSDT", limit=7)) == 7
        assert len(get(rest, path, symbol="BTCUSDT", limit=99_999)) == 1000
    assert len(get(rest, "/klines", symbol="BTCUSDT", interval="1s")) == 500


def test_aggregates_are_selected_by_id_and_by_times_that_are_inclusive(rest: httpx.Client) -> None:
    every = get(rest, "/aggTrades", symbol="SOLUSDT", fromId=0, limit=1000)
    assert list(every[0]) == ["a", "p", "q", "f", "l", "T", "m", "M"]
    assert [row["a"] for row in every] == list(range(every[0]["a"], every[-1]["a"] + 1))
    assert all(b["f"] == a["l"] + 1 for a, b in pairwise(every))
    assert get(rest, "/aggTrades", symbol="SOLUSDT", fromId=every[9]["a"], limit=3) == every[9:12]
    start, end = every[20]["T"], every[60]["T"]
    inside = [row for row in every if start <= row["T"] <= end]
    both = get(rest, "/aggTrades", symbol="SOLUSDT", startTime=start, endTime=end)
    assert both == inside
    assert (
        get(rest, "/aggTrades", symbol="SOLUSDT", startTime=start * 1000, endTime=end * 1000 + 999)
        == inside
    )
    assert get(rest, "/aggTrades", symbol="SOLUSDT", startTime=start, limit=5) == inside[:5]
    assert get(rest, "/aggTrades", symbol="SOLUSDT", endTime=end, limit=5) == inside[-5:]
    assert get(rest, "/aggTrades", symbol="SOLUSDT", startTime=end, endTime=start) == []


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEBTC"])
@pytest.mark.parametrize("interval", ["1s", "1m", "3m", "5m"])
def test_klines_equal_what_the_trades_of_rest_add_up_to(
    rest: httpx.Client, shared: Simulator, symbol: str, interval: str
) -> None:
    length = {"1s": 1, "1m": 60, "3m": 180, "5m": 300}[interval] * 1000
    start = (shared.start_us // 1000 - 540_000) // length * length
    end = start + (60_000 if interval == "1s" else 420_000 // length * length)
    klines = get(
        rest, "/klines", symbol=symbol, interval=interval, startTime=start, endTime=end - 1
    )
    trades: list[Any] = []
    from_id = 0
    while page := get(rest, "/historicalTrades", symbol=symbol, fromId=from_id, limit=1000):
        trades += [row for row in page if start <= row["time"] < end]
        from_id = page[-1]["id"] + 1
        if page[-1]["time"] >= end or len(page) < 1000:
            break
    for k in klines:
        inside = [t for t in trades if k[0] <= t["time"] <= k[6]]
        prices = [Decimal(t["price"]) for t in inside]
        bought = [t for t in inside if not t["isBuyerMaker"]]
        assert k[6] == k[0] + length - 1
        assert k[8] == len(inside)
        if inside:
            assert [Decimal(v) for v in k[1:5]] == [
                prices[0], max(prices), min(prices), prices[-1],
            ]  # fmt: skip
        else:
            assert len(set(k[1:5])) == 1
        assert Decimal(k[5]) == sum(Decimal(t["qty"]) for t in inside)
        assert Decimal(k[7]) == sum(Decimal(t["price"]) * Decimal(t["qty"]) for t in inside)
        assert Decimal(k[9]) == sum(Decimal(t["qty"]) for t in bought)
        assert Decimal(k[10]) == sum(Decimal(t["price"]) * Decimal(t["qty"]) for t in bought)
        assert (len(k), k[11]) == (12, "0")
    opens = [k[0] for k in klines]
    assert opens == list(range(opens[0], end, length))
    assert symbol == "DOGEBTC" or opens[0] == start


def test_the_last_kline_is_unfinished_and_ui_klines_are_the_same(rest: httpx.Client) -> None:
    now = get(rest, "/time")["serverTime"]
    rows = get(rest, "/klines", symbol="BTCUSDT", interval="1h", limit=2)
    assert rows[-1][6] > now
    old = {"symbol": "BTCUSDT", "interval": "1m", "startTime": rows[-1][0] - 300_000, "limit": 3}
    assert get(rest, "/uiKlines", **old) == get(rest, "/klines", **old)
    us = rest.get(V3 + "/klines", params=old, headers={"X-MBX-TIME-UNIT": "MICROSECOND"}).json()
    assert (us[0][0], us[0][6]) == (rows[-1][0] * 1000 - 300_000_000, us[0][0] + 59_999_999)


def test_klines_of_a_time_zone_open_at_its_midnight(rest: httpx.Client) -> None:
    row = get(rest, "/klines", symbol="BTCUSDT", interval="1d", timeZone="5:45")[0]
    assert datetime.fromtimestamp(row[0] / 1000, UTC).strftime("%H:%M") == "18:15"


SYMBOL = {"symbol": "BTCUSDT"}
KLINE = SYMBOL | {"interval": "1m"}


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/trades", {}, -1102),
        ("/trades", {"symbol": ""}, -1102),
        ("/trades", {"symbol": "NOPE"}, -1121),
        ("/trades", {"symbol": "btcusdt"}, -1100),
        ("/trades", SYMBOL | {"limit": "ten"}, -1100),
        ("/trades", SYMBOL | {"limit": ""}, -1105),
        ("/trades", SYMBOL | {"limit": 0}, -1130),
        ("/trades", SYMBOL | {"fromId": 1}, -1104),
        ("/trades", [("symbol", "BTCUSDT"), ("symbol", "ETHUSDT")], -1101),
        ("/historicalTrades", SYMBOL | {"fromId": -1}, -1100),
        ("/historicalTrades", SYMBOL | {"fromId": 2**63}, -1108),
        ("/aggTrades", SYMBOL | {"fromId": 1, "startTime": 1}, -1128),
        ("/klines", SYMBOL, -1102),
        ("/klines", SYMBOL | {"interval": "7m"}, -1120),
        ("/klines", SYMBOL | {"interval": "1D"}, -1120),
        ("/klines", KLINE | {"timeZone": "15"}, -1130),
        ("/klines", KLINE | {"timeZone": "noon"}, -1130),
        ("/exchangeInfo", {"symbol": "NOPE"}, -1121),
        ("/exchangeInfo", {"symbols": '["BTCUSDT","BTCUSDT"]'}, -1151),
        ("/exchangeInfo", {"symbols": "BTCUSDT"}, -1100),
        ("/exchangeInfo", SYMBOL | {"symbolStatus": "HALT"}, -1128),
        ("/exchangeInfo", {"symbolStatus": "GONE"}, -1122),
    ],
)
def test_a_wrong_request_is_refused_with_the_documented_code(
    rest: httpx.Client, path: str, query: Query, code: int
) -> None:
    answer = rest.get(V3 + path, params=query)
    assert answer.status_code == 400
    assert answer.json().keys() == {"code", "msg"}
    assert answer.json()["code"] == code


def test_other_paths_methods_and_time_units_are_refused(rest: httpx.Client) -> None:
    unit = rest.get(V3 + "/time", headers={"X-MBX-TIME-UNIT": "FORTNIGHT"})
    assert (unit.status_code, unit.json()["code"]) == (400, -1194)
    assert rest.get(V3 + "/nope").status_code == 404
    page = rest.get(V3 + "/nope", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html")
    assert rest.delete(V3 + "/time").status_code == 405
    assert rest.get("/elsewhere").status_code == 404


def test_weights_add_up_and_the_limit_is_429_then_418_then_no_socket(
    start: Callable[..., Simulator],
) -> None:
    sim = start(speed=1.0, limits=LimitSettings(weight=100, ban_after=3))
    with httpx.Client(base_url=sim.rest_url) as client:

        def used(path: str, **query: str) -> int:
            return int(client.get(V3 + path, params=query).headers["x-mbx-used-weight-1m"])

        assert used("/ping") == 1
        assert used("/klines", **KLINE) == 3
        assert used("/aggTrades", **SYMBOL) == 7
        assert used("/exchangeInfo") == 27
        assert used("/historicalTrades", **SYMBOL) == 52
        assert used("/trades", **SYMBOL) == 77
        answers = [client.get(V3 + "/trades", params=SYMBOL) for _ in range(5)]
        assert [a.status_code for a in answers] == [429, 429, 429, 418, 418]
        assert {a.json()["code"] for a in answers} == {-1003}
        assert 1 <= int(answers[0].headers["retry-after"]) <= 60
        assert 115 <= int(answers[3].headers["retry-after"]) <= 120
        assert "IP banned until" in answers[3].json()["msg"]
        assert client.get("/ws", headers=UPGRADE).status_code == 403


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def test_history_lags_as_far_as_it_is_told_and_trades_do_not() -> None:
    settings = SimulatorSettings(market=MarketSettings(history=60), rest_lag=5.0)
    market = open_market(settings.market, now=datetime.now(UTC))
    rest, now = Rest(market, settings), market.start_us + 7 * SECOND_US

    def newest(path: str, key: str) -> int:
        reply = rest.reply(f"{V3}/{path}?symbol=BTCUSDT&limit=1", {}, now)
        return int(reply.body.split(f'"{key}":')[1].split(",")[0]) * 1000

    assert newest("trades", "time") > now - SECOND_US
    for path, key in (("historicalTrades", "time"), ("aggTrades", "T")):
        assert now - 7 * SECOND_US < newest(path, key) <= now - 5 * SECOND_US
    reply = rest.reply(f"{V3}/klines?symbol=BTCUSDT&interval=1s&limit=1", {}, now)
    assert reply.body.startswith(f"[[{(now - 5 * SECOND_US) // 1000},")
