"""A flow with recovery, killed wherever it touches the disk, against one that nobody disturbed.

A kill before the engine's first snapshot is not one of these: the next start is a fresh one, which
keeps what the dead run recorded, while the source begins anew. Such lives are begun again.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from connectors.recording.reader import read_frames

_FLOW = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
import numpy as np
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, cluster_main
from connectors.parquet.config import LakeConfig
from connectors.parquet.sink import LakeSink
from connectors.recording.sink import RecordingSink
from connectors.recording.writer import Rotation
from core.market.events import Frame, Gap
from core.market.trades import Trades

root, death = Path(sys.argv[1]), int(sys.argv[2])
calls = 0

def dying(owner, name):
    real = getattr(owner, name)

    def call(first, *rest, **options):
        global calls
        calls += 1
        if calls == death:
            if name == "writev":
                joined = b"".join(rest[0])
                real(first, [joined[: len(joined) // 2]])
            if name == "write":
                real(first, rest[0][: len(rest[0]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(first, *rest, **options)

    setattr(owner, name, call)

for owner, name in ((os, "write"), (os, "writev"), (os, "fsync"), (os, "ftruncate"),
                    (Path, "replace"), (Path, "unlink")):
    dying(owner, name)

trades, frames = [], []
for n in range(400):
    key = "binance:" + ("BTCUSDT", "ETHUSDT", "SOLUSDT")[n % 3]
    ids = np.arange(n * 20, n * 20 + 20)
    trades.append((key, Trades(key, 2, 5, ids, ids * 30_000_000, ids % 97, ids % 89, ids % 3 == 0)))
    if n % 7 == 0:
        trades.append((key, Gap(key, n * 600_000_000, n, first_id=1, last_id=2, reason="404")))
    shard = f"binance:shard-{n % 2}"
    frames.append((shard, Frame(shard, n * 1000, "frame", 0, "x" * (n % 50))))

def told(sink):
    real = sink.build_part

    def build(step, part, state):
        with (root / "starts").open("a") as file:
            file.write("fresh\\n" if state is None else "resumed\\n")
        return real(step, part, state)

    sink.build_part = build
    return sink

flow = Dataflow("flow")
op.output("lake", op.input("trades", flow, TestingSource(trades, 3)),
          told(LakeSink(LakeConfig(path=root / "lake", rotate_rows=170))))
op.output("recording", op.input("frames", flow, TestingSource(frames, 3)),
          told(RecordingSink(root / "recording", Rotation(rows=23))))
recovery = root / "recovery"
if not recovery.exists():
    recovery.mkdir()
    init_db_dir(recovery, 1)
cluster_main(flow, [], 0, epoch_interval=timedelta(milliseconds=int(sys.argv[3])),
             recovery_config=RecoveryConfig(str(recovery)), worker_count_per_proc=int(sys.argv[4]))
"""


def _run(root: Path, death: int, epoch_ms: int = 5, workers: int = 1) -> int:
    root.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _FLOW, str(root), str(death), str(epoch_ms), str(workers)]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def _starts(root: Path) -> str:
    path = root / "starts"
    said = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    return said


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*.parquet")):
        yield str(path.relative_to(root)), path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "workers"), [(1, 1), (2, 1), (3, 2)])
def test_a_flow_killed_anywhere_and_resumed_writes_what_an_undisturbed_one_writes(
    tmp_path: Path, seed: int, workers: int
) -> None:
    rng = np.random.default_rng(seed)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _run(whole, 0) == 0

    kills, begun = 0, False
    for _ in range(14):
        epoch_ms = int(rng.choice([0, 5, 20]))
        code = _run(killed, int(rng.integers(20, 150)), epoch_ms, workers)
        starts = _starts(killed)
        if begun and starts and "resumed" not in starts:
            shutil.rmtree(killed)
        begun = killed.exists()
        kills += begun and code != 0
    while _run(killed, 0) == 0 and begun and "resumed" not in _starts(killed):
        shutil.rmtree(killed)
        begun = False

    assert kills >= 4
    assert dict(_files(killed)) == dict(_files(whole))
    assert not list(killed.rglob("*.tmp"))
    assert sum(1 for _ in read_frames(killed / "recording")) == 400
