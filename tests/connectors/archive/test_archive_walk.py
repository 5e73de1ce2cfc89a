"""An instrument's files one behind the other: what is promised, in which order, and resuming."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.archive import lines, source, walk
from connectors.archive.facts import FileFacts
from connectors.archive.lines import read_lines
from connectors.archive.names import detect
from connectors.archive.source import ArchivePartition, ArchiveSource, items_of
from connectors.archive.walk import Place
from connectors.shutdown import STOP
from core.continuity import Continuity
from core.market.errors import FileError
from core.market.events import Event, Frame, KlineGap, Quarantined, Tick
from core.market.kline import Kline
from core.market.trades import Trades
from telemetry import metrics
from telemetry.progress import Progress

Write = Callable[..., Path]
DAY = 1_738_281_600_000  # 2025-01-31
DAY_MS = 86_400_000
KEY = "binance:BTCUSDT"


def name(day: int) -> str:
    at = datetime.fromtimestamp(DAY // 1000, UTC) + timedelta(days=day)
    return f"BTCUSDT-trades-{at:%Y-%m-%d}.csv"


def row(n: int, day: int = 0) -> str:
    return f"{n},1.5,2,3,{DAY + day * DAY_MS + n * 1000},True,True"


def kline(minute: int) -> str:
    at = DAY + minute * 60_000
    return f"{at},1,2,0.5,1.5,10,{at + 59_999},15,3,4,6,0"


def ticks(*paths: Path) -> list[int]:
    items = items_of([detect(path) for path in paths])
    return [item.time_us // 1000 - DAY for item in items if isinstance(item, Tick)]


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> Progress:
    fresh = Progress()
    for module in (source, walk, lines):
        monkeypatch.setattr(module, "PROGRESS", fresh)
    return fresh


@pytest.fixture
def _stopped() -> Iterator[None]:
    STOP.set()
    yield
    STOP.clear()


def test_a_day_that_is_missing_between_files_is_not_witnessed(write: Write) -> None:
    first, later = write(name(0), row(1)), write(name(3), row(9, day=3))
    # A tick at the start of the later file would say that nothing happened on the days between.
    assert ticks(first, later) == [0, DAY_MS + 1000, 4 * DAY_MS + 1000]


def test_a_torn_file_does_not_close_its_last_window(tmp_path: Path) -> None:
    path = tmp_path / f"{name(0)}.gz"
    whole = gzip.compress("".join(f"{row(n)}\n" for n in range(3000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    assert ticks(path) == [0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(1), "x", row(2)], [0, DAY_MS + 1000]),
        ([row(1), row(2), "x"], [0]),
        (["x", row(1), row(2)], [DAY_MS + 1000]),
        ([], []),
    ],
)
def test_a_tick_is_a_promise_that_no_bad_line_may_break(
    write: Write, rows: list[str], expected: list[int]
) -> None:
    assert (
        ticks(write(name(0), "id,price,qty,quote_qty,time,is_buyer_maker,best", *rows)) == expected
    )


def test_files_are_read_in_the_order_of_their_time_whatever_their_names(write: Write) -> None:
    b = write("a_BTCUSDT.csv", row(5))
    a = write("b_BTCUSDT.csv", row(1))
    files = [detect(path, symbol="BTCUSDT") for path in (b, a)]
    part = ArchiveSource(files).build_part("", KEY, None)
    assert [int(n) for item in drain(part) if isinstance(item, Trades) for n in item.id] == [1, 5]


def test_events_of_later_files_stand_behind_those_of_earlier_ones(write: Write) -> None:
    # Nothing says when the lines of the second file were; its events must not seem old ones.
    paths = [write("a_BTCUSDT.csv", row(1), "x"), write("b_BTCUSDT.csv", *["x,1"] * 9, row(0))]
    files = [detect(path, symbol="BTCUSDT") for path in paths[:1]]
    files.append(replace(files[0], path=paths[1]))
    seqs = [item.seq for item in items_of(files) if isinstance(item, Quarantined)]
    assert len(seqs) == 10
    assert seqs == sorted(set(seqs))


def test_windows_missing_between_files_are_named_and_those_that_come_again_are_dropped(
    write: Write,
) -> None:
    paths = [
        write("BTCUSDT-1m-2025-01-31.csv", kline(0), kline(1)),
        write("BTCUSDT-1m-2025-02-01.csv", kline(1), kline(5)),
    ]
    items = list(items_of([detect(path) for path in paths]))
    assert [type(item).__name__ for item in items] == [
        "Kline", "Kline", "KlineGap", "Kline", "Quarantined",
    ]  # fmt: skip
    (gap,) = [item for item in items if isinstance(item, KlineGap)]
    assert (gap.end_us - gap.open_us) // 60_000_000 == 3
    assert "1 klines are of windows that an earlier file gave" in getattr(items[-1], "reason", "")
    seqs = [item.seq for item in items if isinstance(item, Kline | Event)]
    assert seqs == sorted(set(seqs))


def test_klines_of_two_intervals_of_one_instrument_are_refused(write: Write) -> None:
    paths = [write("BTCUSDT-1m.csv", kline(0)), write("BTCUSDT-1h.csv", kline(0))]
    with pytest.raises(FileError, match="one interval at a time"):
        ArchiveSource([detect(path) for path in paths])


def drain(part: ArchivePartition) -> list[Any]:
    found: list[Any] = []
    try:
        while True:
            found += [item for _, item in part.next_batch()]
    except StopIteration:
        return found


def shown(items: list[Any]) -> list[Any]:
    return [item.rows() if isinstance(item, Trades) else item for item in items]


@pytest.mark.parametrize("kind", ["trades", "klines"])
def test_a_run_resumed_at_any_snapshot_gives_what_is_left(
    write: Write, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_BATCH_ITEMS", 2)
    monkeypatch.setattr("connectors.archive.trades.BATCH_ROWS", 3)
    if kind == "trades":
        paths = [write(name(d), *(row(n + 8 * d, d) for n in range(8)), "x") for d in range(2)]
    else:
        paths = [
            write("BTCUSDT-1m-2025-01-31.csv", kline(0), "x", kline(2), kline(2), kline(3)),
            write("BTCUSDT-1m-2025-02-01.csv", kline(3), kline(9), "y", kline(10)),
        ]
    whole = ArchiveSource([detect(path) for path in paths])
    part = whole.build_part("", KEY, None)
    everything = shown(drain(whole.build_part("", KEY, None)))
    seen: list[Any] = []
    for _ in range(len(everything)):
        again = ArchiveSource([detect(path) for path in paths])
        rest = drain(again.build_part("", KEY, part.snapshot()))
        assert seen + shown(rest) == everything
        try:
            seen += shown([item for _, item in part.next_batch()])
        except StopIteration:
            break
    assert seen == everything


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_at_a_speed_rows_come_when_they_are_due_and_a_snapshot_cuts_a_batch(write: Write) -> None:
    clock = Clock()
    files = [detect(write("BTCUSDT-trades.csv", *(row(n) for n in range(6))))]
    part = ArchivePartition(files, Place(), [], speed=2.0, clock=clock)
    ids: list[int] = []
    for _ in range(3):
        ids += [
            int(n) for _, item in part.next_batch() if isinstance(item, Trades) for n in item.id
        ]
        clock.now += timedelta(seconds=0.5)
    assert ids == [0, 1, 2]
    awake = part.next_awake()
    assert awake is not None
    assert awake <= clock.now
    rest = drain(ArchivePartition(files, Place(*part.snapshot()), []))
    assert [int(n) for item in rest for n in item.id] == [3, 4, 5]


def test_an_event_without_a_time_does_not_hold_up_a_paced_replay(write: Write) -> None:
    good = detect(write("BTCUSDT-trades.csv", row(1)))
    path = write("torn.csv.gz", "x")
    path.write_bytes(b"not packed")
    part = ArchivePartition([replace(good, path=path), good], Place(), [], speed=1.0, clock=Clock())
    items = [item for _, item in part.next_batch()]
    assert [type(item) for item in items] == [Quarantined, Trades]


@pytest.mark.usefixtures("_stopped")
def test_the_stop_flag_ends_the_input(write: Write) -> None:
    part = ArchiveSource([detect(write(name(0), row(1)))]).build_part("", KEY, None)
    with pytest.raises(StopIteration):
        part.next_batch()


def test_the_books_balance_and_the_progress_ends_at_the_whole(
    write: Write, progress: Progress
) -> None:
    path = write(f"{name(0)}.gz", row(1), "x", row(1), "y", row(2))
    before = metrics.total(metrics.RECEIVED), metrics.total(metrics.REJECTED)
    read = ArchiveSource([detect(path)])
    continuity = Continuity(KEY)
    for item in drain(read.build_part("", KEY, None)):
        if isinstance(item, Trades):
            continuity.on_trades(item)
    received = metrics.total(metrics.RECEIVED) - before[0]
    rejected = metrics.total(metrics.REJECTED) - before[1]
    assert (received, rejected) == (5, 2)
    assert received == continuity.accepted + continuity.duplicates + rejected
    size = path.stat().st_size
    assert (progress.total_bytes, progress.done_bytes, progress.rows) == (size, size, 3)
    (facts,) = read.facts
    assert (facts.rows, facts.refused) == (3, 2)


def test_a_capture_stands_at_the_time_of_its_first_frame(write: Write) -> None:
    # At a speed, the first input is the start of the clock.
    path = write("a.ws", "wss://x <-> 1.5", '1633998512.5: {"a":1}', '{"b":2}', "9" * 5000 + " x")
    facts = FileFacts(path, "frames")
    items = [item for chunk in read_lines(detect(path), "k", facts) for item in chunk]
    assert all(isinstance(item, Frame) for item in items)
    times = [item.received_us for item in items if isinstance(item, Frame)]
    assert times == [1_633_998_512_500_000] * 4
    assert (facts.rows, facts.notes) == (3, 1)


def test_a_capture_without_frames_says_its_name_only(write: Write, progress: Progress) -> None:
    path = write("a.ws", "wss://x <-> 1.5")
    assert [[item.payload for item in c] for c in read_lines(detect(path), "k")] == [["a.ws"]]
    assert progress.done_bytes == path.stat().st_size
