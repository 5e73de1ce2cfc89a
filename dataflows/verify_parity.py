"""A recording once more through the flow, and its hashes against those that the live run left.

    recording ─► runs (from one fresh start to the next) ─► the same flow ─► chains ─► verdicts
    lake/parity ─► what each run said of itself ──────────────────────────────┘

Where two chains part lies between two marks; the lake's own rows then tell the record.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import orjson

from connectors.recording.files import folder
from connectors.recording.reader import read_lists
from connectors.recording.source import ReplaySource
from core.exchange.plan import Plan
from core.market.events import Frame
from dataflows import engine
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from dataflows.parity import settings_of
from dataflows.parity_check import Checker, CheckSink, RunFile, Told, runs_of
from dataflows.parity_rows import first_difference
from telemetry.progress import PROGRESS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one chain.

    Attributes:
        started_us: The run.
        key: The instrument's key; empty for the run as a whole.
        stream: Which records: ``klines 1m``, ``signals``, ``fills``, ``equity``.
        equal: Whether the replay gives what the run gave.
        records: Records that are proven to be the same.
        of: Records that the run emitted.
        detail: What is wrong, or how far the proof reaches.

    """

    started_us: int
    key: str
    stream: str
    equal: bool
    records: int = 0
    of: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames ``first <= n < end`` of a shard, from one fresh start of the flow to the next.

    `starts` are the times of receipt of its starts; `whole` says that its beginning is recorded.
    """

    first: int
    end: int
    starts: tuple[int, ...]
    whole: bool


def verify(
    recording: Path, lake: Path, work: Work, *, workers: int = 1, newest: bool = False
) -> Iterator[Verdict]:
    """Yield a verdict per chain of each run that the lake knows.

    Args:
        recording: The folder of recordings.
        lake: The lake of the live run.
        work: Klines, strategies and paper portfolio, as the run had them.
        workers: Threads of the replay; they change nothing.
        newest: Only the newest run.

    Raises:
        FileError: A recording or a file of hashes cannot be read, or there is none.

    """
    files = runs_of(lake)
    segments = segments_of(recording)
    runs = _together(files, segments)
    for run in runs[-1:] if newest else runs:
        started_us = run[0].started_us
        # A run without a paper portfolio is compared in what it has.
        own = work if "paper" in run[0].settings else replace(work, paper=None)
        against = _against(run, segments, own)
        if against:
            yield Verdict(started_us, "", "", equal=False, detail=against)
            continue
        chosen = _chosen(segments, started_us)
        told: dict[str, dict[str, Told]] = {}
        for file in run:
            told |= file.keys
        sink = CheckSink(told)
        readers = {key: partial(_frames, recording, key, at) for key, at in chosen.items()}
        flow = build({"recordings": ReplaySource(readers)}, own, Outputs(parity=sink))
        engine.run(flow, workers=workers)
        closed = all(file.closed for file in run)
        for key, streams in sorted(sink.checkers.items()):
            for stream, checker in sorted(streams.items()):
                yield _verdict(lake, (started_us, key, stream), checker, closed=closed)


def segments_of(recording: Path) -> dict[str, list[Segment]]:
    """Return the runs that a recording holds, in order, by the key of their shard.

    What a running flow, or one that died, has not put into files yet is read from its logs.
    """
    starts: dict[str, list[tuple[int, int, bool]]] = {}
    counts: dict[str, int] = {}
    for frames in read_lists(recording, pending=True):
        key = frames[0].key
        count = counts.get(key, 0)
        for n, frame in enumerate(frames, start=count):
            if frame.kind == "start":
                fresh = not Plan.model_validate_json(frame.payload).next_ids
                starts.setdefault(key, []).append((n, frame.received_us, fresh))
        counts[key] = count + len(frames)
    return {key: _segments(found, counts[key]) for key, found in starts.items()}


def _segments(starts: list[tuple[int, int, bool]], count: int) -> list[Segment]:
    bounds = [n for n, _, fresh in starts if fresh]
    if not starts[0][2]:
        bounds.insert(0, 0)
    return [
        Segment(
            first,
            end,
            tuple(at for n, at, _ in starts if first <= n < end),
            whole=any(n == first and fresh for n, _, fresh in starts),
        )
        for first, end in zip(bounds, [*bounds[1:], count], strict=True)
    ]


def _frames(recording: Path, key: str, segment: Segment) -> Iterator[Sequence[Frame]]:
    place = folder(recording, key)
    count = 0
    for frames in read_lists(place if place.is_dir() else recording, pending=True):
        if frames[0].key == key:
            part = frames[max(segment.first - count, 0) : max(segment.end - count, 0)]
            count += len(frames)
            PROGRESS.advance(0, len(part))
            if part:
                yield part


def _chosen(segments: dict[str, list[Segment]], started_us: int) -> dict[str, Segment]:
    # A run's inputs are recorded from its start on: the first start of a session behind it is its.
    chosen: dict[str, Segment] = {}
    for key, own in segments.items():
        for segment in own:
            if any(at >= started_us for at in segment.starts):
                chosen[key] = segment
                break
    return chosen


def _together(runs: list[list[RunFile]], segments: dict[str, list[Segment]]) -> list[list[RunFile]]:
    # The processes of a cluster each note their own start, and have the same inputs.
    found: dict[object, list[RunFile]] = {}
    for run in runs:
        chosen = _chosen(segments, run[0].started_us)
        inputs = tuple(sorted((key, segment.first) for key, segment in chosen.items()))
        found.setdefault(inputs or run[0].started_us, []).extend(run)
    return list(found.values())


def _against(run: list[RunFile], segments: dict[str, list[Segment]], work: Work) -> str:
    ml = None if work.ml is None else work.ml.config
    ours = settings_of(work.klines, work.strategies, work.paper, ml)
    theirs = run[0].settings
    for name in ("klines", "strategies", "paper", "ml"):
        if ours.get(name) != theirs.get(name):
            return f"the run had other {name}: {orjson.dumps(theirs.get(name)).decode()}"
    if any(file.resumed for file in run):
        return "the run went on from a snapshot with other settings: its start cannot be replayed"
    chosen = _chosen(segments, run[0].started_us)
    if not chosen:
        return "the recording does not hold the run"
    cut = sorted(key for key, segment in chosen.items() if not segment.whole)
    return f"the recording of {' '.join(cut)} begins in the middle of the run" if cut else ""


def _verdict(lake: Path, what: tuple[int, str, str], checker: Checker, *, closed: bool) -> Verdict:
    told, got = checker.told, checker.chain.count
    if told is None:
        why = f"the replay gives {got} records, the run gave none"
        return Verdict(*what, equal=not closed, detail=why)
    detail, equal = "", True
    if checker.parted:
        bounds = checker.proven, checker.parted
        detail, equal = first_difference(lake, what[1], what[2], bounds, checker.window), False
    elif got < told.count:
        detail = f"the recording gives {got} of them"
        equal = bool(checker.proven) and not closed
    elif got > told.count:
        detail = f"the replay gives {got - told.count} more"
        equal = not closed
    return Verdict(*what, equal=equal, records=checker.proven, of=told.count, detail=detail)
