"""A back-test is a replay: the main flow over files, its paper portfolio, and a sink in memory.

Nothing here computes klines, signals or fills.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from connectors.archive.facts import FileFacts
from connectors.archive.names import ArchiveFile
from connectors.archive.source import ArchiveSource
from connectors.parquet.source import LakeSource
from connectors.shutdown import STOP
from core.market.errors import ConfigError, FileError, StrategyError
from core.market.intervals import Interval, interval
from core.market.symbols import Instrument
from core.paper.config import PaperConfig
from dataflows import engine
from dataflows.backtest_collect import Collected, CollectSink
from dataflows.backtest_window import FOREVER_US, Window
from dataflows.klines import KlinePlan
from dataflows.main import Inputs, Work, build
from dataflows.outputs import Outputs
from dataflows.replay import Found, facts_of, inputs_of, look
from strategies.registry import REGISTRY, Registry
from strategies.spec import InstanceSpec

Warmup = Literal["converged", "lookback"]


@dataclass(frozen=True, slots=True)
class Job:
    """One flow over all the data, with some of the instances; it can be sent to a process.

    Attributes:
        symbols: Those to read; None: all there are.
        strategies_dir: Where strategies of the user are.

    """

    found: Found
    symbols: frozenset[str] | None
    plan: KlinePlan
    specs: tuple[InstanceSpec, ...]
    paper: PaperConfig
    window: Window
    strategies_dir: Path | None = None


@dataclass(slots=True)
class Ran:
    """What came of a job."""

    collected: Collected
    files: list[FileFacts] = field(default_factory=list)


def find_data(
    paths: Iterable[Path], symbols: Sequence[str] = (), market: str | None = None
) -> Found:
    """Return what the paths are, with only the files of some symbols.

    A single symbol also names files that do not say whose they are.

    Raises:
        FileError: A path that is nothing to read, or nothing of those symbols.

    """
    wanted = {Instrument.of(symbol).symbol for symbol in symbols}
    every = Found()
    for path in paths:
        one = _look(path, next(iter(wanted)) if len(wanted) == 1 else None, market)
        for name in ("archives", "captures", "recordings", "lakes"):
            getattr(every, name).extend(getattr(one, name))
    kept = [f for f in every.archives if not wanted or Instrument.from_key(f.key).symbol in wanted]
    if every.archives and not kept:
        there = " ".join(sorted({Instrument.from_key(f.key).symbol for f in every.archives}))
        raise FileError(every.archives[0].path, f"no data of {' '.join(sorted(wanted))}: {there}")
    every.archives = kept
    return every


def plan_for(
    found: Found, plan: KlinePlan, specs: Iterable[InstanceSpec], registry: Registry = REGISTRY
) -> KlinePlan:
    """Return the klines to build: those that instances look at, from what the data are.

    Raises:
        ConfigError: An interval that cannot be made of the data.
        FileError: Files of klines of different intervals.

    """
    wanted = {
        interval(name) for spec in specs for name, _ in _looked_at(spec, "lookback", registry)
    }
    base = _base(found.archives) or _finest(plan.base, wanted)
    for one in sorted(wanted, key=_length):
        if not one.holds(base):
            why = f"klines of {one} cannot be made of those of {base}"
            raise ConfigError("interval", why, hint=f"the data give {base} and multiples of it")
    ordered = tuple(sorted({*wanted, base}, key=_length))
    # Files of klines have no trades to pass on; what a strategy asks for beside is kept.
    return replace(plan, base=base, intervals=ordered, forming_us=0)


def window_for(
    specs: Iterable[InstanceSpec],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    warmup: Warmup = "converged",
    registry: Registry = REGISTRY,
) -> Window:
    """Return when accounts trade: all of them over the same klines, so that they can be compared.

    Args:
        specs: All instances: the one that takes longest decides for all.
        start: The first time that counts; earlier data warm up.
        end: Data from there on are not seen.
        warmup: ``converged``: until no signal depends on where the data began; ``lookback``: until
            all have values.
        registry: Where strategies are found.

    Raises:
        ConfigError: The end is not behind the start.
        StrategyError: An instance looks at several symbols: it has no price of its own.

    """
    needed: dict[str, int] = {}
    for spec in specs:
        if spec.legs:
            why = "looks at several symbols, which a back-test cannot trade"
            raise StrategyError(spec.instance, why)
        for name, klines in _looked_at(spec, warmup, registry):
            needed[name] = max(needed.get(name, 0), klines)
    start_us = 0 if start is None else micros(start)
    end_us = FOREVER_US if end is None else micros(end)
    if end_us <= start_us:
        raise ConfigError("to", f"`{end}` is not behind `{start}`")
    return Window(tuple(sorted(needed.items())), start_us, end_us)


def run(job: Job) -> Ran:
    """Run a job in this process.

    Raises:
        KeyboardInterrupt: Somebody stopped it.
        CryptoToolsError: What a source or a step could not do.

    """
    inputs = _inputs(job)
    seen = frozenset(spec.interval for spec in job.specs)
    collected = Collected(job.window, seen)
    work = Work(job.plan, job.specs, job.paper, window=job.window)
    engine.run(build(inputs, work, Outputs({"collected": CollectSink(collected)})))
    if STOP.is_set():
        raise KeyboardInterrupt
    return Ran(collected, facts_of(inputs))


def micros(time: datetime) -> int:
    """Return a time as microseconds since the epoch; one without a zone is UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _inputs(job: Job) -> Inputs:
    found, inputs = job.found, dict[str, object]()
    if found.archives:
        inputs["archive-files"] = ArchiveSource(found.archives)
    for n, path in enumerate(found.lakes):
        end = job.window.end_us
        until = None if end == FOREVER_US else datetime.fromtimestamp(end / 1e6, UTC)
        inputs[f"lake-files-{n}"] = LakeSource(path, symbols=job.symbols, end=until)
    rest = Found(captures=found.captures, recordings=found.recordings)
    if rest.captures or rest.recordings or not inputs:
        inputs |= inputs_of(rest)
    return inputs  # type: ignore[return-value]  # each source gives (key, item) of its own kinds


def _look(path: Path, symbol: str | None, market: str | None) -> Found:
    try:
        return look([path], market=market)
    except FileError:
        if symbol is None or not path.exists():
            raise
        return look([path], symbol=symbol, market=market)


def _base(files: Sequence[ArchiveFile]) -> Interval | None:
    read = {file.interval: file for file in files if file.interval is not None}
    if len(read) > 1:
        names = " and ".join(sorted(str(one) for one in read))
        raise FileError(files[0].path, f"klines of {names}: test on one interval at a time")
    return next(iter(read), None)


def _finest(base: Interval, wanted: set[Interval]) -> Interval:
    return min({base, *wanted}, key=_length)


def _looked_at(spec: InstanceSpec, warmup: Warmup, registry: Registry) -> list[tuple[str, int]]:
    made = registry.make(spec)
    own = made.lookback if warmup == "lookback" else max(made.lookback, made.convergence)
    found = [(spec.interval, max(1, own))]
    for need in made.needs:
        klines = 1 if warmup == "lookback" else need.klines
        found.append((need.interval or spec.interval, klines))
    return found


def _length(of: Interval) -> int:
    return of.length_us or 1 << 62  # a month is the longest
