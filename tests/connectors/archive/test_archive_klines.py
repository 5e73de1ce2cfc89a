"""Files of klines: exact, in order, what is missing or twice named."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.archive.klines import Out, read_klines
from connectors.archive.names import detect
from core.market.errors import FileError
from core.market.events import KlineGap, Quarantined
from core.market.kline import Kline

Write = Callable[..., Path]
NAME = "BTCUSDT-1m-2025-01-31.csv"
DAY = 1_738_281_600_000
HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"  # noqa: E501 - Binance's own


def row(minute: int, close: str = "61837.63000000", volume: str = "0.50000000") -> str:
    at = DAY + minute * 60_000
    return (
        f"{at},61837.00000000,61840.00000000,61830.00000000,{close},{volume},{at + 59_999},"
        f"30918.81500000,12,0.20000000,12367.52600000,0"
    )


def read(path: Path) -> list[Out]:
    return list(read_klines(detect(path)))


def klines(items: list[Out]) -> list[Kline]:
    return [item for item in items if isinstance(item, Kline)]


@pytest.mark.parametrize("header", [(), (HEADER,)])
def test_twelve_columns_are_exact(write: Write, header: tuple[str, ...]) -> None:
    (kline,) = klines(read(write(NAME, *header, row(0))))
    assert (kline.text("close"), kline.text("quote_volume")) == ("61837.63", "30918.815")
    assert (kline.text("taker_buy_volume"), kline.trades) == ("0.2", 12)
    assert (kline.open_ms, kline.close_ms) == (DAY, DAY + 59_999)
    assert (kline.first_id, kline.last_id) == (-1, -1)


def test_flat_windows_without_trades_are_klines_like_others(write: Write) -> None:
    flat = f"{DAY},5.0,5.0,5.0,5.0,0,{DAY + 59_999},0,0,0,0,0"
    (kline,) = klines(read(write(NAME, flat)))
    assert (kline.volume, kline.trades) == (0.0, 0)


def test_missing_minutes_stand_in_their_place(write: Write) -> None:
    items = read(write(NAME, row(5), row(0), row(1)))
    kinds = [type(item).__name__ for item in items]
    assert kinds == ["Kline", "Kline", "KlineGap", "Kline"]
    (gap,) = [i for i in items if isinstance(i, KlineGap)]
    assert (gap.open_us, gap.end_us) == ((DAY + 120_000) * 1000, (DAY + 300_000) * 1000)
    seqs = [item.seq for item in items]
    assert seqs == sorted(seqs)


def test_repeated_rows_are_used_once_and_told(write: Write) -> None:
    items = read(write(NAME, row(0), row(1), row(1), row(1), row(2)))
    assert len(klines(items)) == 3
    (said,) = [i for i in items if isinstance(i, Quarantined)]
    assert "stands 3 times" in said.reason


def test_rows_that_contradict_each_other_are_told_and_the_first_is_kept(write: Write) -> None:
    items = read(write(NAME, row(0), row(0, close="61838.00000000")))
    assert klines(items)[0].text("close") == "61837.63"
    (said,) = [i for i in items if isinstance(i, Quarantined)]
    assert "contradicts" in said.reason
    assert said.source == f"{NAME}:2"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x" + row(1)[1:], "is no time"),
        (row(1).replace("61830.0", "61839.0"), "do not fit"),
        (row(1).replace("61837.63000000", "NaN"), "not a usable decimal: `NaN`"),
        (row(1).replace(str(DAY + 60_000), str(DAY + 60_001)), "no start of a window of 1m"),
        (row(1).replace(",12,", ",a dozen,"), "no number of trades"),
        ("1,2,3", "3 columns, expected 12 or 6"),
    ],
)
def test_a_bad_row_is_named_and_the_others_go_on(write: Write, line: str, why: str) -> None:
    items = read(write(NAME, row(0), line, row(2)))
    (bad,) = [i for i in items if isinstance(i, Quarantined)]
    assert why in bad.reason
    assert (bad.source, bad.payload) == (f"{NAME}:2", line)
    assert len(klines(items)) == 2


def test_lists_of_ohlcv_are_read_as_text_not_as_floats(write: Write) -> None:
    path = write("BTC_USDT-1m.json", f"[[{DAY}, 0.1, 0.30000000000000004, 1e-05, 0.2, 7.0]]")
    (kline,) = klines(read(path))
    assert kline.text("high") == "0.30000000000000004"
    assert kline.text("low") == "0.00001"
    assert (kline.trades, kline.quote_volume) == (0, 0.0)


def test_json_that_is_none_or_no_list_is_refused(write: Write) -> None:
    with pytest.raises(FileError, match="is no JSON"):
        read(write("BTC_USDT-1m.json", "[[1,"))
    with pytest.raises(FileError, match="expected a list"):
        read(write("BTC_USDT-1m.json", '{"a":1}'))


def test_the_interval_comes_from_the_rows_where_the_name_does_not_say(write: Write) -> None:
    file = detect(write("export.csv", row(0)), symbol="BTCUSDT")
    (kline,) = read_klines(file)
    assert isinstance(kline, Kline)
    assert kline.interval.name == "1m"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kl-full12/usdm_NEARUSDT-1m-2026-06.csv.gz", {"Kline": 43200}),
        ("kl-full12/spot_BTCUSDT-1m_2025-10-29_11-01.csv.gz", {"Kline": 4320}),
        ("kl-full12/spot_ADABTC-1m-2021-11-27.csv", {"Kline": 10}),
        ("kl-gaps/2021-09_BTC_USDT-1m.json.gz", {"Kline": 43079, "KlineGap": 1}),
        ("kl-gaps/2023_MAGIC_BTC-1m.json.gz", {"Kline": 43199}),
    ],
)
def test_recorded_files_are_read_whole(data: Path, name: str, expected: dict[str, int]) -> None:
    assert Counter(type(i).__name__ for i in read(data / name)) == expected


def test_the_gap_of_september_2021_is_two_hours(data: Path) -> None:
    (gap,) = [
        i for i in read(data / "kl-gaps/2021-09_BTC_USDT-1m.json.gz") if isinstance(i, KlineGap)
    ]
    assert (gap.end_us - gap.open_us) // 60_000_000 == 120


def test_minutes_that_stand_fifty_times_are_used_once(data: Path) -> None:
    items = read(data / "kl-gaps/2019-12_BTC_RUB-1m_dups.json.gz")
    told = [i for i in items if isinstance(i, Quarantined)]
    assert len(told) == 500
    assert all("times" in i.reason for i in told)
    opens = [k.open_us for k in klines(items)]
    assert opens == sorted(set(opens))
