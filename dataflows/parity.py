"""Step: what the flow emits → rolling hashes, by which a replay can be held against the live run.

    lake/parity/run-<start, us>/part-<n>.json

A file holds, per instrument and stream (klines of an interval, signals, fills, equity), how many
records there were and the chain's last link (`core.ledger.chain`), and with which settings the run
ran. Files are written every quarter of an hour of data time and at the end; in between the chains
are in the step's snapshot, so a run that goes on after a crash goes on with them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from zlib import crc32

import orjson
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.durable import publish
from connectors.shutdown import FAILED, one_error
from core.ledger.chain import Chain, Chains
from core.market.errors import SnapshotError
from core.market.intervals import MINUTE_US
from core.market.kline import Kline
from core.paper.config import PaperConfig
from dataflows.klines import KlinePlan
from strategies.ml.config import MlConfig
from strategies.spec import InstanceSpec

Snapshot: TypeAlias = tuple[Any, ...]
Settings: TypeAlias = dict[str, Any]

FOLDER = "parity"
_EVERY_US = 15 * MINUTE_US
_VERSION = "parity-1"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the flow.

    Attributes:
        started_us: Our clock when it was composed: its inputs were recorded from then on.
        settings: What its output depends on beside its inputs.
        resumed: It went on from a snapshot of a run with other settings.

    """

    started_us: int
    settings: Settings
    resumed: bool = False


def settings_of(
    plan: KlinePlan,
    strategies: Iterable[InstanceSpec],
    paper: PaperConfig | None = None,
    ml: MlConfig | None = None,
) -> Settings:
    """Return what a run's output depends on beside its inputs, as plain values.

    Which versions of models spoke is among its inputs.
    """
    klines = {
        "base": plan.base.name,
        "intervals": [i.name for i in plan.intervals],
        "grace_us": plan.grace_us,
        "empty": plan.empty,
    }
    told = {"klines": klines, "strategies": [s.model_dump(mode="json") for s in strategies]}
    if paper is not None:
        told["paper"] = paper.model_dump(mode="json")
    if ml is not None and ml.features:
        told["ml"] = _settings_of_ml(ml)
    return told


def _settings_of_ml(ml: MlConfig) -> Settings:
    models = [m.model_dump(mode="json", exclude={"shadows"}) for m in ml.models]
    features = [[f.name, f.definition, f.warmup] for f in ml.features]
    return {"features": features, "models": models, "scores": ml.scores.model_dump()}


class ParityPartition(StatefulSinkPartition[Any, Snapshot]):
    """The chains of some instruments."""

    def __init__(self, path: Path, name: str, run: Run, resume_state: Snapshot | None) -> None:
        self._path, self._name = path, name
        self._run = run
        self._chains = Chains()
        self._due_us = 0
        if resume_state is not None:
            self._restore(resume_state)

    def write_batch(self, values: list[Any]) -> None:
        """Take records; what is in no chain is ignored."""
        newest_us = 0
        for record in values:
            if self._chains.add(record) is not None and isinstance(record, Kline):
                newest_us = max(newest_us, record.close_us)
        if newest_us >= self._due_us and newest_us:
            # Some instruments' klines come a little later than others': one file for all of them.
            self._due_us = (newest_us // _EVERY_US + 1) * _EVERY_US + MINUTE_US - 1
            with one_error():
                self._write(closed=False)

    def snapshot(self) -> Snapshot:
        """Return the chains as plain values."""
        run = (self._run.started_us, orjson.dumps(self._run.settings), self._run.resumed)
        return _VERSION, run, self._due_us, self._chains.map(Chain.snapshot)

    def close(self) -> None:
        """Write the chains: the input is at its end."""
        with one_error(closing=True):
            if self._chains.by_key:
                self._write(closed=not FAILED.is_set())

    def _restore(self, state: Snapshot) -> None:
        if state[0] != _VERSION:
            raise SnapshotError("chains of hashes", state[0], _VERSION)
        _, (started_us, settings, resumed), due_us, chains = state
        if orjson.loads(settings) != self._run.settings:
            self._run = Run(self._run.started_us, self._run.settings, resumed=True)
            return
        self._run = Run(started_us, self._run.settings, resumed=resumed)
        self._due_us = due_us
        for key, streams in chains.items():
            self._chains.by_key[key] = {s: Chain.restore(c) for s, c in streams.items()}

    def _write(self, *, closed: bool) -> None:
        folder = self._path / f"run-{self._run.started_us:016d}"
        row = {
            "started_us": self._run.started_us,
            "resumed": self._run.resumed,
            "closed": closed,
            "settings": self._run.settings,
            "keys": self._chains.map(_told),
        }
        options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        publish(folder / self._name, orjson.dumps(row, option=options), service="parity")


class ParitySink(FixedPartitionedSink[Any, Snapshot]):
    """Keeps the chains of final klines, signals, fills and equity, given as ``(key, record)``.

    Args:
        lake: The lake's folder.
        run: Which run it is.
        partitions: Writers side by side; fixed for a deployment.

    """

    def __init__(self, lake: Path, run: Run, *, partitions: int = 4) -> None:
        self._path = lake / FOLDER
        self._run = run
        self._partitions = partitions

    def list_parts(self) -> list[str]:
        """Return a name per writer."""
        return [f"parity-{n:02d}" for n in range(self._partitions)]

    def part_fn(self, item_key: str) -> int:
        """Return a number that is the same for a key on every machine and in every run."""
        return crc32(item_key.encode())

    def build_part(
        self, _step_id: str, for_part: str, resume_state: Snapshot | None
    ) -> ParityPartition:
        """Return a partition that goes on where its snapshot stood."""
        name = f"{for_part.replace('parity', 'part')}.json"
        return ParityPartition(self._path, name, self._run, resume_state)


def _told(chain: Chain) -> dict[str, object]:
    return {
        "count": chain.count,
        "last_seq": chain.last_seq,
        "link": chain.link.hex(),
        "marks": {str(count): link.hex() for count, link in chain.marks},
    }
