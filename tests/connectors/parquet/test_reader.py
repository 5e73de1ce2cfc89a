from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.parquet.config import LakeConfig
from connectors.parquet.encoding import encode
from connectors.parquet.layout import part_name
from connectors.parquet.reader import (
    Position,
    Range,
    parts_since,
    read_klines,
    read_parts,
    read_trades,
    trade_parts,
)
from connectors.parquet.writer import LakeWriter
from core.market import schemas
from core.market.errors import FileError
from core.market.intervals import INTERVALS
from core.market.kline import MEASURES, Kline
from core.market.trades import Trades

MakeTrades = Callable[..., Trades]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def store(path: Path, *records: object, **changes: Any) -> Path:  # noqa: ANN401 - any field
    writer = LakeWriter(LakeConfig(path=path, **changes))
    for record in records:
        writer.write(record)
    writer.flush_all()
    return path


def rows(path: Path, **wanted: Any) -> list[tuple[int, int, str, str, bool]]:  # noqa: ANN401 - any argument
    return [row for _, trades in read_trades(path, **wanted) for row in trades.rows()]


def ids(path: Path, **wanted: Any) -> list[int]:  # noqa: ANN401 - any argument
    return [row[0] for row in rows(path, **wanted)]


def at(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1e6, UTC)


def test_trades_come_back_as_they_went_in(tmp_path: Path, recorded: Trades) -> None:
    store(tmp_path, recorded, rotate_rows=3_000)

    batches = list(read_trades(tmp_path))

    assert {key for key, _ in batches} == {"binance:BTCUSDT"}
    for name in ("id", "time_us", "price", "quantity", "buyer_is_maker"):
        column = np.concatenate([getattr(b, name) for _, b in batches])
        assert column.dtype == getattr(recorded, name).dtype
        assert np.array_equal(column, getattr(recorded, name))


def test_each_file_is_read_at_its_own_scale(tmp_path: Path, trades: MakeTrades) -> None:
    coarse = trades([(1, 15, 2)], scales=(1, 0))
    fine = trades([(2, 1525, 1)], first=101, scales=(3, 9))
    store(tmp_path, coarse, fine)

    batches = [b for _, b in read_trades(tmp_path)]

    assert [(b.price_scale, b.quantity_scale) for b in batches] == [(1, 0), (3, 9)]
    assert [b.rows()[0][2:4] for b in batches] == [("1.5", "2"), ("1.525", "0.000000001")]


def test_aggregates_and_repaired_rows_come_back_as_such(tmp_path: Path, trades: MakeTrades) -> None:
    live = trades([(1, 1, 1), (2, 1, 1)], aggregate=True)
    repaired = trades([(3, 1, 1)], first=102, aggregate=True, repaired=True)
    store(tmp_path, live, repaired, trades([(4, 1, 1)], first=103, aggregate=True))

    batches = [b for _, b in read_trades(tmp_path)]

    assert [(b.id.tolist(), b.repaired) for b in batches] == [
        ([100, 101], False),
        ([102], True),
        ([103], False),
    ]
    assert batches[0].first_ids.tolist() == [200, 202]
    assert batches[0].last_ids.tolist() == [201, 203]


def test_batches_have_at_most_65536_rows(tmp_path: Path, trades: MakeTrades) -> None:
    store(tmp_path, trades([(n, 1, 1) for n in range(150_000)]))

    assert [len(b) for _, b in read_trades(tmp_path)] == [65_536, 65_536, 18_928]


def test_symbols_days_and_times_are_pruned(tmp_path: Path, trades: MakeTrades) -> None:
    times = [(t, 1, 1) for t in (0, HOUR_US, DAY_US - 1, DAY_US, 2 * DAY_US)]
    store(tmp_path, trades(times), trades(times, key="binance:ETHUSDT", first=7))

    assert ids(tmp_path) == [100, 101, 102, 103, 104, 7, 8, 9, 10, 11]
    assert ids(tmp_path, symbols=["ETHUSDT"]) == [7, 8, 9, 10, 11]
    assert ids(tmp_path, symbols=["binance:BTCUSDT"], start=at(DAY_US)) == [103, 104]
    assert ids(tmp_path, symbols=["BTCUSDT"], start=at(1), end=at(DAY_US)) == [101, 102]
    assert ids(tmp_path, symbols=["SOLUSDT"]) == []


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no zone"):
        ids(tmp_path, start=datetime(2024, 8, 8))  # noqa: DTZ001 - that is the point


def test_reading_goes_on_from_any_position(tmp_path: Path, trades: MakeTrades) -> None:
    store(tmp_path, trades([(n * HOUR_US * 5, 1, 1) for n in range(12)]))
    (parts,) = trade_parts(tmp_path, None, Range()).values()
    everything = [(part, int(t.id[0])) for part, t in read_parts(parts)]

    for (part, last), _ in pairwise(everything):
        since = Position(part.date, last + 1)
        rest = [int(t.id[0]) for _, t in read_parts(parts, since=since)]
        assert rest == list(range(last + 1, 112))
    assert len(parts_since(parts, Position("1970-01-02", 107))) == 5


def test_rows_that_a_crash_left_twice_come_once(tmp_path: Path, trades: MakeTrades) -> None:
    # Killed between writing a file and removing the ones that it replaces.
    store(tmp_path, trades([(n, 1, 1) for n in range(6)]))
    (path,) = tmp_path.rglob("*.parquet")
    store(tmp_path / "other", trades([(n, 1, 1) for n in range(2, 5)], first=102))
    (inner,) = (tmp_path / "other").rglob("*.parquet")
    inner.rename(path.with_name(inner.name))

    assert ids(tmp_path) == [100, 101, 102, 103, 104, 105]


