"""Fills and equity in the lake: what goes in comes out, to the last digit."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from connectors.arrowlog.files import log_folder
from connectors.arrowlog.journal import Journal
from connectors.parquet.config import LakeConfig
from connectors.parquet.layout import Kind, Wanted
from connectors.parquet.open_rows import logged_parts
from connectors.parquet.paper import newest_equity, read_equity, read_fills
from connectors.parquet.writer import LakeWriter
from core.market.decimals import EXACT
from core.market.errors import DecimalError, FileError
from core.market.paper import TOTAL, Equity, Fill

KEYS = ("binance:BTCUSDT", "binance:ETHUSDT")
DAY_US = 86_400_000_000
WIDE = Decimal("12345678901234567890.123456789012345678")
MINUS = WIDE.copy_negate()  # a mere minus would round


def fill(n: int, key: str = KEYS[0], instance: str = "a") -> Fill:
    return Fill(
        key=key, time_us=n * DAY_US // 4, seq=n, instance=instance, strategy="rule", interval="1m",
        side="sell" if n % 2 else "buy", price=Decimal("61837.630000001"), quantity=Decimal(n + 1),
        fee=Decimal("1E-18"), position=Decimal(-n), entry=Decimal("0.000000001"),
        realised=MINUS, cash=WIDE, signal_seq=n - 1, reason="rsi 31.2 left oversold",
    )  # fmt: skip


def equity(n: int, key: str = KEYS[0], instance: str = TOTAL) -> Equity:
    return Equity(
        key=key, time_us=n * DAY_US // 4, seq=n, instance=instance, strategy="", interval="1m",
        price=Decimal("1E+3"), position=Decimal("-0.5"), cash=WIDE, equity=Decimal(10 * n),
        realised=MINUS, unrealised=Decimal("0.1"), fees=Decimal(3), peak=WIDE, fills=n,
    )  # fmt: skip


def store(path: Path, *records: object) -> Path:
    writer = LakeWriter(LakeConfig(path=path))
    for record in records:
        writer.write(record)
    writer.flush_all()
    return path


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    fills = [fill(n, key) for key in KEYS for n in range(20)]
    rows = [equity(n, key) for key in KEYS for n in range(20)]
    store(tmp_path, *fills, *rows)
    assert list(read_fills(tmp_path)) == fills
    assert list(read_equity(tmp_path)) == rows
    assert list(read_fills(tmp_path, {"ETHUSDT"})) == fills[20:]
    assert len(list((tmp_path / "fills").rglob("part-*.parquet"))) == 2 * 20
    first = min((tmp_path / "equity").rglob("part-00000000000000000007.parquet"))
    with pq.ParquetFile(first) as file:
        assert file.read().column("drawdown").to_pylist() == [EXACT.subtract(Decimal(70), WIDE)]


def test_instances_are_chosen_and_the_newest_row_of_each_is_found(tmp_path: Path) -> None:
    rows = [equity(n, instance=name) for n, name in enumerate("abaab*ba*")]
    store(tmp_path, *rows)
    assert [row.seq for row in read_equity(tmp_path, None, {"b", TOTAL})] == [1, 4, 5, 6, 8]
    newest = newest_equity(tmp_path)
    assert {name: row.seq for (_, name), row in newest.items()} == {"a": 7, "b": 6, TOTAL: 8}
    assert set(newest.values()) <= set(rows)


def test_the_newest_row_of_a_file_is_its_last(tmp_path: Path) -> None:
    rows = [replace(equity(n, instance=name), time_us=n) for n, name in enumerate("aabba")]
    store(tmp_path, *rows)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert {row.seq for row in newest_equity(tmp_path).values()} == {3, 4}


def test_a_row_that_moves_from_a_log_into_a_file_while_we_read_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(log_folder(tmp_path, "lake-00"), service="lake")
    writer = LakeWriter(LakeConfig(path=tmp_path), journal)
    writer.begin("aa")
    for n in range(3):
        writer.write(fill(n))
    writer.snapshot()
    held = logged_parts(tmp_path, Wanted(Kind.FILLS))
    writer.flush_all()
    monkeypatch.setattr("connectors.parquet.paper.logged_parts", lambda *_: held)
    assert [row.seq for row in read_fills(tmp_path, pending=True)] == [0, 1, 2]
    journal.close()


def test_rows_that_are_in_no_file_yet_are_read_once(tmp_path: Path) -> None:
    journal = Journal(log_folder(tmp_path, "lake-00"), service="lake")
    writer = LakeWriter(LakeConfig(path=tmp_path), journal)
    writer.begin("aa")
    for n in range(9):
        writer.write(fill(n))
        writer.write(equity(n))
    writer.snapshot()
    files = [row.seq for row in read_fills(tmp_path)]
    assert 0 < len(files) < 9
    assert [row.seq for row in read_fills(tmp_path, pending=True)] == list(range(9))
    assert [row.seq for row in read_equity(tmp_path, pending=True)] == list(range(9))
    assert newest_equity(tmp_path, pending=True)[KEYS[0], TOTAL].seq == 8
    journal.close()


def test_what_cannot_be_held_exactly_is_refused(tmp_path: Path) -> None:
    for cash in (Decimal("1E-19"), Decimal(10**20)):
        with pytest.raises(DecimalError):
            store(tmp_path, replace(fill(1), cash=cash))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    store(tmp_path, fill(1))
    (path,) = (tmp_path / "fills").rglob("*.parquet")
    with pq.ParquetFile(path) as file:
        table = file.read().drop_columns(["fee"])
    pq.write_table(table, path)
    with pytest.raises(FileError, match="not what the lake stores as fills"):
        list(read_fills(tmp_path))
    with pytest.raises(FileError, match="no such file or folder"):
        list(read_fills(tmp_path / "nowhere"))
