from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.parquet.config import LakeConfig
from connectors.parquet.writer import LakeWriter
from core.market import schemas
from core.market.events import ExchangeKline, Frame, Gap, Quarantined, Tick
from core.market.intervals import INTERVALS
from core.market.kline import Kline, Status
from core.market.signal import Side, Signal
from core.market.trades import Trades, concat
from telemetry import metrics

MakeTrades = Callable[..., Trades]
Files = Callable[[Path], dict[str, bytes]]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
KEY = "binance:BTCUSDT"
FOLDER = "trades/exchange=binance/symbol=BTCUSDT"


def config(path: Path, **changes: Any) -> LakeConfig:  # noqa: ANN401 - any of its fields
    return LakeConfig(path=path, **changes)


def write(path: Path, records: list[Any], **changes: Any) -> LakeWriter:  # noqa: ANN401 - as above
    writer = LakeWriter(config(path, **changes))
    for record in records:
        writer.write(record)
    writer.flush_all()
    return writer


def ids(root: Path) -> list[list[int]]:
    return [
        pq.ParquetFile(p).read(["id"]).column("id").to_pylist()
        for p in sorted(root.rglob("*.parquet"), key=lambda p: (p.parent, p.name))
    ]


def kline(open_us: int, **changes: Any) -> Kline:  # noqa: ANN401 - any of its fields
    fields: dict[str, Any] = {
        "key": KEY, "interval": INTERVALS["1m"],
        "open_us": open_us, "close_us": open_us + 59_999_999,
        "price_scale": 2, "quantity_scale": 5,
        "open_units": 6183763, "high_units": 6183764, "low_units": 6183000, "close_units": 6183100,
        "volume_units": 154698, "quote_volume_units": 956639000000,
        "trades": 12, "taker_buy_volume_units": 7, "taker_buy_quote_volume_units": 43286341,
        "first_id": 3, "last_id": 14, "seq": open_us,
    }  # fmt: skip
    return Kline(**(fields | changes))


def test_rows_are_stored_as_the_schema_says(tmp_path: Path, trades: MakeTrades) -> None:
    write(tmp_path, [trades([(5_000_000, 6183763, 2000), (5_000_001, 6183700, 154698)])])

    (path,) = tmp_path.rglob("*.parquet")
    assert path == tmp_path / FOLDER / "date=1970-01-01" / f"part-{100:020d}.parquet"
    table = pq.ParquetFile(path).read()
    assert table.schema.equals(schemas.trades(2, 5), check_metadata=True)
    assert table.column("price").to_pylist() == [Decimal("61837.63"), Decimal("61837.00")]
    assert table.column("quantity").to_pylist() == [Decimal("0.02"), Decimal("1.54698")]
    assert table.column("repaired").to_pylist() == [False, False]
    physical = pq.ParquetFile(path).schema
    assert {physical.column(n).physical_type for n in range(4)} == {"INT64"}


def test_a_full_file_is_closed_at_once_and_the_next_row_begins_the_next(
    tmp_path: Path, trades: MakeTrades
) -> None:
    writer = LakeWriter(config(tmp_path, rotate_rows=3))

    writer.write(trades([(n, 1, 1) for n in range(7)]))

    assert ids(tmp_path) == [[100, 101, 102], [103, 104, 105]]
    assert writer.pending_rows == 1


def test_a_file_never_crosses_its_span_of_data_time_nor_a_day(
    tmp_path: Path, trades: MakeTrades
) -> None:
    times = [0, HOUR_US - 1, HOUR_US, DAY_US - 1, DAY_US, DAY_US + 5]
    write(tmp_path, [trades([(t, 1, 1) for t in times])])
    assert ids(tmp_path) == [[100, 101], [102], [103], [104, 105]]
    assert len(list((tmp_path / FOLDER).iterdir())) == 2

    daily = tmp_path / "daily"
    write(daily, [trades([(t, 1, 1) for t in times])], rotate_seconds=86_400)
    assert ids(daily) == [[100, 101, 102, 103], [104, 105]]