def test_a_file_without_rows_is_fine(tmp_path: Path, trades: MakeTrades) -> None:
    store(tmp_path, trades([(1, 1, 1)]))
    (path,) = tmp_path.rglob("*.parquet")
    empty = schemas.trades(2, 5).empty_table()
    path.with_name(part_name(99)).write_bytes(encode(empty, 3))

    assert ids(tmp_path) == [100]


@pytest.mark.parametrize("cut", [0, 10, 200, -9])
def test_a_torn_file_is_named(tmp_path: Path, trades: MakeTrades, cut: int) -> None:
    store(tmp_path, trades([(n, n, n) for n in range(500)]))
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(FileError, match=rf"{path.name}: not a readable Parquet file"):
        ids(tmp_path)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 5_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_changes_nothing(
    trades: MakeTrades, place: int, bit: int
) -> None:
    with TemporaryDirectory() as name:
        path = store(Path(name), trades([(n, n * n, n % 7) for n in range(500)]))
        expected = rows(path)
        (file,) = path.rglob("*.parquet")
        data = bytearray(file.read_bytes())
        pages = pq.ParquetFile(file).metadata.row_group(0)
        end = max(
            pages.column(n).data_page_offset + pages.column(n).total_compressed_size
            for n in range(pages.num_columns)
        )
        data[4 + place % (end - 4)] ^= 1 << bit
        file.write_bytes(data)

        with suppress(FileError):
            assert rows(path) == expected


def _foreign(tmp_path: Path, good: Trades, column: str, array: pa.Array) -> Path:
    store(tmp_path, good)
    (path,) = tmp_path.rglob("*.parquet")
    table = pq.ParquetFile(path).read()
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, array), path)
    return path


@pytest.mark.parametrize(
    ("column", "array", "why"),
    [
        ("price", pa.array([1.5]), r"column `price` is double, expected decimal128\(18\)"),
        ("price", pa.array([None], pa.decimal128(18, 2)), "column `price` lacks values"),
        ("quantity", pa.array([1], pa.decimal128(38, 2)), "expected decimal128"),
        ("time", pa.array([1], pa.timestamp("us")), "expected timestamp"),
        ("id", pa.array(["7"]), "column `id` is string, expected int64"),
    ],
)
def test_a_foreign_file_is_named_with_what_is_wrong(
    tmp_path: Path, trades: MakeTrades, column: str, array: pa.Array, why: str
) -> None:
    path = _foreign(tmp_path, trades([(1, 1, 1)]), column, array)

    with pytest.raises(FileError, match=why) as error:
        ids(tmp_path)

    assert str(path) in str(error.value)


def test_ids_that_do_not_rise_are_refused(tmp_path: Path, trades: MakeTrades) -> None:
    batch = trades([(1, 1, 1), (2, 1, 1)])
    batch.id[:] = [5, 5]
    store(tmp_path, batch)

    with pytest.raises(FileError, match="trade ids do not rise"):
        ids(tmp_path)


UNITS = st.integers(0, 10**14)
KLINES = st.builds(
    Kline,
    key=st.just("binance:BTCUSDT"),
    interval=st.just(INTERVALS["5m"]),
    open_us=st.just(0),
    close_us=st.just(299_999_999),
    price_scale=st.integers(0, 9),
    quantity_scale=st.integers(0, 9),
    **{f"{name}_units": UNITS for name in MEASURES},
    trades=st.integers(0, 10**6),
    first_id=st.integers(-1, 10**12),
    last_id=st.integers(-1, 10**12),
    complete=st.booleans(),
    revision=st.integers(0, 3),
    seq=st.integers(0, 2**60),
)


@settings(max_examples=40, deadline=None)
@given(klines=st.lists(KLINES, min_size=1, max_size=5))
def test_klines_come_back_with_the_same_numbers(klines: list[Kline]) -> None:
    with TemporaryDirectory() as name:
        read = list(read_klines(store(Path(name), *klines)))

    assert len(read) == len(klines)
    for one, other in zip(klines, read, strict=True):
        assert [one.text(m) for m in MEASURES] == [other.text(m) for m in MEASURES]
        for field in ("key", "interval", "open_us", "close_us", "trades", "first_id", "last_id",
                      "status", "complete", "revision", "seq"):  # fmt: skip
            assert getattr(one, field) == getattr(other, field)
        assert other.price_scale <= one.price_scale + one.quantity_scale


def test_klines_are_pruned_by_interval_and_time(tmp_path: Path) -> None:
    def kline(name: str, open_us: int) -> Kline:
        zeros: dict[str, Any] = {f"{m}_units": 0 for m in MEASURES}
        return Kline(
            "binance:BTCUSDT", INTERVALS[name], open_us, open_us + 1, 0, 0,
            trades=0, first_id=-1, last_id=-1, seq=open_us, **zeros,
        )  # fmt: skip

    store(tmp_path, *(kline(n, h * HOUR_US) for h in range(50) for n in ("1h", "1m")))

    found = list(read_klines(tmp_path, None, ["1h"], at(HOUR_US), at(26 * HOUR_US)))

    assert {k.interval.name for k in found} == {"1h"}
    assert [k.open_us // HOUR_US for k in found] == list(range(1, 26))
    assert len(list(read_klines(tmp_path))) == 100
