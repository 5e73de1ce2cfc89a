"""Files of trades: headers or none, ms and us, packed or not, and all that may be wrong in them."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.archive.names import detect
from connectors.archive.opening import check_sum
from connectors.archive.source import ArchiveSource, items_of
from connectors.archive.trades import read_trades
from core.market.errors import FileError
from core.market.events import Quarantined, Tick
from core.market.trades import Trades

Write = Callable[..., Path]
NAME = "BTCUSDT-trades-2025-01-31.csv"
AGG = "BTCUSDT-aggTrades-2025-01-31.csv"
DAY = 1_738_281_600_000


def row(n: int, price: str = "61837.63000000", time: int | None = None) -> str:
    at = (DAY + n) * 1000 if time is None else time
    return f"{n},{price},0.02000000,1236.75260000,{at},{n % 2 == 0},True"


def read(path: Path) -> tuple[list[tuple[int, int, str, str, bool]], list[Quarantined]]:
    items = list(read_trades(detect(path)))
    rows = [r for item in items if isinstance(item, Trades) for r in item.rows()]
    return rows, [item for item in items if isinstance(item, Quarantined)]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".zip"])
@pytest.mark.parametrize("header", [(), ("id,price,qty,quote_qty,time,is_buyer_maker",)])
def test_rows_are_exact_however_packed(write: Write, ending: str, header: tuple[str, ...]) -> None:
    name = NAME.removesuffix(".csv") + ending
    rows, bad = read(write(name, *header, row(7), row(8, price="100")))
    assert rows == [
        (7, (DAY + 7) * 1000, "61837.63", "0.02", False),
        (8, (DAY + 8) * 1000, "100", "0.02", True),
    ]
    assert not bad


def test_milliseconds_and_microseconds_are_told_per_row(write: Write) -> None:
    rows, _ = read(write(NAME, row(1, time=DAY), row(2, time=DAY * 1000 + 5)))
    assert [r[1] for r in rows] == [DAY * 1000, DAY * 1000 + 5]


def test_exponents_are_exact_too_on_either_way(write: Write) -> None:
    odd = row(2, price="1.5e-05")
    assert read(write(NAME, odd))[0][0][2] == "0.000015"
    assert read(write(NAME, "bad", odd))[0][0][2] == "0.000015"


def test_futures_rows_have_six_columns(write: Write) -> None:
    path = write("usdm_BTCUSDT-trades-2025-01-31.csv", f"1,5.5,2,11,{DAY},true")
    assert read(path)[0] == [(1, DAY * 1000, "5.5", "2", True)]


def test_aggregates_keep_the_ids_they_stand_for_even_invalid_ones(write: Write) -> None:
    path = write(AGG, f"1,5.50,2.0,10,14,{DAY},True,True", f"2,0.0,0.0,-1,-1,{DAY},False,True")
    (batch,) = read_trades(detect(path))
    assert isinstance(batch, Trades)
    assert batch.first_ids.tolist() == [10, -1]
    assert batch.last_ids.tolist() == [14, -1]
    assert batch.is_trade.tolist() == [True, False]


def test_unsorted_rows_are_sorted_and_repeated_ones_kept_for_the_flow_to_count(
    write: Write,
) -> None:
    rows, _ = read(write(NAME, row(3), row(1), row(2), row(2)))
    assert [r[0] for r in rows] == [1, 2, 2, 3]


def test_a_trade_of_price_zero_keeps_its_id(write: Write) -> None:
    (batch,) = read_trades(detect(write(NAME, row(1), row(2, price="0.00000000"), row(3))))
    assert isinstance(batch, Trades)
    assert batch.id.tolist() == [1, 2, 3]
    assert batch.is_trade.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("2,NaN,0.02,1,1738281600002000,True,True", "not a usable decimal: `NaN`"),
        ("2,-5.0,0.02,1,1738281600002000,True,True", "not a usable decimal: `-5.0`"),
        ("2,5.0,,1,1738281600002000,True,True", "not a usable decimal"),
        ("two,5.0,0.02,1,1738281600002000,True,True", "`two` is no id or time"),
        ("2,5.0,0.02,1,soon,True,True", "`soon` is no id or time"),
        ("2,5.0,0.02,1,1738281600002000,maybe,True", "is_buyer_maker is `maybe`"),
        ("2,5.0", "2 columns, expected 6 to 7"),
        ('{"code":-1121,"msg":"Invalid symbol."}', "columns, expected 6 to 7"),
        ("2,0.0000000001,0.02,1,1738281600002000,True,True", "more than 9 decimal places"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_value_and_the_others_go_on(
    write: Write, line: str, why: str
) -> None:
    rows, (bad,) = read(write(NAME, row(1), line, row(3)))
    assert [r[0] for r in rows] == [1, 3]
    assert why in bad.reason
    assert (bad.source, bad.payload) == (f"{NAME}:2", line)


def test_a_gzip_file_that_is_cut_off_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.gz"
    whole = gzip.compress("".join(f"{row(n)}\n" for n in range(3000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    rows, (bad,) = read(path)
    assert [r[0] for r in rows] == list(range(len(rows)))
    assert len(rows) > 500
    assert "cut off" in bad.reason
    assert bad.source == f"{NAME}.gz:{len(rows) + 1}"


def test_a_zip_whose_own_checksum_is_wrong_is_refused(write: Write) -> None:
    path = write("BTCUSDT-trades-2025-01-31.zip", row(1), row(2))
    raw = bytearray(path.read_bytes())
    at = raw.find(b"61837")
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(FileError, match="no whole zip file"):
        read(path)


def test_a_checksum_beside_the_file_is_checked(write: Write) -> None:
    path = write(NAME, row(1))
    assert not check_sum(path)
    beside = path.with_name(f"{NAME}.CHECKSUM")
    beside.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {NAME}\n")
    assert check_sum(path)
    beside.write_text(f"{'0' * 64}  {NAME}\n")
    with pytest.raises(FileError, match="download it again"):
        ArchiveSource([detect(path)])
    beside.write_text(f"{'0' * 64}  other.csv\n")
    with pytest.raises(FileError, match=f"is not for {NAME}"):
        check_sum(path)


@pytest.mark.parametrize("lines", [(), ("id,price,qty,quote_qty,time,is_buyer_maker",)])
def test_a_file_without_rows_is_fine(write: Write, lines: tuple[str, ...]) -> None:
    path = write(NAME, *lines)
    file = detect(path) if lines else replace(detect(write(AGG, row(1))), path=path)
    assert [i for i in items_of([file]) if not isinstance(i, Tick)] == []


def test_an_official_file_is_witnessed_at_its_start_and_closed_at_its_end(write: Write) -> None:
    items = list(items_of([detect(write(NAME, row(1)))]))
    first, last = items[0], items[-1]
    assert isinstance(first, Tick)
    assert isinstance(last, Tick)
    assert first.time_us == DAY * 1000
    assert last.time_us == (DAY + 86_400_000) * 1000 + 1_000_000


def test_a_partition_resumes_where_its_snapshot_stood(write: Write) -> None:
    files = [detect(write(NAME, *(row(n) for n in range(10))))]
    source = ArchiveSource(files)
    part = source.build_part("s", "binance:BTCUSDT", None)
    first = part.next_batch()
    again = source.build_part("s", "binance:BTCUSDT", part.snapshot())
    assert len(first) == 2  # the tick and the batch
    assert [type(i) for _, i in again.next_batch()] == [Tick]


def test_two_kinds_of_rows_of_one_instrument_are_refused(write: Write) -> None:
    files = [detect(write(NAME, row(1))), detect(write(AGG, f"1,5.5,2,10,14,{DAY},True,True"))]
    with pytest.raises(FileError, match="one kind at a time"):
        ArchiveSource(files)
