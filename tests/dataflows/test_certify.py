"""Certificates from real lakes: written by the flow, then harmed in every way that matters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.archive.source import items_of
from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from connectors.parquet.writer import LakeWriter
from core.ledger import Certificate, State
from core.market.errors import ConfigError, FileError
from core.market.events import Connected, Disconnected, Event, Gap, Late, Quarantined, StatusChanged
from core.market.intervals import DAY_US, interval
from dataflows import engine
from dataflows.certify import certificates, missing_ranges, write
from dataflows.klines import KlinePlan
from dataflows.lakedays import start_of
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from dataflows.replay import inputs_of, look

KEY = "binance:BTCUSDT"
DAYS = ("2025-01-30", "2025-01-31", "2025-02-01")
START_US = start_of(DAYS[0])
PER_DAY = 480
STEP_US = DAY_US // PER_DAY
MIDDLE = range(PER_DAY, 2 * PER_DAY)
MakeLake = Callable[..., Path]


def line(n: int, at_us: int | None = None) -> str:
    at = START_US + n * STEP_US if at_us is None else at_us
    return f"{n},{100 + n % 9}.25,0.5,50.25,{at},{n % 2 == 0},True\n"


@pytest.fixture
def lake(tmp_path: Path) -> MakeLake:
    """Return a function that makes a lake of three days' trades through the flow."""

    def make(keep: Callable[[int], bool] = lambda n: True, name: str = "lake") -> Path:
        for number, day in enumerate(DAYS):
            ids = range(number * PER_DAY, (number + 1) * PER_DAY)
            path = tmp_path / f"BTCUSDT-trades-{day}.csv"
            path.write_text("".join(line(n) for n in ids if keep(n)))
        files = [p for p in sorted(tmp_path.glob("*.csv")) if p.stat().st_size]
        plan = KlinePlan(interval("1m"), (interval("1m"), interval("1h")))
        config = LakeConfig(path=tmp_path / name, rotate_seconds=43_200)
        outputs = Outputs({"lake": LakeSink(config)})
        engine.run(build(inputs_of(look(files)), Work(plan, ()), outputs))
        return tmp_path / name

    return make


def of(lake: Path, day: str = DAYS[1]) -> Certificate:
    (found,) = certificates(lake, "BTCUSDT", day)
    return found


def say(lake: Path, *events: Event) -> None:
    writer = LakeWriter(LakeConfig(path=lake))
    for event in events:
        writer.write(event)
    writer.flush_all()


def parts(lake: Path, kind: str, day: str = DAYS[1], below: str = "") -> list[Path]:
    folder = lake / kind / "exchange=binance" / "symbol=BTCUSDT" / below / f"date={day}"
    return sorted(folder.glob("part-*.parquet"))


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    with pq.ParquetFile(path) as file:
        table = file.read()
    pq.write_table(change(table), path, store_decimal_as_integer=True)


def codes(certificate: Certificate) -> list[str]:
    return [reason.code for reason in certificate.reasons]


def test_a_day_between_two_others_is_proven_complete(lake: MakeLake) -> None:
    root = lake()
    found = {c.day: c for c in certificates(root)}
    middle = found[DAYS[1]]
    assert (middle.state, middle.reasons, middle.missing) == (State.COMPLETE, (), ())
    assert (middle.rows, middle.live, middle.repaired) == (PER_DAY, PER_DAY, 0)
    assert [(s.first_id, s.last_id) for s in middle.held] == [(MIDDLE[0], MIDDLE[-1])]
    assert middle.klines is not None
    assert (middle.klines.equal, middle.klines.stored) == (1440, 1440)
    names = {file.path.partition("/")[0] for file in middle.files}
    assert names == {"trades", "klines"}
    assert all(len(file.sha256) == 64 for file in middle.files)


def test_the_first_id_of_all_needs_none_before_and_the_newest_day_waits(lake: MakeLake) -> None:
    root = lake()
    assert of(root, DAYS[0]).state is State.COMPLETE  # id 0: nothing can be before it
    (open_end,) = of(root, DAYS[2]).missing
    assert (open_end.first_id, open_end.last_id) == (3 * PER_DAY, None)
    assert codes(of(root, DAYS[2])) == ["missing"]


def test_a_window_that_is_still_open_is_no_difference(lake: MakeLake) -> None:
    root = lake()
    last = parts(root, "klines", DAYS[2], "interval=1m")[-1]
    rewrite(last, lambda table: table.slice(0, len(table) - 3))  # that of the last trade, too
    assert codes(of(root, DAYS[2])) == ["missing"]
    rewrite(last, lambda table: table.slice(0, len(table) - 3))  # and one that was final
    assert codes(of(root, DAYS[2])) == ["missing", "klines"]


