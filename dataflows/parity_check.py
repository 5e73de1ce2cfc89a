"""What runs left of themselves, and the chains of a replay held against it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from pydantic import BaseModel, ConfigDict, ValidationError

from core.ledger.chain import Chain, Chained, stream_of, text_of
from core.market.errors import FileError
from dataflows.parity import FOLDER


class Told(BaseModel):
    """What a run says of one chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    last_seq: int
    link: str
    marks: dict[int, str]

    @property
    def targets(self) -> dict[int, str]:
        """Every link that is known, by count."""
        return {**self.marks, self.count: self.link}


class RunFile(BaseModel):
    """One file of a run's chains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    started_us: int
    resumed: bool
    closed: bool
    settings: dict[str, Any]
    keys: dict[str, dict[str, Told]]


def runs_of(lake: Path) -> list[list[RunFile]]:
    """Return the files of each run that a lake knows, oldest run first.

    Raises:
        FileError: There are none, or one cannot be read.

    """
    found: dict[int, list[RunFile]] = {}
    for path in sorted((lake / FOLDER).glob("run-*/part-*.json")):
        try:
            file = RunFile.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise FileError(path, f"is no file of parity ({str(error).splitlines()[0]})") from None
        found.setdefault(file.started_us, []).append(file)
    if not found:
        raise FileError(
            lake / FOLDER, "no run left its hashes here: was the recording switched on?"
        )
    return [found[at] for at in sorted(found)]


@dataclass(slots=True)
class Checker:
    """One chain of a replay, held against the run's."""

    told: Told | None
    chain: Chain = field(default_factory=Chain)
    proven: int = 0
    parted: int = 0  # the count at which the links differ; 0 while they do not
    window: list[bytes] = field(default_factory=list)  # texts since `proven`

    def add(self, record: Chained) -> None:
        """Take a record of the replay."""
        text = text_of(record)
        self.chain.add(text, record.seq)
        if self.parted or (self.told is not None and self.chain.count > self.told.count):
            return
        self.window.append(text)
        link = None if self.told is None else self.told.targets.get(self.chain.count)
        if link == self.chain.link.hex():
            self.proven = self.chain.count
            self.window.clear()
        elif link is not None:
            self.parted = self.chain.count


class CheckSink(FixedPartitionedSink[Any, None]):
    """Holds ``(key, record)`` of a replay against a run's chains, in this process."""

    def __init__(self, told: dict[str, dict[str, Told]]) -> None:
        self.checkers = {
            key: {stream: Checker(one) for stream, one in streams.items()}
            for key, streams in told.items()
        }

    def list_parts(self) -> list[str]:
        """Return the only partition: its work is small."""
        return ["check"]

    def build_part(self, _step_id: str, _for_part: str, _state: None) -> "CheckPartition":
        """Return the partition."""
        return CheckPartition(self.checkers)


class CheckPartition(StatefulSinkPartition[Any, None]):
    """Adds each record to its chain."""

    def __init__(self, checkers: dict[str, dict[str, Checker]]) -> None:
        self._checkers = checkers

    def write_batch(self, values: list[Any]) -> None:
        """Take records; what is in no chain is ignored."""
        for record in values:
            stream = stream_of(record)
            if stream is not None:
                own = self._checkers.setdefault(record.key, {})
                if stream not in own:
                    own[stream] = Checker(None)
                own[stream].add(record)

    def snapshot(self) -> None:
        """Nothing is kept: a check that is broken off begins anew."""
