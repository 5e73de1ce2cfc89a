"""What a file is, from its name and first line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.archive.names import Kind, detect
from core.market.errors import FileError
from core.market.intervals import DAY_US

TRADE = "1,61837.63,0.02,1236.75,1735689600010866,True,True"
KLINE = "1735689600000,1,2,0.5,1.5,10,1735689659999,15,3,4,6,0"
JAN_31 = 1_738_281_600_000_000
Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "kind", "key", "interval", "days"),
    [
        ("BTCUSDT-trades-2025-01-31.zip", Kind.TRADES, "binance:BTCUSDT", None, 1),
        ("BTCUSDT-trades-2025-01.csv", Kind.TRADES, "binance:BTCUSDT", None, 31),
        ("1000BTC-aggTrades-2025-01-31.csv.gz", Kind.AGGREGATES, "binance:1000BTC", None, 1),
        ("ETHBTC-1m-2025-01-31.csv", Kind.KLINES, "binance:ETHBTC", "1m", 1),
        ("ETHBTC-1mo-2025-01.csv", Kind.KLINES, "binance:ETHBTC", "1M", 31),
        ("usdm_NEARUSDT-1h-2025-01.csv", Kind.KLINES, "binance-usdm:NEARUSDT", "1h", 31),
        ("2021-09_BTC_USDT-1m.json", Kind.KLINES, "binance:BTCUSDT", "1m", None),
    ],
)  # fmt: skip
def test_binances_names_say_everything(
    write: Write, name: str, kind: Kind, key: str, interval: str | None, days: int | None
) -> None:
    found = detect(write(name, KLINE if kind is Kind.KLINES else TRADE))
    assert (found.kind, found.key) == (kind, key)
    assert (found.interval.name if found.interval else None) == interval
    length = None if found.period is None else (found.period[1] - found.period[0]) // DAY_US
    assert length == days


def test_a_day_is_half_open(write: Write) -> None:
    assert detect(write("BTCUSDT-trades-2025-01-31.csv", TRADE)).period == (JAN_31, JAN_31 + DAY_US)


def test_a_folder_of_futures_and_an_option_say_the_market(tmp_path: Path) -> None:
    folder = tmp_path / "futures" / "um" / "daily"
    folder.mkdir(parents=True)
    path = folder / "BTCUSDT-trades-2025-01-31.csv"
    path.write_text(TRADE)
    assert detect(path).key == "binance-usdm:BTCUSDT"
    assert detect(path, market="spot", symbol="ethusdt").key == "binance:ETHUSDT"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (TRADE, Kind.TRADES),
        ("1,61837.63,0.02,1236.75,1735689600010,true", Kind.TRADES),
        ("1,61837.63,0.02,5,6,1735689600010,true", Kind.AGGREGATES),
        ("1,61837.63,0.02,5,6,1735689600010,True,True", Kind.AGGREGATES),
        (KLINE, Kind.KLINES),
    ],
)
def test_with_a_symbol_the_columns_say_the_kind(write: Write, line: str, kind: Kind) -> None:
    assert detect(write("export.csv", line), symbol="BTCUSDT").kind is kind


@pytest.mark.parametrize(
    "line",
    ['{"e":"trade"}', '1723161253937085768 {"a":1}', '1633998512.06: {"a":1}', "wss://a <-> 1.5"],
)
def test_captures_are_told_by_their_first_line(write: Write, line: str) -> None:
    assert detect(write("anything.ws", line)).kind is Kind.FRAMES


@pytest.mark.parametrize(
    ("name", "line", "why"),
    [
        ("notes.csv", TRADE, "use --symbol"),
        ("BTCUSDT-7m-2025-01.csv", KLINE, "unknown interval"),
        ("picture.png", "xyz", "accepted are"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_way_out(
    write: Write, name: str, line: str, why: str
) -> None:
    with pytest.raises(FileError, match=why) as caught:
        detect(write(name, line))
    assert name in str(caught.value)


def test_a_missing_file_and_odd_columns_are_named(write: Write, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        detect(tmp_path / "nothing.csv")
    with pytest.raises(FileError, match="3 columns"):
        detect(write("three.csv", "1,2,3"), symbol="BTCUSDT")