def test_a_day_that_began_in_the_middle_lacks_what_came_before(lake: MakeLake) -> None:
    first = of(lake(lambda n: n >= MIDDLE[100])).missing[0]
    assert (first.first_id, first.last_id) == (None, MIDDLE[100] - 1)
    assert (first.start_us, first.end_us) == (
        START_US + DAY_US, START_US + DAY_US + 100 * STEP_US,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last"),
    [(MIDDLE[10], MIDDLE[19]), (MIDDLE[0], MIDDLE[4]), (MIDDLE[-3], MIDDLE[-1]), (MIDDLE[7],) * 2],
)
def test_missing_ids_are_named_with_their_times(lake: MakeLake, first: int, last: int) -> None:
    root = lake(lambda n: not first <= n <= last)
    found = of(root)
    (missing,) = found.missing
    assert (missing.first_id, missing.last_id) == (first, last)
    assert missing.start_us == START_US + (first - 1) * STEP_US
    assert missing.end_us == START_US + (last + 1) * STEP_US
    assert found.state is State.INCOMPLETE
    assert "the input skips these ids" in missing.evidence
    assert [m for key, m in missing_ranges(root) if m.between] == [missing]


def test_a_hole_across_midnight_is_against_both_days_and_listed_once(lake: MakeLake) -> None:
    hole = range(MIDDLE[-1] - 1, MIDDLE[-1] + 3)
    root = lake(lambda n: n not in hole)
    assert codes(of(root)) == ["missing"]
    assert "missing" in codes(of(root, DAYS[2]))
    assert len([m for _, m in missing_ranges(root) if m.between]) == 1


def test_a_day_without_trades_is_complete_when_the_ids_around_it_touch(tmp_path: Path) -> None:
    for n, day in ((0, DAYS[0]), (1, DAYS[2])):
        row = line(n, start_of(day) + 5_000_000)
        (tmp_path / f"BTCUSDT-trades-{day}.csv").write_text(row)
    plan = KlinePlan(interval("1m"), (interval("1m"),))
    outputs = Outputs({"lake": LakeSink(LakeConfig(path=tmp_path / "lake"))})
    files = sorted(tmp_path.glob("*.csv"))
    engine.run(build(inputs_of(look(files)), Work(plan, ()), outputs))
    found = of(tmp_path / "lake")
    assert (found.state, found.rows, found.held) == (State.COMPLETE, 0, ())
    assert found.klines is not None
    assert found.klines.equal == 1440
    (tmp_path / files[1].name).write_text(line(3, start_of(DAYS[2]) + 5_000_000))
    outputs = Outputs({"lake": LakeSink(LakeConfig(path=tmp_path / "holed"))})
    engine.run(build(inputs_of(look(files)), Work(plan, ()), outputs))
    (missing,) = of(tmp_path / "holed").missing
    assert (missing.first_id, missing.last_id) == (1, 2)


def test_repaired_trades_and_halts_are_states_of_their_own(lake: MakeLake) -> None:
    root = lake()

    def repair(table: pa.Table) -> pa.Table:
        flags = pa.array([10 <= n < 20 for n in range(len(table))])
        return table.set_column(
            table.schema.get_field_index("repaired"), table.schema.field("repaired"), flags
        )

    rewrite(parts(root, "trades")[0], repair)
    found = of(root)
    assert (found.state, found.live, found.repaired) == (State.REPAIRED, PER_DAY - 10, 10)
    assert [(s.first_id, s.last_id) for s in found.repaired_ids] == [(MIDDLE[10], MIDDLE[19])]
    noon = START_US + DAY_US + DAY_US // 2
    say(
        root,
        StatusChanged(KEY, noon, 1, "HALT"),
        StatusChanged(KEY, noon + 60_000_000, 2, "TRADING"),
    )
    halted = of(root)
    assert halted.state is State.HALT
    assert [(h.status, h.end_us - h.start_us) for h in halted.halts] == [("HALT", 60_000_000)]


def test_a_halt_lasts_until_an_event_says_otherwise(lake: MakeLake) -> None:
    root = lake()
    say(root, StatusChanged(KEY, START_US + 1, 1, "BREAK"))
    (halt,) = of(root).halts
    assert (halt.status, halt.start_us, halt.end_us) == (
        "BREAK", START_US + DAY_US, START_US + 2 * DAY_US,
    )  # fmt: skip


