"""The commands that prove: tables and JSON, exit codes, what they leave behind."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DAYS = ("2025-01-30", "2025-01-31", "2025-02-01")
PER_DAY = 96


def cli(folder: Path, *options: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *options],
        cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def days(folder: Path, missing: range = range(0)) -> list[str]:
    names = []
    start_us = int(datetime.fromisoformat(DAYS[0]).replace(tzinfo=UTC).timestamp()) * 1_000_000
    for number, day in enumerate(DAYS):
        ids = range(number * PER_DAY, (number + 1) * PER_DAY)
        names.append(f"BTCUSDT-trades-{day}.csv")
        (folder / names[-1]).write_text(
            "".join(
                f"{n},{100 + n % 7}.5,0.5,50.25,{start_us + n * 900_000_000},{n % 2 == 0},True\n"
                for n in ids
                if n not in missing
            )
        )
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of trades and the lake that the flow makes of them."""
    found = tmp_path_factory.mktemp("proof")
    cli(found, "replay", *days(found), "--lake", "lake")
    return found


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a hole."""
    found = tmp_path_factory.mktemp("holed")
    cli(found, "replay", *days(found, range(120, 130)), "--lake", "lake")
    return found


def test_a_complete_day_is_a_success(folder: Path) -> None:
    done = cli(folder, "certify", "btcusdt", DAYS[1], "--write")
    assert "complete" in done.stdout
    assert "1440 of 1440" in done.stdout
    stored = folder / f"lake/certificates/exchange=binance/symbol=BTCUSDT/{DAYS[1]}.json"
    (line,) = cli(folder, "certify", "BTCUSDT", DAYS[1], "--json").stdout.splitlines()
    assert json.loads(line) == json.loads(stored.read_text())
    assert json.loads(line)["state"] == "complete"


def test_one_incomplete_day_is_exit_1_with_its_reason(folder: Path) -> None:
    done = cli(folder, "certify", exit_code=1)
    assert "no later trade is held" in done.stdout
    assert done.stdout.count("incomplete") == 1


def test_a_lake_that_is_not_there_is_one_clear_error(folder: Path) -> None:
    assert "no such file" in cli(folder, "certify", "--lake", "nowhere", exit_code=1).stderr
    assert "nothing of ETHUSDT" in cli(folder, "gaps", "ETHUSDT", exit_code=1).stderr
    assert "is no day" in cli(folder, "certify", "BTCUSDT", "monday", exit_code=2).stderr


def test_gaps_tell_the_ids_the_times_the_evidence_and_the_remedy(folder: Path, holed: Path) -> None:
    whole = json.loads(cli(folder, "gaps", "--json").stdout)
    assert [gap["between"] for gap in whole] == [False]  # only what may be after the last trade
    told = json.loads(cli(holed, "gaps", "BTCUSDT", "--json", exit_code=1).stdout)
    gap = next(gap for gap in told if gap["between"])
    assert (gap["first_id"], gap["last_id"]) == (120, 129)
    assert (gap["start_time"], gap["end_time"]) == (
        "2025-01-31T05:45:00Z", "2025-01-31T08:30:00Z",
    )  # fmt: skip
    assert gap["get"] == "cryptotools backfill BTCUSDT 120..129"
    shown = cli(holed, "gaps", exit_code=1).stdout
    assert "120..129" in shown
    assert "the input skips these ids" in shown


def test_verify_compares_with_archive_files(folder: Path, holed: Path) -> None:
    done = cli(folder, "verify", f"BTCUSDT-trades-{DAYS[1]}.csv")
    assert "same" in done.stdout
    path = str(folder / f"BTCUSDT-trades-{DAYS[1]}.csv")
    done = cli(holed, "verify", "--against", "archive", path, "--json", exit_code=1)
    (outcome,) = json.loads(done.stdout)
    assert (outcome["equal"], outcome["only_there"], outcome["same"]) == (PER_DAY - 10, 10, False)
    assert "only there: 120..129" in cli(holed, "verify", path, exit_code=1).stdout
    assert "no archive file" in cli(folder, "verify", exit_code=2).stderr
    nowhere = ("--set", "binance.rest_url=http://127.0.0.1:9", "--set", "binance.ws_url=ws://x")
    done = cli(folder, "verify", "--against", "exchange", "-s", "BTCUSDT", *nowhere, exit_code=3)
    assert "127.0.0.1:9" in done.stderr


def test_parity_needs_hashes_of_a_run(folder: Path) -> None:
    done = cli(folder, "verify-parity", "recordings", "--lake", "lake", exit_code=1)
    assert "no run left its hashes" in done.stderr


@pytest.mark.slow
def test_a_demo_is_proven_by_its_recording(tmp_path: Path) -> None:
    cli(tmp_path, "demo", "--seconds", "10", "--speed", "90", "--json")
    options = ("-c", "demo/cryptotools.toml", "--json")
    found = json.loads(cli(tmp_path, "verify-parity", *options).stdout)
    assert {v["stream"] for v in found} >= {"klines 1m", "klines 5m", "signals"}
    assert all(v["equal"] and v["records"] == v["of"] for v in found)
    again = json.loads(cli(tmp_path, "verify-parity", *options, "-w", "2").stdout)
    assert again == found
    one = ("--set", "strategies=[]")
    (verdict,) = json.loads(cli(tmp_path, "verify-parity", *options, *one, exit_code=1).stdout)
    assert "the run had other strategies" in verdict["detail"]
    holes = json.loads(cli(tmp_path, "gaps", *options).stdout)
    assert not [gap for gap in holes if gap["between"]]
