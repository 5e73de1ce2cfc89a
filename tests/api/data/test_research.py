"""Indicators, performance, gaps and certificates over HTTP, over what the flow itself wrote."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.data.proof import Proofs
from client.data import Calendar, Gaps, IndicatorPage, Performance
from connectors.parquet.config import LakeConfig
from connectors.parquet.paper import newest_equity, read_equity, read_fills
from connectors.parquet.reader import read_klines
from connectors.parquet.sink import LakeSink
from connectors.redis.config import RedisConfig
from connectors.redis.embedded import ensure
from connectors.redis.sink import RedisSink
from core.indicators.registry import INDICATORS
from core.market.intervals import MINUTE_US, interval
from core.paper.config import PaperConfig
from core.paper.trips import trips_of
from dataflows import engine
from dataflows.certify import Book, certificates
from dataflows.klines import KlinePlan
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from dataflows.replay import inputs_of, look
from tests.api.data.markets import COUNT, FAST, KEY, START_US, Market, get, trades, walk


def flowed(market: Market, path: Path, *, lake: bool = True, redis: bool = True) -> None:
    plan = KlinePlan(interval("1m"), (interval("1m"),))
    found = look([path])
    sinks: dict[str, Any] = {}
    if lake:
        sinks["lake"] = LakeSink(LakeConfig(path=market.lake))
    if redis:
        sinks["redis"] = RedisSink(RedisConfig(url=market.settings.redis.url))
    work = Work(plan, (FAST,), PaperConfig(cash=Decimal(1000), fill="open"))
    engine.run(build(inputs_of(found), work, Outputs(sinks)))


@pytest.fixture
def walked(market: Market, tmp_path: Path) -> Market:
    flowed(market, walk(tmp_path))
    return market


@pytest.mark.parametrize("name", sorted(INDICATORS))
def test_values_of_a_page_are_those_of_an_indicator_that_ran_from_the_start(
    walked_once: Market, name: str
) -> None:
    needs = name in {"sma", "ema", "rma", "wma", "dema", "tema"}
    more = "&period=5" if needs else ""
    body = get(walked_once, f"/indicators/BTCUSDT?name={name}{more}&limit=40").json()
    page = IndicatorPage.model_validate(body)
    cls: Any = INDICATORS[name]
    own = cls(5) if needs else cls()
    expected = []
    for kline in read_klines(walked_once.lake):
        numbers = [float(getattr(kline, n)) for n in own.inputs or ("close",)]
        value = own.update(*numbers)
        expected.append(
            [None] * len(page.outputs) if value is None else np.atleast_1d(value).tolist()
        )
    told = [[item[n] for n in page.outputs] for item in reversed(page.items)]
    found, wanted = np.array(told, float), np.array(expected[-40:], float)
    if name == "obv":  # a sum from wherever it began
        found, wanted = np.diff(found, axis=0), np.diff(wanted, axis=0)
    assert found == pytest.approx(wanted, rel=1e-9)
    assert [item["open_us"] for item in page.items] == [
        START_US + n * MINUTE_US for n in range(COUNT - 1, COUNT - 41, -1)
    ]
    settled = own.settles and own.convergence <= COUNT - 39
    assert (page.converged_from_us is not None) >= settled


@pytest.fixture(scope="module")
def walked_once(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A lake that many tests read: no Redis is needed for it."""
    place = tmp_path_factory.mktemp("walk")
    made = Market(ensure(folder).url, place)
    flowed(made, walk(place), redis=False)
    return made


def test_pages_of_an_indicator_join_to_the_same_values(walked_once: Market) -> None:
    whole = get(walked_once, "/indicators/BTCUSDT?name=rsi&period=4&order=asc&limit=600").json()
    assert [item["value"] for item in whole["items"][:4]] == [None] * 4
    found: list[Any] = []
    cursor = ""
    while cursor is not None:
        path = f"/indicators/BTCUSDT?name=rsi&period=4&order=asc&limit=150&cursor={cursor}"
        page = get(walked_once, path).json()
        found += page["items"]
        cursor = page["next"]
    assert [i["open_us"] for i in found] == [i["open_us"] for i in whole["items"]]
    values, wanted = ([i["value"] for i in items][4:] for items in (found, whole["items"]))
    assert values == pytest.approx(wanted, rel=1e-9)
    assert whole["parameters"] == {"period": 4, "unmoved": 0.0, "source": "close"}


