"""Commands as a user runs them: processes, exit codes, JSON, no traceback for a mistake."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from simulator.local import Simulator

ARCHIVE = "BTCUSDT-trades-2025-01-31.csv"
DAY_MS = 1_738_281_600_000
TRADES = "".join(
    f"{n},{100 + n % 7}.5,0.5,50.25,{(DAY_MS + n * 20_000) * 1000},{n % 2 == 0},True\n"
    for n in range(500)
)
ROOT = Path(__file__).parents[2]


def cli(
    folder: Path, *options: str, exit_code: int = 0, file_limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    env = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOTOOLS", "REDIS"))}
    env["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *options],
        cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False,
        preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / ARCHIVE
    path.write_text(TRADES)
    return path


def test_help_names_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    told = cli(tmp_path, "--help").stdout
    for name in (
        "demo",
        "run",
        "replay",
        "simulate",
        "record",
        "tail",
        "doctor",
        "config",
        "version",
    ):
        assert f" {name} " in told
    assert "130 interrupted" in told


def test_a_replay_ends_with_a_summary_whose_books_balance(tmp_path: Path, archive: Path) -> None:
    done = cli(tmp_path, "replay", str(archive), "--lake", "lake", "--json")
    facts = json.loads(done.stdout)
    assert (facts["received"], facts["accepted"], facts["gaps"]) == (500, 500, 0)
    assert facts["klines"]["1m"] == 1440
    assert facts["balanced"]
    assert list((tmp_path / "lake" / "trades").rglob("part-*.parquet"))
    shown = cli(tmp_path, "replay", "lake").stdout
    assert "500 in" in shown


def test_a_replay_of_chosen_strategies_of_ones_own(tmp_path: Path, archive: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "always.py").write_text(
        "from strategies.base import Strategy\n\n\n"
        "class Always(Strategy):\n"
        '    """Long on every kline."""\n\n'
        "    def setup(self, params):\n"
        "        pass\n\n"
        "    def on_kline(self, kline):\n"
        '        yield self.long(kline, "always")\n'
    )
    options = ("--strategy", "always", "--set", "strategies_dir=mine", "--json")
    facts = json.loads(cli(tmp_path, "replay", str(archive), *options).stdout)
    assert facts["signals"] == {"always": 1440}


@pytest.mark.parametrize(
    ("options", "exit_code", "said"),
    [
        (("replay", "nothing.csv"), 1, "nothing.csv: no such file"),
        (("replay", "notes.txt"), 1, "use --symbol"),
        (("replay", ARCHIVE, "--strategy", "rsi_revrsal"), 2, "`rsi_reversal`?"),
        (("replay", ARCHIVE, "--market", "moon"), 2, "moon"),
        (("run", "--set", "binance.endpont=us"), 2, "did you mean `binance.endpoint`?"),
        (("run", "--set", "nonsense"), 2, "expected KEY=VALUE"),
        (("run", "--set", "strategies_dir=nowhere"), 2, "no folder `nowhere`"),
        (("tail", "klines"), 2, "there is no `klines`"),
        (("tail", "kline"), 3, "no embedded server runs"),
        (("simulate", "--scenario", "storm"), 2, "unknown scenario `storm`"),
        (("simulate", "--fault", "drop@never"), 2, "drop"),
        (("bench", "nothing"), 2, "there is no `nothing`"),
        (("config", "show", "-c", "nowhere.toml"), 2, "cannot be read"),
        (("fly",), 2, "fly"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_clear_error(
    tmp_path: Path, archive: Path, options: tuple[str, ...], exit_code: int, said: str
) -> None:
    (tmp_path / "notes.txt").write_text("1,2,3\n")
    assert said in cli(tmp_path, *options, exit_code=exit_code).stderr


def test_a_symbol_that_the_exchange_does_not_have_is_one_clear_error(tmp_path: Path) -> None:
    with Simulator() as sim:
        url = (
            "--set", f"binance.ws_url={sim.ws_url}", "--set", f"binance.rest_url={sim.rest_url}",
            "--set", "redis.url=none",
        )  # fmt: skip
        done = cli(tmp_path, "run", *url, "--set", "symbols=BTCUSDT,NOSUCH", exit_code=2)
    assert "has no symbol `NOSUCH`" in done.stderr


def test_a_folder_that_cannot_be_written_is_found_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    nowhere = ("--set", "binance.rest_url=http://127.0.0.1:9", "--set", "redis.url=none")
    for key in ("lake.path", "recording.path"):
        done = cli(tmp_path, "run", *nowhere, "--set", f"{key}=taken/x", exit_code=3)
        assert "cannot write taken/x" in done.stderr


def test_a_full_disk_is_an_error_with_an_exit_code_though_every_sink_fails(
    tmp_path: Path, archive: Path
) -> None:
    options = ("--lake", "lake", "--set", "lake.partitions=4")
    done = cli(tmp_path, "replay", str(archive), *options, exit_code=3, file_limit=2000)
    assert "File too large" in done.stderr
    assert "free some space" in done.stderr


def test_settings_are_shown_as_a_file_that_can_be_read_again(tmp_path: Path) -> None:
    first = cli(tmp_path, "config", "show", "--set", "binance.endpoint=vision").stdout
    (tmp_path / "cryptotools.toml").write_text(first)
    assert cli(tmp_path, "config", "show").stdout == first
    assert 'endpoint = "vision"' in first
    facts = json.loads(cli(tmp_path, "config", "check", "--json").stdout)
    assert facts["ok"]


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    shown = cli(tmp_path, "config", "show", "--json", "--set", "redis.url=redis://me:secret@h:1")
    assert "secret" not in shown.stdout
    assert json.loads(shown.stdout)["redis"]["url"] == "redis://***@h:1"


def test_versions_are_facts(tmp_path: Path) -> None:
    facts = json.loads(cli(tmp_path, "version", "--json").stdout)
    assert facts["bytewax"] == "0.21.1"


def test_the_doctor_says_what_is_wrong_and_the_way_out(tmp_path: Path) -> None:
    options = ("--json", "--set", "binance.ws_url=ws://127.0.0.1:9",
               "--set", "binance.rest_url=http://127.0.0.1:9")  # fmt: skip
    found = json.loads(cli(tmp_path, "doctor", *options, exit_code=3).stdout)
    status = {finding["check"]: finding["status"] for finding in found}
    assert status["python"] == "ok"
    assert status["redis"] == "ok"
    assert status["exchange rest"] == "failed"
    assert all(f["hint"] for f in found if f["status"] == "failed")


def test_a_simulated_exchange_starts_answers_and_ends_on_a_signal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "simulate", "-p", "0", "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        assert "serverTime" in httpx.get(f"{found['rest']}/api/v3/time").json()
        assert "BTCUSDT" in found["symbols"]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.slow
def test_the_demo_shows_klines_signals_and_a_repair_and_can_be_replayed(tmp_path: Path) -> None:
    told = cli(tmp_path, "demo", "--seconds", "18", "--speed", "40", "--json").stdout
    lines = [json.loads(line) for line in told.splitlines()]
    facts, *said, summary = lines
    assert facts["redis"].startswith("unix://")
    klines = {row["key"] for row in said if row.get("record") == "kline"}
    assert len(klines) >= 3
    assert len({row["key"] for row in said if row.get("record") == "signal"}) >= 3
    kinds = [row["kind"] for row in said if row.get("record") == "event"]
    assert kinds.count("connected") == 2
    assert "gap_repaired" in kinds
    assert summary["balanced"]
    assert summary["kline_mismatches"] == 0
    again = cli(
        tmp_path, "replay", "demo/recordings", "-c", "demo/cryptotools.toml", "--lake", "again",
        "--json",
    )  # fmt: skip
    assert json.loads(again.stdout)["signals"] == summary["signals"]
    lakes = [
        {str(p.relative_to(lake)): p.read_bytes() for p in lake.rglob("*.parquet")}
        for lake in (tmp_path / "demo" / "lake", tmp_path / "again")
    ]
    assert lakes[0] == lakes[1]
