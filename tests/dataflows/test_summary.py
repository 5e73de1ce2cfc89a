"""The books of a run: what came in is accounted for, what was accepted is stored."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from dataflows.summary import Summary, summarize

ROOT = Path(__file__).parents[2]
DAY_MS = 1_738_281_600_000
IDS = [1, 2, 2, 4, 3, 8, 9, 9, 9, 10]


def test_a_replay_stores_what_it_accepts(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2025-01-31.csv"
    path.write_text("".join(f"{n},100.5,0.5,50.25,{(DAY_MS + n) * 1000},True,True\n" for n in IDS))
    command = [sys.executable, "-m", "cli.main", "replay", str(path), "--lake", "lake", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True,
        check=True, timeout=60,
    )  # fmt: skip
    facts = json.loads(done.stdout)
    assert (facts["received"], facts["accepted"], facts["duplicates"]) == (10, 7, 3)
    assert (facts["stored"], facts["balanced"]) == (7, True)


def test_the_books_tell_what_was_accepted_and_not_stored() -> None:
    zero = replace(
        summarize(1.0), received=5, accepted=5, stored=5, duplicates=0, rejected=0
    )  # fmt: skip
    assert zero.balanced
    assert not replace(zero, stored=4).all_stored
    assert not replace(zero, stored=4).balanced
    assert not replace(zero, received=6).balanced
    unwritten: Summary = replace(zero, stored=None)
    assert unwritten.balanced