@pytest.mark.parametrize(
    ("path", "field", "says"),
    [
        ("name=rsy", "name", "rsi"),
        ("name=rsi&perod=3", "perod", "period"),
        ("name=rsi&period=three", "period", "period=20"),
        ("name=rsi&period=1", "period", "at least 2"),
        ("name=rsi&period=1000000", "period", "period=20"),
        ("name=rsi&unmoved=nan", "unmoved", "number"),
        ("name=ema", "period", "needs it"),
        ("name=rsi&source=colour", "source", "close"),
        ("name=atr&source=high", "source", "no `source`"),
        ("name=rsi&format=csv", "format", "JSON"),
        ("period=3", "name", "required"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_name(
    walked_once: Market, path: str, field: str, says: str
) -> None:
    found = get(walked_once, f"/indicators/BTCUSDT?{path}")
    assert (found.status_code, found.json()["field"]) == (422, field), found.text
    assert says in found.text


def test_performance_is_what_the_fills_and_the_equity_say(walked: Market) -> None:
    found = get(walked, "/instances/fast/performance")
    (one,) = Performance.model_validate(found.json()).items
    last = newest_equity(walked.lake)[KEY, "fast"]
    fills = [f for f in read_fills(walked.lake) if f.instance == "fast"]
    trips = trips_of(fills, last.price)
    ended = [trip for trip in trips if not trip.is_open]
    assert one.trades == len(ended) > 5
    assert one.won == sum(trip.profit > 0 for trip in ended)
    assert Decimal(one.equity) == last.equity
    assert Decimal(one.capital) == 1000
    assert Decimal(one.profit) == last.equity - 1000
    assert one.total_return == pytest.approx(float(last.equity / 1000 - 1))
    rows = [r for r in read_equity(walked.lake) if r.instance == "fast"]
    assert one.max_drawdown == min(float(r.drawdown / r.peak) for r in rows) < 0
    assert Decimal(one.position) == last.position
    assert one.trips[0].entry_us == trips[-1].entry_us
    assert one.quote == "USDT"
    signals = get(walked, "/instances/fast/signals?limit=3").json()["items"]
    assert [item["instance"] for item in signals] == ["fast"] * 3


def test_an_instance_that_nobody_knows_is_not_found(market: Market) -> None:
    found = get(market, "/instances/nobody/performance")
    assert (found.status_code, found.json()["field"]) == (404, "instance")
    quiet = get(market, "/instances/rsi_reversal/performance")
    assert quiet.json() == {"instance": "rsi_reversal", "items": []}


DAYS = ("2025-01-30", "2025-01-31", "2025-02-01")


def days(market: Market, folder: Path, missing: range = range(0)) -> None:
    """Write three days of trades, three minutes apart, through the flow."""
    start = START_US - 86_400_000_000
    for number, day in enumerate(DAYS):
        lines = [
            f"{n},{100 + n % 9}.25,0.5,50.25,{start + n * 180_000_000},{n % 2 == 0},True\n"
            for n in range(number * 480, (number + 1) * 480)
            if n not in missing
        ]
        (folder / f"BTCUSDT-trades-{day}.csv").write_text("".join(lines))
    plan = KlinePlan(interval("1m"), (interval("1m"),))
    files = sorted(folder.glob("BTCUSDT-trades-*.csv"))
    sink = LakeSink(LakeConfig(path=market.lake))
    engine.run(build(inputs_of(look(files)), Work(plan, ()), Outputs({"lake": sink})))


def test_a_hole_is_told_with_what_gets_it(market: Market, tmp_path: Path) -> None:
    days(market, tmp_path, range(700, 710))
    found = Gaps.model_validate(get(market, "/symbols/BTCUSDT/gaps").json())
    (hole,) = [item for item in found.items if item.between]
    assert (hole.first_id, hole.last_id, hole.trades) == (700, 709, 10)
    assert hole.get == "cryptotools backfill BTCUSDT 700..709"
    assert not found.complete
    later = get(market, "/symbols/BTCUSDT/gaps?from=2025-02-01").json()
    assert not [item for item in later["items"] if item["between"]]
    state = get(market, "/symbols/btcusdt/certificate?date=2025-01-31").json()
    assert (state["state"], state["complete"], state["open"]) == ("incomplete", False, False)
    calendar = Calendar.model_validate(get(market, "/symbols/BTCUSDT/certificates").json())
    assert [(d.date, d.state) for d in calendar.items][1] == (DAYS[1], "incomplete")
    assert calendar.items[1].missing == 1
    assert calendar.items[1].reasons


def test_a_certificate_is_the_one_that_the_command_line_gives(
    market: Market, tmp_path: Path
) -> None:
    days(market, tmp_path)
    (own,) = certificates(market.lake, "BTCUSDT", DAYS[1])
    found = get(market, f"/symbols/BTCUSDT/certificate?date={DAYS[1]}").json()
    assert found == own.as_dict() | {"complete": True, "open": False}
    part = get(market, f"/symbols/BTCUSDT/certificates?from={DAYS[1]}&to={DAYS[1]}").json()
    assert [(d["date"], d["state"], d["rows"]) for d in part["items"]] == [
        (DAYS[1], "complete", 480)
    ]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("certificate?date=2024-01-01", 404, "date"),
        ("certificate?date=2024-13-01", 422, "date"),
        ("certificate?date=soon", 422, "date"),
        ("certificate", 422, "date"),
        ("certificates?from=x", 422, "from"),
    ],
)
def test_a_wrong_day_is_refused(walked_once: Market, path: str, status: int, field: str) -> None:
    found = get(walked_once, f"/symbols/BTCUSDT/{path}")
    assert (found.status_code, found.json()["field"]) == (status, field), found.text
    other = get(walked_once, "/symbols/NOSUCH/gaps")
    assert (other.status_code, other.json()["field"]) == (404, "symbol")


def test_a_verdict_is_kept_until_a_file_changes(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days(market, tmp_path, range(700, 710))
    read: list[str] = []
    real = Book.certificate

    def counted(self: Book, day: str) -> Any:  # noqa: ANN401 - as the real one
        read.append(day)
        return real(self, day)

    monkeypatch.setattr(Book, "certificate", counted)
    proofs = Proofs(market.lake)
    for _ in range(3):
        assert proofs.certificate(KEY, DAYS[1])[0].state.value == "incomplete"
    assert read == [DAYS[1]]
    days(market, tmp_path)
    assert proofs.certificate(KEY, DAYS[1])[0].state.value == "complete"
    assert len(read) == 2


def test_a_calendar_that_takes_too_long_says_which_days_it_did_not_look_at(
    market: Market, tmp_path: Path
) -> None:
    days(market, tmp_path)
    times = iter([0.0, 1.0, 9.0, 9.0, 20.0, 20.0, 20.0, 20.0])
    proofs = Proofs(market.lake, clock=lambda: next(times))
    first = proofs.calendar(KEY, list(DAYS))
    assert [day.certificate is not None for day in first] == [True, False, False]
    again = proofs.calendar(KEY, list(DAYS))
    assert [day.certificate is not None for day in again] == [True, True, True]


def test_a_day_whose_rows_are_still_in_a_log_is_open(market: Market) -> None:
    market.log(trades(51, 60))
    paths = ("certificates", "gaps", "certificate?date=2025-01-31")
    for _ in range(2):
        calendar, gaps, one = (
            answer.json() for answer in get(market, *(f"/symbols/BTCUSDT/{p}" for p in paths))
        )
        assert [day["state"] for day in calendar["items"]] == ["open"]
        assert gaps["complete"]
        assert (one["open"], one["state"]) == (True, "incomplete")
        market.files(trades(1, 50))
