"""``cryptotools paper``: the same figures from a lake and from Redis, and words for nothing."""

import contextlib
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.commands import paper, replay, tail
from connectors.redis.embedded import ensure, stop
from core.market.errors import FileError, ServiceError

START_US = 1_738_281_600_000_000
CONFIG = """
strategies = [
  { name = "bollinger_breakout", params = { period = 3, width = 0.5 } },
  { name = "macd_cross", params = { fast = 2, slow = 4, signal = 2 } },
]
"""


def cli(folder: Path, *options: str) -> Result:
    """Run a command in this process, in a folder of its own."""
    app = typer.Typer()
    for module in (paper, replay, tail):
        module.register(app)
    clean = {k: None for k in os.environ if k.startswith(("CRYPTOTOOLS", "REDIS"))}
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        # Logging and signals of this process are the tests'.
        patch.setattr("telemetry.log.configure", lambda *_args, **_more: None)
        patch.setattr(replay, "stop_on_signals", lambda: None)
        return CliRunner().invoke(app, options, env=clean)


def done(folder: Path, *options: str) -> Result:
    result = cli(folder, *options)
    assert result.exit_code == 0, result.output
    return result


def archive(symbol: str) -> str:
    rows = []
    for n in range(1, 700):
        price = 100 + (n * 7919 * len(symbol)) % 97 / 4
        at_us = START_US + n * 20_000_000
        rows.append(f"{n},{price:.2f},0.5,50.25,{at_us},{n % 2 == 0},True\n")
    return "".join(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lake and a Redis that one replay of three symbols filled."""
    found = tmp_path_factory.mktemp("paper")
    names = []
    for symbol in ("BTCUSDT", "DOGEUSDT", "ETHBTC"):
        names.append(f"{symbol}-trades-2025-01-31.csv")
        (found / names[-1]).write_text(archive(symbol))
    (found / "cryptotools.toml").write_text(CONFIG)
    server = ensure(found / "state" / "redis")
    told = done(found, "replay", *names, "--lake", "lake", "--redis", server.url, "--json")
    assert json.loads(told.stdout)["paper_fills"]["macd_cross"] > 10
    yield found
    stop(found / "state" / "redis")


def found(folder: Path, *options: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(done(folder, "paper", "--json", *options).stdout)
    return value


def test_lake_and_redis_give_the_same_exact_figures(folder: Path) -> None:
    of_lake, of_redis = found(folder, "--lake", "lake"), found(folder)
    assert of_lake == of_redis
    accounts = of_lake["accounts"]
    assert len(accounts) == 3 * 3
    for row in accounts:
        cash, position, price = (Decimal(row[n]) for n in ("cash", "position", "price"))
        assert Decimal(row["equity"]) == cash + position * price
        assert Decimal(row["drawdown"]) <= 0
        assert not row["bankrupt"]
        if row["instance"] != "*" and position:
            unrealised = (price - Decimal(row["entry"])) * position
            assert Decimal(row["unrealised"]) == unrealised
    totals = {row["quote"]: row for row in of_lake["totals"]}
    assert set(totals) == {"BTC", "USDT"}
    usdt = [row for row in accounts if row["key"].endswith("USDT") and row["instance"] != "*"]
    assert Decimal(totals["USDT"]["equity"]) == sum(Decimal(row["equity"]) for row in usdt)
    assert Decimal(totals["USDT"]["capital"]) == 40_000


def test_the_table_is_for_people(folder: Path) -> None:
    head, *lines = done(folder, "paper").stdout.splitlines()
    assert head.split()[:6] == ["symbol", "instance", "position", "entry", "price", "realised"]
    assert [line.split()[0] for line in lines] == [
        *["BTCUSDT"] * 3, *["DOGEUSDT"] * 3, *["ETHBTC"] * 3, "all",
    ]  # fmt: skip
    assert [line.split()[1] for line in lines[:3]] == ["bollinger_breakout", "macd_cross", "*"]
    assert lines[-1].split()[:3] == ["all", "in", "USDT"]
    assert all(line.count(" %") == 2 and "01-31 " in line for line in lines)


def test_symbols_and_instances_are_chosen(folder: Path) -> None:
    for source in ((), ("--lake", "lake")):
        few = found(folder, "-s", "dogeusdt", "-i", "macd_cross", *source)
        (row,) = few["accounts"]
        assert (row["key"], row["instance"]) == ("binance:DOGEUSDT", "macd_cross")
        (total,) = few["totals"]
        assert (total["equity"], total["fills"]) == (row["equity"], row["fills"])
        assert total["capital"] == "10000"


def test_fills_and_equity_can_be_tailed(folder: Path) -> None:
    for kind in ("fill", "equity"):
        lines = done(folder, "tail", kind, "-n", "3", "--json").stdout.splitlines()
        assert len(lines) == 3
        assert {"instance", "price", "position", "seq"} <= json.loads(lines[0]).keys()


def test_nothing_yet_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    told = done(tmp_path, "paper", "--lake", "lake")
    assert told.stdout == ""
    assert "no paper account has traded yet" in told.stderr
    off = done(tmp_path, "paper", "--set", "redis.url=none", "--set", "paper.enabled=false")
    assert "the paper portfolio is switched off: paper.enabled is false" in off.stderr
    assert found(tmp_path, "--lake", "lake") == {"accounts": [], "totals": []}


def test_no_server_and_no_lake_are_errors(tmp_path: Path) -> None:
    error = cli(tmp_path, "paper").exception
    assert isinstance(error, ServiceError)
    assert "no embedded server runs" in str(error)
    error = cli(tmp_path, "paper", "--lake", "nowhere").exception
    assert isinstance(error, FileError)
    assert "no such file" in str(error)
