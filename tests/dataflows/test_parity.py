"""Hashes of what a run emitted against its recording: equal, and what it takes to make them not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bytewax.testing import TestingSource
from bytewax.visualize import to_json

from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from connectors.recording.reader import read_files, shards
from connectors.recording.source import ReplaySource
from connectors.recording.writer import RecordingWriter
from core.exchange.plan import Plan
from core.ledger.chain import Chain, stream_of, text_of
from core.market.errors import FileError
from core.market.events import Frame
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.paper.config import PaperConfig
from dataflows import engine
from dataflows.klines import KlinePlan
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from dataflows.parity import ParitySink, Run, settings_of
from dataflows.verify_parity import Verdict, segments_of, verify
from strategies.spec import InstanceSpec

ROOT = Path(__file__).parents[2]
START_US = 1_767_614_400_000_000  # 2026-01-05 12:00
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
MINUTES = 90
WORK = Work(
    KlinePlan(interval("1m"), (interval("1m"), interval("5m"))),
    (InstanceSpec(name="bollinger_breakout", params={"period": 3, "width": 0.5}),),
)


def inputs(shard: int, *, minutes: range = range(MINUTES), first: bool = True) -> Iterator[Frame]:
    """Yield what a session of one symbol would have received: four trades a minute."""
    key, symbol = f"binance:shard-{shard}", SYMBOLS[shard]
    begin_us = START_US + minutes.start * 60_000_000
    known = {} if first else {symbol: minutes.start * 4}
    plan = Plan(shard=shard, symbols=(symbol,), repairs=False, any_symbol=True, next_ids=known)
    yield Frame(key, begin_us, "start", 0, plan.model_dump_json())
    for n in range(minutes.start * 4, minutes.stop * 4):
        at_us = START_US + n * 15_000_000 + 1000
        price = 100 + (n * 7919 * (shard + 1)) % 97 / 4
        trade = {
            "e": "trade", "E": at_us, "s": symbol, "t": n, "p": f"{price:.2f}", "q": "0.50",
            "T": at_us, "m": n % 2 == 0, "M": True,
        }  # fmt: skip
        data = {"stream": f"{symbol.lower()}@trade", "data": trade}
        yield Frame(key, at_us, "frame", 0, json.dumps(data))


def record(root: Path, *frames: Iterator[Frame]) -> Path:
    writer = RecordingWriter(root)
    for some in frames:
        for frame in some:
            writer.write(frame)
    writer.flush_all()
    return root


def live(
    recording: Path, lake: Path, *, run: Run | None = None, workers: int = 1, work: Work = WORK
) -> None:
    """Run the flow as a live job does, on recorded inputs."""
    told = run or Run(START_US - 5, settings_of(work.klines, work.strategies, work.paper))
    readers = {key: partial(read_files, files) for key, files in shards(recording).items()}
    sinks = Outputs({"lake": LakeSink(LakeConfig(path=lake))}, parity=ParitySink(lake, told))
    engine.run(build({"recordings": ReplaySource(readers)}, work, sinks), workers=workers)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return record(tmp_path / "recordings", *(inputs(shard) for shard in range(3)))


def differing(found: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in found if not verdict.equal]


def change(recording: Path, old: str, new: str) -> None:
    changed = 0
    for path in (recording / "binance" / "shard-0").glob("*.parquet"):
        with pq.ParquetFile(path) as file:
            table = file.read()
        texts = table.column("payload").to_pylist()
        changed += sum(old in text for text in texts)
        column = pa.array([text.replace(old, new) for text in texts])
        at = table.schema.get_field_index("payload")
        pq.write_table(table.set_column(at, table.schema.field(at), column), path)
    assert changed == 1


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_replay_gives_the_hashes_of_the_run_with_any_number_of_workers(
    tmp_path: Path, recording: Path, workers: int
) -> None:
    live(recording, tmp_path / "lake", workers=workers)
    found = list(verify(recording, tmp_path / "lake", WORK, workers=5 - workers))
    assert not differing(found)
    streams = {(v.key, v.stream): v.records for v in found}
    assert len(streams) == 9
    assert streams["binance:BTCUSDT", "klines 1m"] == MINUTES - 1
    assert streams["binance:BTCUSDT", "klines 5m"] == MINUTES // 5 - 1
    assert all(v.records == v.of for v in found)
    links = [
        json.loads(p.read_text())["keys"] for p in sorted((tmp_path / "lake").rglob("part-*.json"))
    ]
    assert sum(map(len, links)) == 3


def test_one_digit_of_a_price_is_found_and_the_first_record_that_differs_is_named(
    tmp_path: Path, recording: Path
) -> None:
    live(recording, tmp_path / "lake")
    n = 4 * 50 + 1  # minute 50
    old = f"{100 + (n * 7919) % 97 / 4:.2f}"
    change(recording, f'"t": {n}, "p": "{old}"', f'"t": {n}, "p": "{old[:-1]}1"')
    wrong = {v.stream: v for v in differing(list(verify(recording, tmp_path / "lake", WORK)))}
    assert {v.key for v in wrong.values()} == {"binance:BTCUSDT"}
    assert set(wrong) >= {"klines 1m", "klines 5m"}
    detail = wrong["klines 1m"].detail
    assert "record 51, kline 1m of 2026-01-05T12:50:00Z" in detail
    assert "was" in detail
    assert "the replay gives" in detail
    assert "kline 5m of 2026-01-05T12:50:00Z" in wrong["klines 5m"].detail


def test_a_missing_frame_is_found(tmp_path: Path, recording: Path) -> None:
    live(recording, tmp_path / "lake")
    change(recording, '"t": 201,', '"t": 200,')
    wrong = differing(list(verify(recording, tmp_path / "lake", WORK)))
    assert {v.key for v in wrong} == {"binance:BTCUSDT"}


def test_a_flipped_byte_fails_by_its_checksum(tmp_path: Path, recording: Path) -> None:
    live(recording, tmp_path / "lake")
    path = min((recording / "binance" / "shard-1").glob("*.parquet"))
    data = bytearray(path.read_bytes())
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(3)
    data[column.data_page_offset + column.total_compressed_size - 9] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileError, match=f"{path.name}: not a readable Parquet file"):
        list(verify(recording, tmp_path / "lake", WORK))


def test_other_settings_are_said_instead_of_compared(tmp_path: Path, recording: Path) -> None:
    live(recording, tmp_path / "lake")
    (verdict,) = verify(recording, tmp_path / "lake", Work(WORK.klines, ()))
    assert not verdict.equal
    assert "the run had other strategies" in verdict.detail
    assert "bollinger_breakout" in verdict.detail
    other = Work(KlinePlan(interval("1m"), (interval("1m"),)), WORK.strategies)
    (verdict,) = verify(recording, tmp_path / "lake", other)
    assert "the run had other klines" in verdict.detail


def test_fills_and_equity_are_proven_too(tmp_path: Path, recording: Path) -> None:
    work = replace(WORK, paper=PaperConfig())
    live(recording, tmp_path / "lake", work=work, workers=2)
    found = list(verify(recording, tmp_path / "lake", work))
    assert not differing(found)
    counts = {(v.key, v.stream): v.records for v in found}
    assert {stream for _, stream in counts} == {
        "klines 1m", "klines 5m", "signals", "fills", "equity",
    }  # fmt: skip
    assert all(counts[f"binance:{symbol}", "fills"] > 10 for symbol in SYMBOLS)
    assert all(v.records == v.of for v in found)


def test_the_first_fill_that_differs_is_named(tmp_path: Path, recording: Path) -> None:
    work = replace(WORK, paper=PaperConfig())
    live(recording, tmp_path / "lake", work=work)
    n = 4 * 50  # the open of minute 50
    old = f"{100 + (n * 7919) % 97 / 4:.2f}"
    change(recording, f'"t": {n}, "p": "{old}"', f'"t": {n}, "p": "{old[:-1]}1"')
    wrong = {v.stream: v for v in differing(list(verify(recording, tmp_path / "lake", work)))}
    assert "fill of bollinger_breakout at 2026-01-05T12:50:00" in wrong["fills"].detail
    assert "price was" in wrong["fills"].detail
    assert "time_us was" not in wrong["fills"].detail
    assert "equity of bollinger_breakout at 2026-01-05T12:50:59" in wrong["equity"].detail


def test_another_portfolio_is_said_and_none_is_compared_without(
    tmp_path: Path, recording: Path
) -> None:
    live(recording, tmp_path / "lake", work=replace(WORK, paper=PaperConfig(cash=Decimal(7))))
    (verdict,) = verify(recording, tmp_path / "lake", replace(WORK, paper=PaperConfig()))
    assert verdict.detail.startswith('the run had other paper: {"cash":"7"')
    live(recording, tmp_path / "old")
    found = list(verify(recording, tmp_path / "old", replace(WORK, paper=PaperConfig())))
    assert len(found) == 9
    assert not differing(found)


def test_runs_in_one_recording_are_told_apart(tmp_path: Path) -> None:
    first, second = inputs(0, minutes=range(30)), inputs(0, minutes=range(40, 70))
    lake, root = tmp_path / "lake", tmp_path / "recordings"
    told = settings_of(WORK.klines, WORK.strategies)
    live(record(tmp_path / "one", first), lake, run=Run(START_US - 5, told))
    live(record(tmp_path / "two", second), lake, run=Run(START_US + 35 * 60_000_000, told))
    record(root, inputs(0, minutes=range(30)), inputs(0, minutes=range(40, 70)))
    (segments,) = segments_of(root).values()
    assert [s.whole for s in segments] == [True, True]
    found = list(verify(root, lake, WORK))
    assert len({v.started_us for v in found}) == 2
    assert not differing(found)
    assert {v.of for v in found if v.stream == "klines 1m"} == {29}
    newest = list(verify(root, lake, WORK, newest=True))
    assert {v.started_us for v in newest} == {START_US + 35 * 60_000_000}


def test_a_recording_that_lacks_the_start_of_the_run_proves_nothing(tmp_path: Path) -> None:
    root = record(tmp_path / "whole", inputs(0))
    live(root, tmp_path / "lake")
    cut = record(tmp_path / "cut", inputs(0, minutes=range(40, 90), first=False))
    (verdict,) = verify(cut, tmp_path / "lake", WORK)
    assert "begins in the middle" in verdict.detail
    early = Run(START_US + 10**12, settings_of(WORK.klines, WORK.strategies))
    live(root, tmp_path / "later", run=early)
    (verdict,) = verify(root, tmp_path / "later", WORK)
    assert verdict.detail == "the recording does not hold the run"


def test_a_run_that_still_goes_on_is_proven_as_far_as_it_is_recorded(tmp_path: Path) -> None:
    live(record(tmp_path / "all", inputs(0)), tmp_path / "lake")
    part = record(tmp_path / "part", inputs(0, minutes=range(60)))
    found = {v.stream: v for v in verify(part, tmp_path / "lake", WORK)}
    assert not any(v.equal for v in found.values())  # it was closed: its end is lost
    assert found["klines 1m"].detail == "the recording gives 59 of them"
    (path,) = (tmp_path / "lake").rglob("part-*.json")
    path.write_text(path.read_text().replace('"closed": true', '"closed": false'))
    found = {v.stream: v for v in verify(part, tmp_path / "lake", WORK)}
    assert all(v.equal and 0 < v.records < v.of for v in found.values())


def test_a_lake_without_hashes_is_refused_in_words(tmp_path: Path, recording: Path) -> None:
    with pytest.raises(FileError, match="no run left its hashes"):
        list(verify(recording, tmp_path, WORK))


CRASH = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
sys.path.insert(0, {tests!r})
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from core.market.kline import Kline
import test_parity as t
from functools import partial

class Bomb(DynamicSink):
    def build(self, *_):
        return Fuse()

class Fuse(StatelessSinkPartition):
    def write_batch(self, items):
        if {kill} and any(isinstance(r, Kline) and r.open_us >= t.START_US + 40 * 60_000_000
                          for _, r in items):
            os.kill(os.getpid(), signal.SIGKILL)

def some(files):
    for frames in t.read_files(files):
        for n in range(0, len(frames), 8):
            yield frames[n:n + 8]

recording, lake, store = map(Path, sys.argv[1:])
import connectors.recording.source as source
source._DRAIN_FRAMES = 8
readers = {{key: partial(some, files) for key, files in t.shards(recording).items()}}
run = t.Run(t.START_US - 5, t.settings_of(t.WORK.klines, t.WORK.strategies))
sinks = t.Outputs({{"bomb": Bomb()}}, parity=t.ParitySink(lake, run))
flow = t.build({{"recordings": t.ReplaySource(readers)}}, t.WORK, sinks)
t.engine.run(flow, recovery=store, snapshot_every=timedelta(0))
"""


