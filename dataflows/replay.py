"""Files → the same flow: recordings, captures, lake folders, Binance's archives."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from connectors.archive.facts import FileFacts
from connectors.archive.lines import read_lines
from connectors.archive.names import ArchiveFile, Kind, detect, market_of
from connectors.archive.source import ArchiveSource
from connectors.parquet.source import LakeSource
from connectors.recording.reader import read_files, shards
from connectors.recording.source import Reader, ReplaySource
from core.exchange.plan import Plan
from core.market.errors import FileError
from core.market.events import Frame, Quarantined
from core.market.intervals import interval
from core.market.symbols import MARKETS
from dataflows.klines import KlinePlan
from dataflows.main import Inputs
from telemetry.progress import PROGRESS


@dataclass(slots=True)
class Found:
    """What the given paths turned out to be."""

    archives: list[ArchiveFile] = field(default_factory=list)
    captures: list[ArchiveFile] = field(default_factory=list)
    recordings: list[Path] = field(default_factory=list)
    lakes: list[Path] = field(default_factory=list)


def look(paths: Iterable[Path], *, symbol: str | None = None, market: str | None = None) -> Found:
    """Say what each path is; a folder that is neither lake nor recording is gone through.

    Raises:
        FileError: A path that does not exist, or is nothing that can be replayed.

    """
    found = Found()
    for path in paths:
        _look_at(path, found, symbol, market)
    return found


def inputs_of(
    found: Found,
    *,
    symbol: str | None = None,
    market: str | None = None,
    speed: float | None = None,
) -> Inputs:
    """Return the sources of what was found, by step name.

    Raises:
        FileError: There is nothing to replay, or a file that cannot be read.

    """
    inputs: dict[str, object] = {}
    if found.archives:
        inputs["archive-files"] = ArchiveSource(found.archives, speed=speed)
    if found.lakes:
        inputs |= _lakes(found.lakes, symbol, speed)
    if found.recordings:
        inputs["recordings"] = ReplaySource(_recorded(found.recordings), speed=speed)
    if found.captures:
        inputs["captures"] = _captured(found.captures, market, speed)
    if not inputs:
        raise FileError("nothing", "there is nothing to replay")
    return inputs  # type: ignore[return-value]  # each source gives (key, item) of its own kinds


def facts_of(inputs: Inputs) -> list[FileFacts]:
    """Return what was found out about each archive file, once its replay has ended."""
    source = inputs.get("archive-files")
    return source.facts if isinstance(source, ArchiveSource) else []


def plan_of(found: Found, plan: KlinePlan) -> KlinePlan:
    """Return a plan that fits: klines of a file are folded from their own interval on.

    Raises:
        FileError: Files of klines of different intervals.

    """
    read = {file.interval.name: file for file in found.archives if file.interval is not None}
    if not read:
        return plan
    if len(read) > 1:
        why = f"klines of {' and '.join(sorted(read))}: replay one interval at a time"
        raise FileError(next(iter(read.values())).path, why)
    base = interval(next(iter(read)))
    if not base.length_us:
        raise FileError(next(iter(read.values())).path, "klines of a month cannot be folded")
    higher = tuple(i for i in plan.intervals if i != base and i.holds(base))
    return replace(plan, base=base, intervals=(base, *higher))


def _look_at(path: Path, found: Found, symbol: str | None, market: str | None) -> None:
    if not path.exists():
        raise FileError(path, "no such file or folder")
    if path.is_dir():
        _look_into(path, found, symbol, market)
    elif path.suffix == ".parquet":
        (found.recordings if _is_recording(path) else found.lakes).append(path)
    else:
        file = detect(path, symbol=symbol, market=market)
        (found.captures if file.kind is Kind.FRAMES else found.archives).append(file)


def _look_into(path: Path, found: Found, symbol: str | None, market: str | None) -> None:
    first = next(path.rglob("*.parquet"), None)
    if first is not None:
        (found.recordings if _is_recording(first) else found.lakes).append(path)
        return
    files = sorted(p for p in path.iterdir() if p.is_file() and not _is_beside(p))
    if not files:
        raise FileError(path, "holds nothing that can be replayed")
    for file in files:
        _look_at(file, found, symbol, market)


def _is_recording(path: Path) -> bool:
    return path.stem.isdigit()  # a recording is named by a time, a lake's file part-<id>


def _is_beside(path: Path) -> bool:
    return path.name.startswith(".") or path.name.endswith((".CHECKSUM", ".md"))


def _lakes(paths: Sequence[Path], symbol: str | None, speed: float | None) -> dict[str, object]:
    symbols = None if symbol is None else {symbol.upper()}
    return {
        "lake-files" if n == 0 else f"lake-files-{n}": LakeSource(
            path, symbols=symbols, speed=speed
        )
        for n, path in enumerate(paths)
    }


def _recorded(paths: Sequence[Path]) -> dict[str, Reader]:
    files: dict[str, list[Path]] = {}
    for path in paths:
        for key, found in shards(path).items():
            files.setdefault(key, []).extend(found)
    for found in files.values():
        for file in found:
            PROGRESS.expect(file.stat().st_size)
    return {key: partial(_frames, found) for key, found in files.items()}


def _frames(files: list[Path]) -> Iterator[Sequence[Frame | Quarantined]]:
    for file in files:
        for frames in read_files([file]):
            PROGRESS.advance(0, len(frames))
            yield frames
        PROGRESS.advance(file.stat().st_size, 0)


def _captured(
    files: Sequence[ArchiveFile], market: str | None, speed: float | None
) -> ReplaySource:
    exchange = MARKETS[market or market_of(files[0].path)]
    plan = Plan(exchange=exchange, repairs=False, any_symbol=True)
    ordered = sorted(files, key=lambda file: file.path.name)
    for file in ordered:
        PROGRESS.expect(file.path.stat().st_size)

    def reader() -> Iterator[Sequence[Frame | Quarantined]]:
        for file in ordered:
            yield from read_lines(file, plan.key)

    return ReplaySource({"captures": reader}, plan=plan, speed=speed)