def test_a_connection_boundary_is_proven_by_the_ids_across_it(lake: MakeLake) -> None:
    hole = range(MIDDLE[100], MIDDLE[120])
    root = lake(lambda n: n not in hole)
    shard, day_us = "binance:shard-0", START_US + DAY_US
    inside = day_us + 110 * STEP_US
    say(
        root,
        Disconnected(shard, inside, 1, 1, "cut", 5),
        Connected(shard, inside + 1, 2, 2),
        Connected(shard, day_us + 300 * STEP_US, 3, 3),
        Late(KEY, day_us + 5, 4, 7, day_us),
        Quarantined(KEY, day_us + 6, 5, "no JSON", "link 1", "{"),
    )
    found = of(root)
    assert [(b.kind, b.proven) for b in found.boundaries] == [
        ("disconnected", False), ("connected", False), ("connected", True),
    ]  # fmt: skip
    assert (found.late, found.quarantined) == (1, 1)
    assert "disconnected 2025-01-31T" in found.missing[0].evidence
    assert [g.first_id for g in found.gaps] == [MIDDLE[100]]


@pytest.mark.parametrize("harm", ["torn", "flipped"])
def test_a_damaged_file_makes_its_day_incomplete_and_is_named(lake: MakeLake, harm: str) -> None:
    root = lake()
    victim = parts(root, "trades")[1]
    data = bytearray(victim.read_bytes())
    with pq.ParquetFile(victim) as file:
        column = file.metadata.row_group(0).column(2)
    data[column.data_page_offset + column.total_compressed_size - 5] ^= 1  # inside the page
    victim.write_bytes(data[:-100] if harm == "torn" else data)
    found = of(root)
    assert found.state is State.INCOMPLETE
    (reason,) = [r for r in found.reasons if r.code == "unreadable"]
    assert victim.name in reason.text
    assert of(root, DAYS[0]).state is State.COMPLETE


def test_ids_in_two_files_are_against_the_day_and_name_both(lake: MakeLake) -> None:
    root = lake()
    whole = parts(root, "trades")[0]
    twin = whole.with_name(f"part-{MIDDLE[5]:020d}.parquet")
    twin.write_bytes(whole.read_bytes())
    found = of(root)
    (reason,) = [r for r in found.reasons if r.code == "duplicates"]
    assert whole.name in reason.text
    assert twin.name in reason.text
    assert found.duplicates == pq.read_metadata(whole).num_rows


@pytest.mark.parametrize(
    ("column", "detail"), [("close", "close 1!="), ("first_id", "first_id 1!=")]
)
def test_a_kline_that_the_trades_do_not_give_is_named(
    lake: MakeLake, column: str, detail: str
) -> None:
    root = lake()

    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(column)
        values: list[Any] = table.column(column).to_pylist()
        values[3] = 1
        field = table.schema.field(at)
        return table.set_column(at, field, pa.array(values, field.type))

    rewrite(parts(root, "klines", below="interval=1m")[0], change)
    found = of(root)
    assert codes(found) == ["klines"]
    assert "2025-01-31T00:03:00" in found.reasons[0].text
    assert detail in found.reasons[0].text
    assert found.klines is not None
    assert (found.klines.equal, found.klines.differing) == (1439, 1)


def test_a_lake_without_klines_is_not_complete(lake: MakeLake) -> None:
    root = lake()
    for path in parts(root, "klines", below="interval=1m"):
        path.unlink()
    assert [r.text for r in of(root).reasons] == ["no klines of 1m are stored"]


def test_the_certificate_of_the_same_files_is_the_same_bytes(lake: MakeLake) -> None:
    root = lake()
    alone = write(root, of(root)).read_bytes()
    for certificate in certificates(root):
        path = write(root, certificate)
        assert json.loads(path.read_bytes())["state"] == certificate.state.value
    assert (path.parent / f"{DAYS[1]}.json").read_bytes() == alone
    assert [c.day for c in certificates(root)] == list(DAYS)  # they do not disturb the lake


def test_single_trades_of_futures_prove_nothing(tmp_path: Path) -> None:
    writer = LakeWriter(LakeConfig(path=tmp_path))
    say(tmp_path, Gap("binance-usdm:BTCUSDT", START_US, 1, 5, 6, "none"))
    for n, day in enumerate(DAYS):
        folder = tmp_path / f"{day}.csv"
        folder.write_text(f"{n * 7},100.5,1,100.5,{start_of(day) // 1000},true\n")
        (file,) = look([folder], symbol="BTCUSDT", market="usdm").archives
        for item in items_of([file]):
            writer.write(item)
    writer.flush_all()
    (found,) = certificates(tmp_path, "binance-usdm:BTCUSDT", DAYS[1])
    assert codes(found) == ["unprovable", "klines"]


def test_what_is_not_there_is_refused_in_words(lake: MakeLake, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file or folder"):
        list(certificates(tmp_path / "nowhere"))
    root = lake()
    with pytest.raises(FileError, match="nothing of ETHUSDT"):
        list(certificates(root, "ETHUSDT"))
    with pytest.raises(ConfigError, match="no day"):
        list(certificates(root, "btcusdt", "yesterday"))
    assert "no trade of the day is held" in of(root, "2025-03-01").reasons[0].text
