"""What a plain HTTP client sees of each fault of REST."""

import json
from collections.abc import Callable
from itertools import pairwise

import httpx
import pytest

from simulator.config import LimitSettings
from simulator.faults import parse_fault
from simulator.local import Simulator

Start = Callable[..., Simulator]

HISTORY = "/api/v3/historicalTrades"
BTC = {"symbol": "BTCUSDT"}


@pytest.fixture
def client(start: Start) -> Callable[..., httpx.Client]:
    def begin(*texts: str, **settings: object) -> httpx.Client:
        faults = tuple(parse_fault(text) for text in texts)
        sim = start(faults=faults, **{"limits": LimitSettings(weight=None)} | settings)
        return httpx.Client(base_url=sim.rest_url, timeout=20)

    return begin


Begin = Callable[..., httpx.Client]


@pytest.mark.parametrize(
    ("status", "code"), [(429, -1003), (418, -1003), (500, -1000), (503, -1008)]
)
def test_an_error_comes_as_often_as_told_on_its_path_only(
    client: Begin, status: int, code: int
) -> None:
    with client(f"rest@status={status},count=2,path={HISTORY}") as rest:
        assert rest.get("/api/v3/time").status_code == 200
        bad = [rest.get(HISTORY, params=BTC) for _ in range(2)]
        assert [answer.status_code for answer in bad] == [status, status]
        assert {answer.json()["code"] for answer in bad} == {code}
        assert ("retry-after" in bad[0].headers) is (status in {429, 418})
        assert rest.get(HISTORY, params=BTC).status_code == 200


@pytest.mark.parametrize("status", [403, 502, 504])
def test_the_firewall_and_the_gateway_say_it_in_html(client: Begin, status: int) -> None:
    with client(f"rest@status={status}") as rest:
        answer = rest.get("/api/v3/time")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html")
        assert answer.text.startswith("<html>")
        assert rest.get("/api/v3/time").status_code == 200


def test_the_body_may_be_chosen(client: Begin) -> None:
    with client("rest@status=504,body=json", "rest@status=503,body=html,after=1h") as rest:
        assert rest.get("/api/v3/time").json()["code"] == -1007
        assert rest.get("/api/v3/time").status_code == 200


def test_an_error_lasts_as_long_as_told_and_names_when_to_ask_again(client: Begin) -> None:
    with client("rest@status=429,for=5s,retry_after=9s", speed=2.0) as rest:
        first = rest.get("/api/v3/time")
        assert (first.status_code, first.headers["retry-after"]) == (429, "5")
        while (answer := rest.get("/api/v3/time")).status_code == 429:
            pass
        assert answer.status_code == 200


def test_a_request_is_never_answered_or_later(client: Begin) -> None:
    hang = "resthang@path=aggTrades"
    slow = "resthang@for=20s,path=klines"
    with client(hang, slow) as rest:
        with pytest.raises(httpx.ReadTimeout):
            rest.get("/api/v3/aggTrades", params=BTC, timeout=0.5)
        assert rest.get("/api/v3/aggTrades", params=BTC).status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            rest.get("/api/v3/klines", params={**BTC, "interval": "1m"}, timeout=0.2)
    with client(slow) as rest:
        before = rest.get("/api/v3/time").json()["serverTime"]
        rows = rest.get("/api/v3/klines", params={**BTC, "interval": "1m"}).json()
        assert rest.get("/api/v3/time").json()["serverTime"] - before >= 20_000
        assert len(rows) > 2


def test_history_is_behind_for_a_while_and_the_newest_trades_are_not(client: Begin) -> None:
    with client("restlag@lag=30s,for=60s", speed=20.0) as rest:

        def time() -> int:
            return int(rest.get("/api/v3/time").json()["serverTime"])

        def newest(path: str, key: str) -> int:
            (row,) = rest.get(path, params={**BTC, "limit": 1}).json()
            return int(row[key])

        before = time()
        assert newest("/api/v3/trades", "time") > before - 5_000
        assert newest(HISTORY, "time") <= time() - 30_000
        assert newest("/api/v3/aggTrades", "T") <= time() - 30_000
        while time() < before + 61_000:
            pass
        before = time()
        assert newest(HISTORY, "time") > before - 5_000


def test_a_page_is_shorter_than_what_there_is(client: Begin) -> None:
    with client("partial@rows=3,count=2", "partial@rows=0,count=1,path=aggTrades") as rest:
        page = rest.get(HISTORY, params={**BTC, "fromId": 0, "limit": 50}).json()
        last = rest.get(HISTORY, params={**BTC, "limit": 50}).json()
        whole = rest.get(HISTORY, params={**BTC, "fromId": 0, "limit": 50}).json()
        assert (len(page), len(last), len(whole)) == (3, 3, 50)
        assert page == whole[:3]
        assert last[-1]["id"] > whole[-1]["id"]
        assert rest.get("/api/v3/aggTrades", params=BTC).json() == []
        assert len(rest.get("/api/v3/aggTrades", params=BTC).json()) == 500
        assert rest.get("/api/v3/time").json().keys() == {"serverTime"}


def test_a_body_is_cut_off_with_a_length_that_fits_or_does_not(client: Begin) -> None:
    with client("torn@path=time", "torn@kind=length,path=ping") as rest:
        answer = rest.get("/api/v3/time")
        assert answer.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            answer.json()
        with pytest.raises(httpx.RemoteProtocolError):
            rest.get("/api/v3/ping")
        assert rest.get("/api/v3/ping").json() == {}


def test_invalidated_aggregates_are_in_history_where_the_stream_jumps(client: Begin) -> None:
    with client("badagg@count=4,symbol=ETHUSDT") as rest:
        eth: dict[str, str | int] = {"symbol": "ETHUSDT", "fromId": 0, "limit": 1000}
        rows = rest.get("/api/v3/aggTrades", params=eth).json()
        while len(page := rest.get("/api/v3/aggTrades", params=eth).json()) == 1000:
            eth["fromId"] = page[-1]["a"] + 1
            rows += page
        bad = [row for row in rows if row["f"] == -1]
        assert len(bad) == 4
        assert {(r["p"], r["q"], r["l"]) for r in bad} == {("0.00000000", "0.00000000", -1)}
        good = [row for row in rows if row["f"] >= 0]
        assert all(b["f"] == a["l"] + 1 for a, b in pairwise(good))


def test_a_request_that_hangs_does_not_hold_up_the_end_of_the_exchange(start: Start) -> None:
    sim = start(faults=(parse_fault("resthang@count=9"),))
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{sim.rest_url}/api/v3/time", timeout=0.2)
    sim.stop()
