"""Rows over HTTP: pages, parameters, downloads, what happens when one side is away."""

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from pydantic import BaseModel

from client.data import (
    EquityItem,
    EventItem,
    FeatureItem,
    FillItem,
    KlineItem,
    PredictionItem,
    SignalItem,
    TradeItem,
)
from connectors.parquet.reader import read_klines, read_trades
from core.market import schemas
from core.market.events import Connected, Gap
from core.market.intervals import MINUTE_US
from core.market.kline import Kline, Status
from core.market.ml import FeatureRow, Prediction
from core.market.paper import Equity, Fill
from core.market.signal import Side, Signal
from tests.api.data.markets import KEY, M1, START_US, Market, get, kline, trades


def test_klines_come_as_exact_text_newest_first_and_page_by_page(market: Market) -> None:
    market.files(*(kline(n) for n in range(5)))
    market.publish(*(kline(n) for n in range(3, 8)))
    first = get(market, "/klines/BTCUSDT?limit=6")
    assert first.headers["Data-Sources"] == "lake, redis"
    body = first.json()
    items = [KlineItem.model_validate(item) for item in body["items"]]
    assert [(item.open_us - START_US) // MINUTE_US for item in items] == [7, 6, 5, 4, 3, 2]
    assert (items[0].close, items[0].volume, items[0].quote_volume) == (
        "60000.12",
        "0.12345",
        "74.07",
    )
    assert set(body["items"][0]) == set(KlineItem.model_fields)
    second = get(market, f"/klines/binance:BTCUSDT?limit=6&cursor={body['next']}").json()
    assert [item["open_us"] for item in second["items"]] == [START_US + MINUTE_US, START_US]
    assert second["next"] is None


def test_the_forming_kline_stands_at_the_newest_end_until_it_is_final(market: Market) -> None:
    forming = kline(3, status=Status.FORMING)
    market.publish(*(kline(n) for n in range(3)), forming)
    desc = get(market, "/klines/BTCUSDT?forming=true&limit=2").json()
    assert [item["status"] for item in desc["items"]] == ["forming", "final", "final"]
    older = get(market, f"/klines/BTCUSDT?forming=true&limit=2&cursor={desc['next']}").json()
    assert [item["status"] for item in older["items"]] == ["final"]
    asc, before, part = get(
        market,
        "/klines/BTCUSDT?forming=true&order=asc",
        f"/klines/BTCUSDT?forming=true&to={(START_US + MINUTE_US) // 1000}",
        "/klines/BTCUSDT?forming=true&order=asc&limit=2",
    )
    assert [item["status"] for item in asc.json()["items"]] == ["final"] * 3 + ["forming"]
    assert [item["status"] for item in before.json()["items"]] == ["final"]
    assert [item["status"] for item in part.json()["items"]] == ["final"] * 2
    market.publish(kline(3))
    done = get(market, "/klines/BTCUSDT?forming=true").json()
    assert [item["status"] for item in done["items"]] == ["final"] * 4


def test_a_page_stays_where_it_was_while_rows_arrive(market: Market) -> None:
    market.publish(*(kline(n) for n in range(6)))
    first = get(market, "/klines/BTCUSDT?limit=3").json()
    market.publish(*(kline(n) for n in range(6, 9)))
    second = get(market, f"/klines/BTCUSDT?limit=3&cursor={first['next']}").json()
    opens = [item["open_us"] for item in first["items"] + second["items"]]
    assert opens == [START_US + n * MINUTE_US for n in reversed(range(6))]


def test_times_are_iso_or_milliseconds_or_microseconds(market: Market) -> None:
    market.publish(*(kline(n) for n in range(10)))
    spans = (
        "from=2025-01-31T00:02:00Z&to=2025-01-31T00:04",
        "from=2025-01-31T01:02:00%2B01:00&to=2025-01-31T01:04:00+01:00",
        f"from={START_US // 1000 + 120_000}&to={START_US // 1000 + 240_000}",
        f"from={START_US + 120_000_000}&to={START_US + 240_000_000}",
    )
    for answer in get(market, *(f"/klines/BTCUSDT?order=asc&{span}" for span in spans)):
        opens = [item["open_us"] for item in answer.json()["items"]]
        assert opens == [START_US + 2 * MINUTE_US, START_US + 3 * MINUTE_US]


def test_each_record_has_the_fields_of_its_model(market: Market) -> None:
    close_us = START_US + MINUTE_US - 1
    seq = (START_US + MINUTE_US) // 1000 << 20
    one = Decimal("1.50")
    rows: list[Any] = [
        trades(1, 3),
        Signal(KEY, M1, "s", "i", Side.LONG, START_US, close_us, "1.5", "why", (("a", 1.5),), seq),
        Gap(KEY, close_us, seq, 7, 9, "gone"),
        Connected("binance:shard-0", close_us, seq, 1),
        Fill(KEY, close_us, seq, "i", "s", "1m", "buy", one, one, one, one, one, one, one, 7, "r"),
        Equity(KEY, close_us, seq, "i", "s", "1m", one, one, one, one, one, one, one, one, 2),
        FeatureRow(KEY, M1, "base", "ab", START_US, close_us, "1.5", (0.1, 2.5), seq),
        Prediction(KEY, M1, "up", "v", "ab", START_US, close_us, 0.25, "", False, seq),
        Prediction(KEY, M1, "up", "w", "ab", START_US, close_us, None, "not warm", True, seq + 1),
    ]
    paths: dict[str, type[BaseModel]] = {
        "/trades/BTCUSDT": TradeItem, "/signals": SignalItem, "/events?symbol=BTCUSDT": EventItem,
        "/events?symbol=shard-0": EventItem, "/fills": FillItem, "/equity": EquityItem,
        "/features/BTCUSDT": FeatureItem, "/predictions/BTCUSDT": PredictionItem,
    }  # fmt: skip
    market.publish(*rows)
    there = [answer.json()["items"] for answer in get(market, *paths)]
    market.files(*rows)
    both = [answer.json()["items"] for answer in get(market, *paths)]
    with redis.Redis.from_url(market.settings.redis.url or "") as client:
        client.flushall()
    held = [answer.json()["items"] for answer in get(market, *paths)]
    for (path, model), *found in zip(paths.items(), there, both, held, strict=True):
        for items in found:
            assert items, path
            for item in items:
                model.model_validate(item)
                item.pop("repaired", None)
        assert found[0] == found[1] == found[2], path
    assert there[2][0]["detail"] == {"first_id": 7, "last_id": 9, "reason": "gone"}
    assert there[1][0]["values"] == {"a": 1.5}
    assert [item["value"] for item in there[7]] == [None, 0.25]


def test_records_are_filtered(market: Market) -> None:
    at = [(START_US + n * MINUTE_US) // 1000 << 20 for n in range(4)]
    market.publish(
        *(
            Signal(
                KEY,
                M1,
                "s",
                f"i{n % 2}",
                Side.FLAT,
                START_US,
                START_US + n * MINUTE_US,
                "1",
                "",
                (),
                at[n],
            )
            for n in range(4)
        ),
        Gap(KEY, START_US, 7, 1, 2, "gone"),
        Connected(KEY, START_US, 8, 3),
    )
    one, other, none, gaps = get(
        market, "/signals?instance=i1", "/signals?instance=i0&symbol=btcusdt",
        "/signals?interval=5m", "/events?kind=gap",
    )  # fmt: skip
    assert {item["instance"] for item in one.json()["items"]} == {"i1"}
    assert len(one.json()["items"]) == len(other.json()["items"]) == 2
    assert none.json() == {"items": [], "next": None}
    assert [item["kind"] for item in gaps.json()["items"]] == ["gap"]


@pytest.mark.parametrize(
    ("path", "status", "field", "says"),
    [
        ("/klines/BTCUSDT?interval=7m", 422, "interval", "7m"),
        ("/klines/B?interval=1m", 422, "symbol", "`B`"),
        ("/klines/NOSUCH", 404, "symbol", "NOSUCH"),
        ("/klines/BTCUSDT?from=1738281600", 422, "from", "looks like seconds"),
        ("/klines/BTCUSDT?from=yesterday", 422, "from", "`yesterday` is no time"),
        ("/klines/BTCUSDT?to=99999999999999999", 422, "to", "out of range"),
        ("/klines/BTCUSDT?from=2025-02-01&to=2025-01-01", 422, "to", "not behind"),
        ("/klines/BTCUSDT?limit=10001", 422, "limit", "10000"),
        ("/klines/BTCUSDT?limit=0", 422, "limit", "greater than or equal to 1"),
        ("/klines/BTCUSDT?order=up", 422, "order", "asc"),
        ("/klines/BTCUSDT?format=xml", 422, "format", "parquet"),
        ("/klines/BTCUSDT?cursor=nonsense", 422, "cursor", "no such cursor"),
        ("/klines/BTCUSDT?cursor=WzEsMl0", 422, "cursor", "another question"),
        ("/klines/BTCUSDT?cursor=bnVsbA", 422, "cursor", "no such cursor"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_and_the_way_out(
    market: Market, path: str, status: int, field: str, says: str
) -> None:
    market.publish(kline(0))
    found = get(market, path)
    assert (found.status_code, found.json()["field"]) == (status, field), found.text
    assert says in found.json()["detail"]
    assert found.headers["content-type"] == "application/problem+json"


def test_a_cursor_of_another_question_is_refused(market: Market) -> None:
    market.publish(*(kline(n) for n in range(6)))
    cursor = get(market, "/klines/BTCUSDT?limit=3").json()["next"]
    for path in ("/klines/BTCUSDT?order=asc", "/klines/BTCUSDT?interval=5m", "/signals?"):
        found = get(market, f"{path}&cursor={cursor}")
        assert (found.status_code, found.json()["field"]) == (422, "cursor")


def test_without_redis_the_lake_answers_and_says_so(market: Market, tmp_path: Path) -> None:
    market.files(*(kline(n) for n in range(3)))
    market.log(*(kline(n) for n in range(3, 5)))
    away = market.settings.redis.model_copy(update={"url": f"unix://{tmp_path}/nobody"})
    market.settings = market.settings.model_copy(update={"redis": away})
    found = get(market, "/klines/BTCUSDT")
    assert found.headers["Data-Sources"] == "lake"
    assert "redis is away" in found.headers["Data-Missing"]
    assert len(found.json()["items"]) == 5
    lake = market.settings.lake.model_copy(update={"path": tmp_path / "none"})
    market.settings = market.settings.model_copy(update={"lake": lake})
    nothing = get(market, "/signals")
    assert nothing.status_code == 503
    assert nothing.json()["hint"]


def test_without_a_lake_redis_answers(market: Market) -> None:
    market.publish(trades(1, 9))
    found = get(market, "/trades/BTCUSDT?order=asc&limit=4")
    assert found.headers["Data-Sources"] == "redis"
    assert [item["id"] for item in found.json()["items"]] == [1, 2, 3, 4]


def test_data_ahead_of_the_servers_clock_are_found_as_well(
    market: Market,
) -> None:
    ahead = 75 * 365 * 86_400_000_000  # the server puts such entries where its own clock is
    rows = [kline(n) for n in range(5)]
    moved = [
        Kline(**{
            name: getattr(row, name) + (ahead if name in {"open_us", "close_us"} else 0)
            if name in {"open_us", "close_us"} else getattr(row, name)
            for name in Kline.__slots__
        })
        for row in rows
    ]  # fmt: skip
    market.publish(*moved)
    first = (START_US + ahead + MINUTE_US) // 1000
    for order in ("asc", "desc"):
        found = get(market, f"/klines/BTCUSDT?order={order}&from={first}").json()["items"]
        assert len(found) == 4


def test_downloads_hold_what_the_pages_hold(market: Market, tmp_path: Path) -> None:
    market.files(trades(1, 2000), trades(2001, 2500, scale=3), rotate_rows=700)
    market.log(trades(2501, 2600, scale=3))
    market.publish(trades(2550, 2700, scale=3))
    as_csv, arrow, parquet, part = get(
        market, *(f"/trades/BTCUSDT?format={f}&order=asc" for f in ("csv", "arrow", "parquet")),
        "/trades/BTCUSDT?format=csv&limit=10",
    )  # fmt: skip
    name = as_csv.headers["content-disposition"]
    assert name.startswith('attachment; filename="trades-binance-BTCUSDT.csv";')
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    assert [int(row["id"]) for row in rows] == list(range(1, 2701))
    with pa.ipc.open_stream(arrow.content) as reader:
        table = reader.read_all()
    assert table.column("id").to_pylist() == list(range(1, 2701))
    assert [str(p.normalize()) for p in table.column("price").to_pylist()] == [
        str(Decimal(row["price"]).normalize()) for row in rows
    ]
    found = pq.read_table(io.BytesIO(parquet.content))
    assert found.equals(table)
    assert len(part.text.splitlines()) == 11


def test_a_parquet_download_is_a_file_like_those_of_the_lake(
    market: Market, tmp_path: Path
) -> None:
    market.files(*(kline(n) for n in range(50)), trades(1, 100))
    klines, raw = get(
        market,
        "/klines/BTCUSDT?format=parquet&order=asc",
        "/trades/BTCUSDT?format=parquet&order=asc",
    )
    for kind, more, body in (("klines", "/interval=1m", klines), ("trades", "", raw)):
        place = tmp_path / f"mine/{kind}/exchange=binance/symbol=BTCUSDT{more}/date=2025-01-31"
        place.mkdir(parents=True)
        (place / "part-00000000000000000001.parquet").write_bytes(body.content)
    assert pq.read_schema(io.BytesIO(klines.content)).equals(schemas.KLINES)
    own, kept = (list(read_klines(path)) for path in (tmp_path / "mine", market.lake))
    assert own == kept
    ((_, batch),) = read_trades(tmp_path / "mine")
    assert batch.rows() == trades(1, 100).rows()


def test_an_empty_download_has_its_columns(market: Market) -> None:
    market.publish(kline(0))
    arrow = get(market, "/klines/BTCUSDT?format=arrow&to=2020-01-01")
    with pa.ipc.open_stream(arrow.content) as reader:
        assert reader.read_all().schema.equals(schemas.KLINES)
    several = get(market, "/signals?format=parquet")
    assert pq.read_schema(io.BytesIO(several.content)).names == ["key", *schemas.SIGNALS.names]


def test_a_replaced_file_is_looked_for_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.data import lake
    from connectors.parquet import shelf

    market.files(*(kline(n) for n in range(3)))
    tries: list[int] = []
    real: Callable[..., Any] = shelf.tables

    def gone_once(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - as the real one
        tries.append(1)
        if len(tries) == 1:
            raise FileNotFoundError
        return real(*args, **more)

    monkeypatch.setattr(lake, "tables", gone_once)
    assert len(get(market, "/klines/BTCUSDT").json()["items"]) == 3