def test_a_finer_scale_begins_a_file_and_old_files_keep_theirs(
    tmp_path: Path, trades: MakeTrades
) -> None:
    coarse = trades([(1, 15, 2)], scales=(1, 0))
    fine = trades([(2, 1525, 2)], first=101, scales=(3, 0))
    coarse_again = trades([(3, 16, 3)], first=102, scales=(1, 0))
    after = trades([(HOUR_US, 17, 3)], first=103, scales=(1, 0))

    write(tmp_path, [coarse, fine, coarse_again, after])

    tables = [pq.ParquetFile(p).read() for p in sorted(tmp_path.rglob("*.parquet"))]
    scales = [t.schema.field("price").type.scale for t in tables]
    prices = [t.column("price").to_pylist() for t in tables]
    assert scales == [1, 3, 3]  # a later file begins at the finest scale seen
    assert prices == [[Decimal("1.5")], [Decimal("1.525"), Decimal("1.6")], [Decimal("1.7")]]


def test_a_row_too_wide_for_the_files_scale_begins_a_file_at_its_own(
    tmp_path: Path, trades: MakeTrades
) -> None:
    fine = trades([(1, 1, 1)], scales=(8, 8))
    wide = trades([(2, 10**18 - 1, 3), (3, 5, 4)], first=101, scales=(0, 0))

    write(tmp_path, [fine, wide])

    tables = [pq.ParquetFile(p).read() for p in sorted(tmp_path.rglob("*.parquet"))]
    assert [t.column("price").to_pylist() for t in tables] == [
        [Decimal("1E-8")],
        [Decimal(10**18 - 1), Decimal(5)],
    ]


def test_aggregates_keep_the_ids_they_stand_for(tmp_path: Path, trades: MakeTrades) -> None:
    write(tmp_path, [trades([(1, 1, 1)], aggregate=True)])

    (path,) = tmp_path.rglob("*.parquet")
    table = pq.ParquetFile(path).read()
    assert table.column("first_id").to_pylist() == [200]
    assert table.column("last_id").to_pylist() == [201]


