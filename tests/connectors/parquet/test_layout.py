from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.parquet.layout import (
    Kind,
    Part,
    Slot,
    Wanted,
    escape,
    find,
    folder,
    part_name,
    part_of,
)
from core.market.errors import FileError, SymbolError
from core.market.symbols import Instrument


def _is_symbol(text: str) -> bool:
    try:
        return bool(Instrument.from_key(f"binance:{text}"))
    except SymbolError:
        return False


SYMBOLS = st.text(min_size=2, max_size=40).filter(_is_symbol)


@given(
    symbol=SYMBOLS | st.sampled_from(["..", "1000币安USDT", "A%2FB", "A'B", "a&b;", "~x", "x" * 40])
)
def test_any_symbol_has_a_folder_of_its_own_and_is_read_back_from_it(symbol: str) -> None:
    slot = Slot(Kind.TRADES, f"binance:{symbol}")
    path = folder(Path("/lake"), slot, 0) / part_name(7)

    assert path.relative_to("/lake").parts[2] == f"symbol={escape(symbol)}"
    assert len(path.parts) == 7
    assert part_of(path) == Part(slot, "1970-01-01", 7, path)


def test_names_are_readable_and_sort_as_ids_do() -> None:
    slot = Slot(Kind.KLINES, "binance:BTCUSDT", "1m")
    place = folder(Path("lake"), slot, 1_723_161_253_000_000)

    assert str(place) == ("lake/klines/exchange=binance/symbol=BTCUSDT/interval=1m/date=2024-08-08")
    names = [part_name(n) for n in (9, 10, 99, 3_735_683_259, 2**63 - 1)]
    assert names == sorted(names)
    assert names[3] == "part-00000000003735683259.parquet"


def _touch(root: Path, kind: Kind, key: str, day: int, first: int) -> Path:
    interval = "1m" if kind is Kind.KLINES else ""
    path = folder(root, Slot(kind, key, interval), day * 86_400_000_000) / part_name(first)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    for key in ("binance:ETHUSDT", "binance:BTCUSDT", "binance-usdm:BTCUSDT"):
        for day in (1, 0):
            _touch(tmp_path, Kind.TRADES, key, day, 1000 * day + 7)
            _touch(tmp_path, Kind.TRADES, key, day, 1000 * day)
    _touch(tmp_path, Kind.KLINES, "binance:BTCUSDT", 0, 5)
    return tmp_path


def test_parts_are_found_by_symbol_key_and_day_in_the_order_of_their_rows(lake: Path) -> None:
    everything = find(lake, Wanted(Kind.TRADES))
    found = find(lake, Wanted(Kind.TRADES, ["BTCUSDT"], "1970-01-02"))
    by_key = find(lake, Wanted(Kind.TRADES, ["binance:BTCUSDT"], "", "1970-01-01"))

    assert len(everything) == 12
    assert [(p.slot.key, p.first) for p in found] == [
        ("binance-usdm:BTCUSDT", 1000), ("binance-usdm:BTCUSDT", 1007),
        ("binance:BTCUSDT", 1000), ("binance:BTCUSDT", 1007),
    ]  # fmt: skip
    assert [(p.slot.key, p.first) for p in by_key] == [
        ("binance:BTCUSDT", 0),
        ("binance:BTCUSDT", 7),
    ]


def test_any_folder_of_the_lake_or_one_file_will_do(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted(Kind.TRADES)
    one = find(lake, wanted)[-1].path

    assert len(find(lake / "trades", wanted)) == 12
    assert len(find(lake / "trades" / "exchange=binance", wanted)) == 8
    assert [p.path for p in find(one, wanted)] == [one]
    monkeypatch.chdir(one.parent)
    assert [p.first for p in find(Path(), wanted)] == [1000, 1007]
    assert find(lake / "klines", wanted) == []


def test_hidden_and_other_files_are_ignored_and_foreign_parquet_is_named(lake: Path) -> None:
    place = find(lake, Wanted(Kind.TRADES))[0].path.parent
    (place / f".{part_name(3)}.tmp").touch()
    (place / "_SUCCESS.parquet").touch()
    (place / "notes.txt").touch()
    assert len(find(lake, Wanted(Kind.TRADES))) == 12

    (lake / "mine.parquet").touch()
    with pytest.raises(FileError, match=r"mine\.parquet: not a file of a lake"):
        find(lake, Wanted(Kind.TRADES))


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere: no such file or folder"):
        find(tmp_path / "nowhere", Wanted(Kind.TRADES))
