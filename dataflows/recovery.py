"""The recovery store of a live flow: the engine's snapshots, and a note of whose they are.

    recovery/part-0.sqlite3 …     the engine's; their number is fixed when the store is made
    recovery/store.json           the flow that wrote them: versions, steps, what must not change

The engine itself takes any store for any flow: with another number of shards, or another market,
it would go on at wrong ids without a word. So the note is compared before every start.
"""

import logging
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from bytewax.dataflow import Dataflow

from config.settings import Settings
from connectors.durable import publish, sync_folder
from connectors.parquet.writer import VERSION as LAKE_VERSION
from connectors.recording.writer import VERSION as RECORDING_VERSION
from core.continuity import Continuity
from core.klines import KlineBuilder
from core.market.errors import ConfigError, ServiceError
from core.market.intervals import interval
from core.paper.config import PaperConfig
from core.paper.portfolio import Portfolio
from dataflows.engine import store
from strategies.host import StrategyHost
from strategies.ml.host import VERSION as ML_VERSION

LOG = logging.getLogger("cryptotools.recovery")

NOTE = "store.json"
_NEW = (
    "start a new store with `--fresh`: it moves the old one aside, and begins at the newest trade"
)
_STATELESS = {"branch", "filter_map", "merge"}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Whose snapshots a store holds.

    Attributes:
        version: Of this package.
        fixed: Settings that must stay as they are for as long as the store is used.
        snapshots: By step, the version of its state.
        steps: Ids of the steps that have state.

    """

    version: str
    fixed: dict[str, str | int]
    snapshots: dict[str, str]
    steps: tuple[str, ...]


def prepare_store(path: Path, settings: Settings, *, fresh: bool = False) -> Path:
    """Return a store that can be used, made if there is none.

    Args:
        path: Its folder.
        settings: Of the flow that is to use it.
        fresh: Move the one that is there aside first.

    Raises:
        ConfigError: A setting differs that must not.
        ServiceError: It is damaged, or cannot be written.

    """
    if fresh:
        set_aside(path)
    _check(path)
    old = _noted(path)
    if old is not None:
        _refuse_changes(path, old.fixed, _fixed(settings))
    return store(path)


def set_aside(path: Path) -> Path | None:
    """Rename a store, so that the next one begins empty; return its new name, None if none was."""
    if not any(path.glob("part-*.sqlite3")):
        return None
    base = path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%dT%H%M%S}")
    aside, n = base, 1
    while aside.exists():
        aside, n = base.with_name(f"{base.name}.{n}"), n + 1
    try:
        path.rename(aside)
        sync_folder(path.parent)
    except OSError as error:
        why = f"cannot be moved to {aside} ({error.strerror})"
        raise ServiceError(f"recovery store {path}", why) from None
    LOG.warning("the old recovery store is in %s", aside)
    return aside


def fingerprint(settings: Settings, flow: Dataflow) -> Fingerprint:
    """Return what a store of this flow is marked with."""
    steps = (s.step_id for s in flow.substeps if type(s).__name__ not in _STATELESS)
    return Fingerprint(
        version=version("cryptotools"),
        fixed=_fixed(settings),
        snapshots=_snapshots(),
        steps=tuple(sorted(steps)),
    )


def accept(path: Path, own: Fingerprint) -> list[str]:
    """Compare a store with the flow that is about to use it, and mark it as its own.

    Returns:
        What people should know: state that begins anew, steps that came or went.

    Raises:
        ConfigError: A setting differs that must not.
        ServiceError: The note cannot be read or written.

    """
    old = _noted(path)
    if old == own:
        return []
    told: list[str] = []
    if old is not None:
        _refuse_changes(path, old.fixed, own.fixed)
        told = _differences(old, own)
    row = orjson.dumps(asdict(own), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    publish(path / NOTE, row, service="recovery store")
    return told


def _fixed(settings: Settings) -> dict[str, str | int]:
    binance = settings.binance
    if binance.ws_url or binance.rest_url:
        place = "custom"
    else:  # two names of one exchange: the ids are the same
        place = "binance" if binance.endpoint == "vision" else binance.endpoint
    return {
        "binance.market": binance.market,
        "binance.feed": binance.feed,
        "binance.endpoint": place,
        "binance.shards": binance.shards,
        "lake.partitions": settings.lake.partitions,
        "redis.partitions": settings.redis.partitions,
    }


def _noted(path: Path) -> Fingerprint | None:
    note = path / NOTE
    try:
        row = orjson.loads(note.read_bytes())
        return Fingerprint(
            str(row["version"]), dict(row["fixed"]), dict(row["snapshots"]), tuple(row["steps"])
        )
    except FileNotFoundError:
        return None  # a new store, or one made by hand
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{NOTE} cannot be read ({error})"
        raise ServiceError(f"recovery store {path}", why, hint=_NEW) from None


def _refuse_changes(path: Path, old: dict[str, Any], own: dict[str, Any]) -> None:
    for key, value in own.items():
        before = old.get(key, value)
        if before != value:
            why = f"is `{value}`, but the recovery store {path} was made with `{before}`"
            raise ConfigError(key, why, hint=f"set it back to `{before}`, or {_NEW}")


def _differences(old: Fingerprint, own: Fingerprint) -> list[str]:
    told = []
    if old.version != own.version:
        told.append(f"the recovery store is of version {old.version}, this is {own.version}")
    for step, now in own.snapshots.items():
        before = old.snapshots.get(step, now)
        if before != now:
            told.append(f"{step}: the state was `{before}`, is `{now}`: it begins anew")
    told += [f"step {step} is new: it begins without state" for step in _more(own, old)]
    told += [f"step {step} is gone: its state waits unused" for step in _more(old, own)]
    return told


def _more(one: Fingerprint, other: Fingerprint) -> list[str]:
    return sorted(set(one.steps) - set(other.steps))


def _snapshots() -> dict[str, str]:
    # The state of each step says its version first; an empty one will do.
    minute = interval("1m")
    builder = KlineBuilder("x:Y", base=minute, intervals=(minute,))
    return {
        "normalize": str(Continuity("x:Y").snapshot()[0]),
        "klines": str(builder.snapshot()[0]),
        "strategies": "-".join(map(str, StrategyHost("x:Y", ()).snapshot()[:2])),
        "paper": str(Portfolio("x:Y", PaperConfig(), "1m").snapshot()[0]),
        "ml": f"ml-{ML_VERSION}",
        "lake": f"lake-{LAKE_VERSION}",
        "recording": f"recording-{RECORDING_VERSION}",
    }


def _check(path: Path) -> None:
    counts: dict[int, set[int]] = {}
    for file in sorted(path.glob("part-*.sqlite3")):
        index, count = _part(path, file)
        counts.setdefault(count, set()).add(index)
    if len(counts) > 1:
        raise ServiceError(f"recovery store {path}", "holds parts of two stores", hint=_NEW)
    for count, found in counts.items():
        missing = set(range(count)) - found
        if missing:
            names = " ".join(f"part-{n}.sqlite3" for n in sorted(missing))
            raise ServiceError(f"recovery store {path}", f"{names} is missing", hint=_NEW)


def _part(path: Path, file: Path) -> tuple[int, int]:
    try:
        with closing(sqlite3.connect(file)) as base:
            ((said,),) = base.execute("PRAGMA quick_check(1)").fetchall()
            if said != "ok":
                raise sqlite3.DatabaseError(" ".join(str(said).split()))
            ((index, count),) = base.execute("SELECT part_index, part_count FROM parts").fetchall()
    except (sqlite3.Error, ValueError) as error:
        why = f"{file.name} is damaged: {error}"
        raise ServiceError(f"recovery store {path}", why, hint=_NEW) from None
    return int(index), int(count)
