"""Where columns stand: headers are believed, whatever their order, and a wrong one is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.archive.klines import read_klines
from connectors.archive.names import Kind, detect
from connectors.archive.trades import TradesReader, read_trades
from core.continuity import Continuity
from core.market.errors import FileError
from core.market.events import Quarantined
from core.market.kline import Kline
from core.market.trades import Trades

Write = Callable[..., Path]
NAME = "BTCUSDT-trades-2025-01-31.csv"
DAY = 1_738_281_600_000


def rows(path: Path, symbol: str | None = None) -> list[tuple[int, int, str, str, bool]]:
    items = read_trades(detect(path, symbol=symbol))
    return [row for item in items if isinstance(item, Trades) for row in item.rows()]


def bad(path: Path) -> list[Quarantined]:
    return [item for item in read_trades(detect(path)) if isinstance(item, Quarantined)]


def test_columns_are_found_by_their_names_not_by_their_places(write: Write) -> None:
    path = write(
        NAME, "time,maker_note,qty,id,is_buyer_maker,price", f"{DAY},x,2.50,7,true,61837.1"
    )
    assert rows(path) == [(7, DAY * 1000, "61837.1", "2.5", True)]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("id,price,qty,time", "its header lacks maker"),
        ("tid,px,sz,ts,side,venue", "its header lacks id, maker, price, quantity, time"),
    ],
)
def test_a_header_without_a_needed_column_is_refused(write: Write, header: str, why: str) -> None:
    path = write(NAME, header, f"1,2,3,{DAY},true,x")
    with pytest.raises(FileError, match=why) as caught:
        rows(path)
    assert f"{NAME}:1" in str(caught.value)


def test_a_file_in_which_no_line_has_the_columns_is_refused(write: Write) -> None:
    with pytest.raises(FileError, match="no line has the 6 to 7 columns of trades"):
        rows(write(NAME, '["code",-1121]'))


def test_a_bad_first_line_is_named_and_is_no_header(write: Write) -> None:
    path = write(NAME, f"NaN,1,2,3,{DAY},True,True", f"1,1,2,3,{DAY},True,True")
    (said,) = bad(path)
    assert said.source == f"{NAME}:1"
    assert [row[0] for row in rows(path)] == [1]


def test_blank_lines_ends_of_windows_and_a_mark_at_the_start_do_not_move_line_numbers(
    tmp_path: Path,
) -> None:
    path = tmp_path / NAME
    lines = [
        f"1,1.0,2,3,{DAY},True,True",
        "",
        f"2,x,2,3,{DAY},True,True",
        f"3,1,2,3,{DAY},True,True",
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert [row[0] for row in rows(path)] == [1, 3]
    (said,) = bad(path)
    assert said.source == f"{NAME}:3"


def test_facts_say_what_a_file_was_like(write: Write) -> None:
    late, early = f"2,1,2,3,{DAY},True,True", f"1,1,2,3,{DAY * 1000},True,True"
    reader = TradesReader(detect(write(NAME, late, early, "bad")))
    list(reader.items())
    found = reader.facts.as_dict()
    assert (found["rows"], found["refused"], found["ordered"]) == (2, 1, False)
    assert (found["units"], found["checksum"], found["torn"]) == ("ms+us", "missing", "")


def test_klines_as_named_fields_are_read_and_an_unfinished_one_is_refused(write: Write) -> None:
    candle = {"openTimeMs": DAY, "open": "1.50", "high": "2", "low": "1", "close": "1.75"}
    done = candle | {"volume": "10.0", "isClosed": True}
    forming = done | {"openTimeMs": DAY + 60_000, "isClosed": False}
    path = write("BTCUSDT-1m.json", json.dumps({"symbol": "x", "candles": [done, forming]}))
    kline, said = sorted(read_klines(detect(path)), key=lambda item: type(item).__name__)
    assert isinstance(kline, Kline)
    assert isinstance(said, Quarantined)
    assert (kline.text("close"), kline.text("volume")) == ("1.75", "10")
    assert "not closed yet" in said.reason


def test_the_columns_of_klines_share_the_scales_of_their_file(write: Write) -> None:
    one = f"{DAY},1,2,0.5,1.5,10,{DAY + 59_999},15.125,3,4,6,0"
    two = f"{DAY + 60_000},1,2,0.25,1.5,10.5,{DAY + 119_999},15,3,4,6,0"
    klines = [
        k for k in read_klines(detect(write("BTCUSDT-1m.csv", one, two))) if isinstance(k, Kline)
    ]
    assert {(k.price_scale, k.quantity_scale) for k in klines} == {(2, 1)}
    assert [k.text("quote_volume") for k in klines] == ["15.125", "15"]


def test_a_quote_volume_with_more_places_than_price_and_quantity_is_exact(write: Write) -> None:
    one = f"{DAY},1,2,0.5,1.5,10,{DAY + 59_999},15.12345,3,4,6.5,0"
    (kline,) = read_klines(detect(write("BTCUSDT-1m.csv", one)))
    assert isinstance(kline, Kline)
    assert [kline.text(name) for name in ("high", "quote_volume", "taker_buy_quote_volume")] == [
        "2", "15.12345", "6.5",
    ]  # fmt: skip


def test_a_zoned_and_a_bare_iso_time_are_utc(write: Write) -> None:
    tail = "1,2,0.5,1.5,10"
    for text in ("2025-01-31 00:00:00+00:00", "2025-01-31T00:00:00Z", "2025-01-31 00:00:00"):
        (kline,) = read_klines(detect(write("BTCUSDT-1m.csv", f"{text},{tail}")))
        assert isinstance(kline, Kline)
        assert kline.open_ms == DAY


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"{DAY},1,2,0.5,1.5,10,{DAY + 59_999},15,3,11,6,0", "taker_volume is more than volume"),
        (f"{DAY},1,2,0.5,1.5,10,{DAY + 299_999},15,3,4,6,0", "close_time is not that of 1m"),
        (f"{DAY},0,2,0,1.5,10,{DAY + 59_999},15,3,4,6,0", "a price is 0"),
    ],
)
def test_numbers_that_cannot_belong_together_are_no_kline(
    write: Write, line: str, why: str
) -> None:
    (said,) = read_klines(detect(write("BTCUSDT-1m.csv", line)))
    assert isinstance(said, Quarantined)
    assert why in said.reason


def test_delivery_contracts_are_symbols_and_coin_margined_files_are_refused(
    write: Write, tmp_path: Path
) -> None:
    line = f"{DAY},1,2,0.5,1.5,10,{DAY + 59_999},15,3,4,6,0"
    path = write("usdm_BTCUSDT_240329-1m-2025-01.csv", line)
    assert detect(path).key == "binance-usdm:BTCUSDT_240329"
    folder = tmp_path / "futures" / "cm" / "daily"
    folder.mkdir(parents=True)
    coin = folder / "BTCUSD-1m-2025-01-31.csv"
    coin.write_text(line)
    with pytest.raises(FileError, match="quantities are contracts"):
        detect(coin)


def test_ticks_that_others_stored_are_read_by_their_header(data: Path) -> None:
    path = data / "trx-2025-03/negative_trade_stream_coin_m_futures_trxusd_perp.csv.gz"
    file = detect(path, symbol="TRXUSD_PERP")
    assert file.kind is Kind.TRADES
    batches = [item for item in read_trades(file) if isinstance(item, Trades)]
    assert sum(map(len, batches)) == 10_000
    # Its fault that we can see is a repeated id; the flow keeps the first and counts the other.
    continuity = Continuity(file.key)
    for batch in batches:
        continuity.on_trades(batch)
    assert (continuity.accepted, continuity.duplicates) == (9_999, 1)


def test_hourly_klines_of_an_object_are_read_whole(data: Path) -> None:
    items = list(read_klines(detect(data / "kl-full12/spot_BTCUSDT-1h_250.json")))
    assert [type(item) for item in items] == [Kline] * 250