def crashing(folder: Path, recording: Path, *, kill: bool) -> int:
    script = folder / "crash.py"
    script.write_text(CRASH.format(kill=kill, tests=str(Path(__file__).parent)))
    command = [sys.executable, str(script), str(recording), str(folder / "lake"), str(folder / "s")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def test_a_run_that_was_killed_goes_on_with_its_chains(tmp_path: Path, recording: Path) -> None:
    assert crashing(tmp_path, recording, kill=True) == -signal.SIGKILL
    told = [json.loads(p.read_text()) for p in (tmp_path / "lake" / "parity").rglob("*.json")]
    assert told
    assert not any(part["closed"] for part in told)
    assert crashing(tmp_path, recording, kill=False) == 0
    live(recording, tmp_path / "calm")
    parts = [
        {p.name: p.read_bytes() for p in sorted((tmp_path / name / "parity").rglob("*.json"))}
        for name in ("lake", "calm")
    ]
    assert parts[0] == parts[1]
    assert not differing(list(verify(recording, tmp_path / "lake", WORK)))


def kline(**changed: object) -> Kline:
    fields: dict[str, Any] = {
        "key": "binance:BTCUSDT", "interval": interval("1m"), "open_us": 0, "close_us": 59_999_999,
        "price_scale": 2, "quantity_scale": 1, "open_units": 100, "high_units": 120,
        "low_units": 90, "close_units": 110, "volume_units": 5, "quote_volume_units": 550,
        "trades": 2, "taker_buy_volume_units": 1, "taker_buy_quote_volume_units": 100,
        "first_id": 1, "last_id": 2,
    }  # fmt: skip
    return Kline(**(fields | changed))


def test_a_text_is_of_the_numbers_and_not_of_how_they_are_held() -> None:
    finer = kline(
        price_scale=3, open_units=1000, high_units=1200, low_units=900, close_units=1100,
        quote_volume_units=5500, taker_buy_quote_volume_units=1000, seq=99,
    )  # fmt: skip
    assert text_of(finer) == text_of(kline())
    assert stream_of(kline(status=Status.FORMING)) is None


@pytest.mark.parametrize(
    "name", ["open_units", "trades", "last_id", "taker_buy_volume_units", "revision", "complete"]
)
def test_any_field_changes_the_link(name: str) -> None:
    one, other = Chain(), Chain()
    one.add(text_of(kline()), 1)
    other.add(text_of(kline(**{name: 7 if name != "complete" else False})), 1)
    assert one.link != other.link


def test_the_order_changes_the_link() -> None:
    chains = [Chain(), Chain()]
    for chain, texts in zip(chains, ((b"a", b"b"), (b"b", b"a")), strict=True):
        for text in texts:
            chain.add(text, 0)
    assert chains[0].link != chains[1].link
    assert Chain.restore(chains[0].snapshot()) == chains[0]


def test_hashing_is_two_steps_beside_the_others_with_stable_names(tmp_path: Path) -> None:
    sink = ParitySink(tmp_path, Run(1, {}))
    graphs = [
        json.loads(to_json(build({"exchange": TestingSource([])}, WORK, outputs)))
        for outputs in (Outputs(), Outputs(parity=sink))
    ]
    names = [{step["step_id"] for step in graph["substeps"]} for graph in graphs]
    assert names[1] - names[0] == {"cryptotools.emitted", "cryptotools.parity"}
