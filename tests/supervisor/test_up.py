"""`cryptotools up` as real processes: killed, frozen, stopped, misused."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dataflows.heartbeat import write_status
from simulator.local import Simulator
from tests.chaos.run import Disk
from tests.supervisor.conftest import (
    SYMBOLS,
    Job,
    assert_contiguous,
    dead,
    lake_rows,
    micros,
    until,
)

pytestmark = pytest.mark.slow

Make = Callable[..., Job]


def assert_klines_are_the_exchanges(lake: Path, sim: Simulator) -> int:
    compared = 0
    for symbol in SYMBOLS:
        official = {k.open_us: k.bar for k in sim.klines(symbol, "1s", 0, sim.now_us())}
        latest = {r["open_time"]: r for r in lake_rows(lake, "klines", symbol, interval="1s")}
        opens = sorted(micros(at) for at in latest)
        assert opens == list(range(opens[0], opens[-1] + 1, 1_000_000)), symbol
        for row in latest.values():
            if not row["complete"]:
                assert micros(row["open_time"]) == opens[0], symbol  # its start nobody saw
                continue
            bar = official[micros(row["open_time"])]
            ours = [row[n] for n in ("open", "high", "low", "close", "volume")]
            theirs = [bar.open, bar.high, bar.low, bar.close, bar.volume]
            assert ours == [Decimal(n).scaleb(-8) for n in theirs], symbol
            numbers = (row["trades"], row["first_id"], row["last_id"])
            assert numbers == (bar.trades, bar.first_id, bar.last_id), symbol
            compared += 1
    return compared


def test_a_killed_flow_is_back_at_once_and_nothing_is_lost(job: Make, busy: Simulator) -> None:
    own = job(busy, KLINES__BASE="1s", KLINES__INTERVALS="1s", RECOVERY__SNAPSHOT_SECONDS="2")
    up = own.start("up")
    before = own.well()
    second, said = own.run("up")
    assert second == 3
    assert f"process {up.pid} runs a flow on it" in said
    assert own.run("run")[0] == 3

    os.kill(before["processes"]["0"]["pid"], signal.SIGKILL)
    killed = time.monotonic()
    marks = {key: one["last_id"] for key, one in before["symbols"].items()}

    def flowing() -> bool:
        found = own.status()
        passed = all((one["last_id"] or 0) > marks[key] for key, one in found["symbols"].items())
        return found["restarts"] == 1 and found["well"] and passed and found["gaps_open"] == 0

    until(flowing, 30, "the flow")
    took = time.monotonic() - killed
    after = own.well(restarts=1)
    assert after["rows"]["repaired"] > 0
    assert "SIGKILL" in after["supervisor"]["last_cause"]
    assert own.end(up) == 0
    assert own.status()["state"] == "stopped"
    assert own.run("status")[0] == 3

    assert assert_contiguous(own.folder / "lake") > 5000
    assert assert_klines_are_the_exchanges(own.folder / "lake", busy) > 10
    print(f"flowing again after {took:.1f} s")  # noqa: T201 - shown with -s; machines differ


def test_one_dead_process_of_a_cluster_brings_the_whole_flow_back(
    job: Make, calm: Simulator
) -> None:
    own = job(calm, BINANCE__SHARDS="2")
    up = own.start("up", "--processes", "2")
    before = own.well()
    pids = {row["pid"] for row in before["processes"].values()}
    assert len(pids) == 2
    os.kill(before["processes"]["1"]["pid"], signal.SIGKILL)
    after = own.well(restarts=1)
    assert pids.isdisjoint(row["pid"] for row in after["processes"].values())
    assert after["rows"]["repaired"] > 0
    assert own.end(up) == 0
    assert_contiguous(own.folder / "lake")
    assert dead(own.pids)


def test_more_and_fewer_workers_and_processes_go_on(job: Make, calm: Simulator) -> None:
    own = job(calm, BINANCE__SHARDS="2")
    for options in (("up", "-w", "2"), ("run", "-w", "1"), ("run", "-w", "3"),
                    ("up", "--processes", "2")):  # fmt: skip
        process = own.start(*options)
        found = own.well()
        if options != ("up", "-w", "2"):
            assert found["rows"]["repaired"] > 0, options
        assert own.end(process) == 0, own.said()
    assert_contiguous(own.folder / "lake")

    shutil.rmtree(own.folder / "lake")
    code, said = own.run("up", SUPERVISOR__MAX_FAILURES="1")
    assert code == 3
    assert "the last time: lake: the log in lake/.log/" in said
    assert "hint: " in said
    assert "Traceback" not in said


def test_symbols_come_and_go_by_commands_and_outlast_a_kill(job: Make, calm: Simulator) -> None:
    own = job(calm, RECORDING__PATH="recordings")
    up = own.start("up")
    before = own.well()
    code, said = own.run("symbols", "add", "bnbusdt", "nosuch")
    assert code == 2
    assert "BNBUSDT  applied" in said
    assert "has no symbol `NOSUCH`" in said
    assert own.run("symbols", "remove", "SOLUSDT")[0] == 0
    wanted = ["BNBUSDT", "BTCUSDT", "ETHUSDT"]

    def followed() -> list[str]:
        found = own.status()
        symbols = {k.partition(":")[2] for k, one in found["symbols"].items() if one["last_id"]}
        return sorted(symbols) if found["well"] else []

    until(lambda: followed() == wanted, 30, "the new symbols")
    snapshots = own.status()["processes"]["0"]["snapshots"]
    until(lambda: own.status()["processes"]["0"]["snapshots"] > snapshots + 1, 30, "a snapshot")
    os.kill(before["processes"]["0"]["pid"], signal.SIGKILL)
    until(lambda: own.status()["restarts"] == 1 and followed() == wanted, 30, "them again")
    assert sorted(json.loads(own.run("symbols", "list", "--json")[1])) == wanted
    assert own.end(up) == 0
    code, said = own.run("verify-parity")  # a replay obeys the same commands
    assert code == 0, said
    assert "binance:BNBUSDT" in said
    code, said = own.run("symbols", "add", "SOLUSDT")
    assert code == 3
    assert "no embedded server runs" in said


def test_instances_come_change_and_go_by_commands(job: Make, calm: Simulator) -> None:
    own = job(calm, BINANCE__SHARDS="2", RECORDING__PATH="recordings")
    up = own.start("up", "-w", "2")
    before = own.well()
    code, said = own.run("strategy", "add", "rsi_reversal", "-n", "fast", "-p", "period=3",
                         "-p", "oversold=49", "-p", "overbought=51")  # fmt: skip
    assert code == 0, said
    assert said.count("running") == len(SYMBOLS)
    assert "of them fetched" in said
    code, said = own.run("strategy", "add", "rsi_reversal", "-n", "fast")
    assert code == 2
    assert "there is an instance of this name" in said
    code, said = own.run("strategy", "add", "macd_cross", "-i", "7m")
    assert (code, "7m" in said) == (2, True)
    code, said = own.run("strategy", "update", "nobody", "-p", "period=3")
    assert code == 2
    assert "there is no instance `nobody`" in said

    def states() -> dict[str, set[str]]:
        rows = json.loads(own.run("strategy", "list", "--json")[1])["instances"]
        return {r["instance"]: {x["state"] for x in rows if x["instance"] == r["instance"]}
                for r in rows}  # fmt: skip

    until(lambda: states().get("fast") == {"running"}, 30, "an instance that is warm")
    assert own.run("strategy", "pause", "fast")[0] == 0
    assert own.run("strategy", "update", "fast", "-p", "period=4")[0] == 0
    assert own.run("strategy", "remove", "macd_cross")[0] == 0  # the settings have it
    snapshots = own.status()["processes"]["0"]["snapshots"]
    until(lambda: own.status()["processes"]["0"]["snapshots"] > snapshots + 4, 30, "a snapshot")
    os.kill(before["processes"]["0"]["pid"], signal.SIGKILL)
    own.well(restarts=1)
    until(lambda: states().get("fast") == {"paused"}, 30, "it is paused again")
    assert "macd_cross" not in states()
    assert own.run("strategy", "resume", "fast")[0] == 0
    spoken = own.status()["rows"]["accepted"]
    until(lambda: own.status()["rows"]["accepted"] > spoken + 3000, 60, "data")
    assert own.end(up) == 0
    rows = [r for s in SYMBOLS for r in lake_rows(own.folder / "lake", "signals", s)]
    assert any(r["instance"] == "fast" for r in rows)
    code, said = own.run("verify-parity")  # a replay obeys the same commands
    assert code == 0, said
    assert "signals" in said


SEES_ALL = '''
from core.indicators.ema import Ema
from core.indicators.sma import Sma
from strategies.base import Strategy


class Sees(Strategy):
    """Speaks of all that there is to see."""

    state = ("rows", "sum")

    def setup(self, params):
        self.near, self.far = self.use(Sma(2)), self.use(Ema(2), interval="1m")
        self.rows = self.sum = 0

    def on_kline(self, kline):
        if kline.open_us % 10_000_000 == 0:
            yield self.long(kline, f"{self.near.value:.6f} {self.far.value:.6f} {self.rows}")

    def on_trades(self, trades):
        for row, quantity in enumerate(trades.quantity.tolist()):
            self.rows += 1
            self.sum += quantity
            if self.rows % 500 == 0:
                yield self.short(self.at(row), f"{self.rows} trades of {self.sum}")

    def on_forming(self, kline):
        if kline.close_us % 60_000_000 > 50_000_000:
            yield self.flat(kline, f"{self.near.peek(kline.close):.6f}")

    def on_quality(self, event, kline):
        yield self.flat(kline, f"{event.kind}")


class Pair(Strategy):
    """Speaks of two symbols."""

    legs = ("btc",)

    def setup(self, params):
        self.own, self.other = self.use(Sma(3)), self.use(Ema(3), leg="btc")

    def on_kline(self, kline):
        beside = self.leg("btc", kline)
        close = "none" if beside is None else beside.text("close")
        yield self.long(kline, f"VERSION {self.own.value:.6f} {self.other.value:.6f} {close}")
'''

PAIR = "binance:ETHUSDT+BTCUSDT~pair"


def test_strategies_that_see_everything_outlast_a_kill_and_are_replayed(
    job: Make, calm: Simulator, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "sees.py").write_text(SEES_ALL)
    specs = json.dumps([{"name": "sees", "interval": "1s"}])
    own = job(calm, BINANCE__SHARDS="2", RECORDING__PATH="recordings", KLINES__BASE="1s",
              KLINES__INTERVALS="1s,1m", STRATEGIES_DIR=str(folder), STRATEGIES=specs)  # fmt: skip
    up = own.start("up", "-w", "2")
    before = own.well()
    add = ("strategy", "add", "pair", "-i", "1s", "-s", "ethusdt", "--leg", "btc=btcusdt")
    code, said = own.run(*add)
    assert code == 0, said
    assert PAIR in said
    assert "running" in said

    def signals(key: str) -> list[dict[str, Any]]:
        return lake_rows(own.folder / "lake", "signals", key.partition(":")[2])

    snapshots = own.status()["processes"]["0"]["snapshots"]
    until(lambda: own.status()["processes"]["0"]["snapshots"] > snapshots + 4, 30, "a snapshot")
    os.kill(before["processes"]["0"]["pid"], signal.SIGKILL)
    own.well(restarts=1)
    accepted = own.status()["rows"]["accepted"]
    until(lambda: own.status()["rows"]["accepted"] > accepted + 5000, 60, "data")
    assert own.end(up) == 0
    code, said = own.run("verify-parity")
    assert code == 0, said
    assert "~pair" in said

    (folder / "sees.py").write_text(SEES_ALL.replace("VERSION", "changed"))
    again = own.start("up", "-w", "2")
    own.well()
    code, said = own.run("strategy", "update", "pair")
    assert code == 0, said
    snapshots = own.status()["processes"]["0"]["snapshots"]
    until(lambda: own.status()["processes"]["0"]["snapshots"] > snapshots + 4, 30, "a snapshot")
    assert own.end(again) == 0
    spoken = signals(PAIR)
    opens = [micros(row["time"]) for row in spoken]
    assert opens == list(range(opens[0], opens[0] + len(opens) * 1_000_000, 1_000_000))
    assert spoken[-1]["reason"].startswith("changed")
    assert not any(row["reason"].endswith("none") for row in spoken)
    assert {row["side"] for row in signals("binance:BTCUSDT")} == {"long", "short", "flat"}


def test_a_frozen_flow_is_started_again(job: Make, calm: Simulator) -> None:
    own = job(calm, SUPERVISOR__FROZEN_SECONDS="3", SUPERVISOR__GRACE_SECONDS="1")
    up = own.start("up")
    pid = own.well()["processes"]["0"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    found = own.well(restarts=1)
    assert "no sign of life" in found["supervisor"]["last_cause"]
    # One that is frozen cannot end by itself either.
    os.kill(found["processes"]["0"]["pid"], signal.SIGSTOP)
    assert own.end(up) == 3
    assert "was killed before it had ended" in own.said()
    assert dead(own.pids)


def test_a_mistake_is_told_once_and_not_tried_again(job: Make, calm: Simulator) -> None:
    own = job(calm, SYMBOLS="BTCUSDT,NOSUCH", REDIS__URL="none")
    code, said = own.run("up")
    assert code == 2
    assert said.count("has no symbol `NOSUCH`") == 1
    assert own.status()["restarts"] == 0


def test_a_flow_that_cannot_start_is_given_up_with_its_error(job: Make, calm: Simulator) -> None:
    (own := job(calm, REDIS__URL="none")).folder.joinpath("taken").write_text("a file")
    code, said = own.run("up", LAKE__PATH="taken/x", SUPERVISOR__MAX_FAILURES="2")
    assert code == 3
    assert "failed 2 times within 300 s; the last time: lake: cannot write taken/x" in said
    assert dead(own.pids)


def test_a_full_disk_is_waited_for_and_nothing_is_lost(job: Make, calm: Simulator) -> None:
    own = job(calm, SUPERVISOR__MAX_FAILURES="1", LAKE__PATH="small/lake")
    disk = Disk(own.folder / "small", mib=1200)  # with less the status complains from the start
    if not disk.small:
        pytest.skip("no file system may be mounted here")
    try:
        up = own.start("up")
        own.well()
        disk.fill()
        until(lambda: own.status()["state"] == "waiting", 30, "that it waits for space")
        found = own.status()
        said = "the disk of small/lake has 0 MiB left, 32 are needed"
        assert found["troubles"] == (said,)
        assert "No space left on device" in found["supervisor"]["last_cause"]
        disk.free()
        assert own.well(restarts=1)["rows"]["repaired"] > 0
        assert own.end(up) == 0
        assert_contiguous(own.folder / "small" / "lake")
    finally:
        own.clean()
        disk.unmount()


def test_a_status_is_written_on_a_full_disk_too(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "small")
    if not disk.small:
        pytest.skip("no file system may be mounted here")
    try:
        path = tmp_path / "small" / "0.json"
        write_status(path, {"state": "running", "symbols": {"binance:BTCUSDT": 1}})
        disk.fill()
        write_status(path, {"state": "failed"})
        assert path.read_bytes() == b'{"state":"failed"}'
        assert not list(path.parent.glob(".*.tmp"))
    finally:
        disk.unmount()


def test_a_flow_whose_supervisor_dies_ends_by_itself(job: Make, calm: Simulator) -> None:
    own = job(calm, REDIS__URL="none")
    up = own.start("up")
    own.well()
    up.kill()
    up.wait()
    until(lambda: dead(own.pids), 20, "its end")
    assert own.status()["processes"]["0"]["state"] == "stopped"
    assert_contiguous(own.folder / "lake")
    again = own.start("up")  # its locks are free
    assert own.well()["rows"]["repaired"] > 0
    assert own.end(again) == 0


def test_a_newcomer_needs_nothing_but_up_demo(job: Make, tmp_path: Path) -> None:
    own = job(None)
    up = own.start("up", "--demo", "--port", "0")
    config = tmp_path / "demo" / "cryptotools.toml"
    until(lambda: own.run("status", "-c", str(config))[0] == 0, 40, "a flow that is well")
    code, said = own.run("up", "--demo")
    assert code == 3
    assert "runs a flow on it" in said
    assert own.end(up) == 0
    code, said = own.run("status", "-c", str(config))
    assert code == 3
    assert "it was stopped" in said