ROWS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 7, HOUR_US // 2, HOUR_US, 5 * HOUR_US]),
        st.integers(0, 10**9 - 1),
        st.integers(0, 10**9 - 1),
        st.sampled_from([(2, 3)] * 6 + [(1, 3), (2, 5), (4, 9)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


def _trades_of(rows: list[tuple[int, int, int, tuple[int, int], bool]], make: Any) -> list[Trades]:  # noqa: ANN401 - the fixture
    # One row each: what a row is, scales included, must not depend on how rows are batched.
    singles, time_us = [], 0
    for n, (step, price, quantity, scales, repaired) in enumerate(rows):
        time_us += step
        row = [(time_us, price, quantity)]
        singles.append(make(row, first=100 + n, scales=scales, repaired=repaired))
    return singles


def _batched(singles: list[Trades], cuts: set[int]) -> list[Trades]:
    batches: list[list[Trades]] = [[]]
    for n, single in enumerate(singles):
        last = batches[-1][-1] if batches[-1] else single
        same = (last.price_scale, last.quantity_scale, last.repaired) == (
            single.price_scale, single.quantity_scale, single.repaired,
        )  # fmt: skip
        if n in cuts or not same:
            batches.append([])
        batches[-1].append(single)
    return [concat(batch) for batch in batches if batch]


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, cuts=st.sets(st.integers(0, 40)), rotate_rows=st.integers(1, 12))
def test_the_same_rows_give_the_same_files_however_they_are_batched(
    trades: MakeTrades,
    files: Files,
    rows: list[tuple[int, int, int, tuple[int, int], bool]],
    cuts: set[int],
    rotate_rows: int,
) -> None:
    singles = _trades_of(rows, trades)
    with TemporaryDirectory() as folder:
        one, other = Path(folder, "one"), Path(folder, "other")

        write(one, singles, rotate_rows=rotate_rows)
        write(other, _batched(singles, cuts), rotate_rows=rotate_rows)

        assert files(one) == files(other)
        assert [n for file in ids(one) for n in file] == [100 + n for n in range(len(rows))]


def test_large_batches_give_the_same_bytes_too(
    tmp_path: Path, recorded: Trades, files: Files
) -> None:
    rng = np.random.default_rng(1)
    cuts = [0, *sorted(rng.integers(0, len(recorded), 50).tolist()), len(recorded)]
    pieces = [recorded.take(slice(a, b)) for a, b in pairwise(cuts)]

    write(tmp_path / "one", [recorded])
    write(tmp_path / "other", pieces)

    assert files(tmp_path / "one") == files(tmp_path / "other")
    assert len(files(tmp_path / "one")) == 2  # the recording crosses midnight


def test_a_recorded_trade_takes_less_than_five_bytes(tmp_path: Path, recorded: Trades) -> None:
    write(tmp_path, [recorded])

    size = sum(p.stat().st_size for p in tmp_path.rglob("*.parquet"))
    assert size / len(recorded) < 5.0


def test_a_million_generated_trades_take_less_than_five_bytes_each(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(7), 1_000_000
    trades = Trades(
        KEY, 2, 5,
        id=np.arange(n) + 3_735_683_259,
        # Most trades share the millisecond of the one before; prices move by few ticks.
        time_us=np.cumsum(rng.integers(0, 30, n) * (rng.random(n) > 0.64)) * 1000,
        price=6_183_763 + np.cumsum(rng.integers(-20, 21, n) * (rng.random(n) > 0.8)),
        quantity=np.exp(rng.normal(5.5, 2.0, n)).astype(np.int64) + 1,
        buyer_is_maker=np.repeat(rng.random(n // 4) > 0.5, 4),
    )  # fmt: skip

    write(tmp_path, [trades], rotate_seconds=86_400)

    size = sum(p.stat().st_size for p in tmp_path.rglob("*.parquet"))
    assert size / n < 5.0


def test_only_final_klines_are_stored_and_a_revision_is_another_row(tmp_path: Path) -> None:
    final, forming = kline(60_000_000), kline(120_000_000, status=Status.FORMING)
    again = kline(60_000_000, revision=1, seq=61_000_000, trades=13)

    write(tmp_path, [final, forming, again])

    (path,) = tmp_path.rglob("*.parquet")
    table = pq.ParquetFile(path).read()
    assert "interval=1m" in path.parts
    assert table.schema.equals(schemas.KLINES, check_metadata=True)
    assert table.column("revision").to_pylist() == [0, 1]
    assert table.column("quote_volume").to_pylist() == [Decimal("95663.9")] * 2


def test_each_kind_of_record_has_its_place(tmp_path: Path) -> None:
    minute = INTERVALS["1m"]
    signal = Signal(
        KEY, minute, "rsi_reversal", "mine", Side.LONG, 0, 59_999_999, "61831", "rsi 31.2",
        values=(("rsi", 31.2),), seq=9,
    )  # fmt: skip
    gap = Gap(KEY, 5_000, 7, first_id=3, last_id=4, reason="404")
    bad = Quarantined("binance:shard-0", 6_000, 8, "not JSON", "link 1", "{")

    write(tmp_path, [signal, gap, bad])

    rows = {
        p.relative_to(tmp_path).parts[0]: pq.ParquetFile(p).read().to_pylist()[0]
        for p in tmp_path.rglob("*.parquet")
    }
    assert rows["signals"]["side"] == "long"
    assert rows["signals"]["price"] == Decimal(61831)
    assert rows["signals"]["values"] == '{"rsi":31.2}'
    assert rows["events"]["kind"] == "gap"
    assert rows["events"]["detail"] == '{"first_id":3,"last_id":4,"reason":"404"}'
    assert rows["quarantine"]["payload"] == "{"
    assert (tmp_path / "quarantine/exchange=binance/symbol=shard-0").is_dir()


def test_what_the_lake_does_not_store_is_ignored(tmp_path: Path) -> None:
    ignored = [Tick(KEY, 1), Frame(KEY, 1, "frame", 0, "{}"), ExchangeKline(kline(0)), "text"]

    write(tmp_path, ignored)

    assert not list(tmp_path.iterdir())


def test_closed_rows_are_counted_by_kind(tmp_path: Path, trades: MakeTrades) -> None:
    before = metrics.total(metrics.STORED, kind="trades")
    writer = LakeWriter(config(tmp_path, rotate_rows=2))

    writer.write(trades([(n, 1, 1) for n in range(5)]))
    assert metrics.total(metrics.STORED, kind="trades") == before + 4
    writer.flush_all()
    assert metrics.total(metrics.STORED, kind="trades") == before + 5


def test_a_span_that_does_not_divide_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`7` does not divide a day"):
        config(tmp_path, rotate_seconds=7)
