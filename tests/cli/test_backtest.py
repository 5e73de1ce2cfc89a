"""``cryptotools backtest``: one file to look at, the same bytes again, words for what is wrong."""

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.commands import backtest, replay
from connectors.shutdown import STOP
from core.market.errors import ConfigError, CryptoToolsError, FileError, StrategyError
from tests.dataflows.backtests import START_US, walk, write

DATA = Path(__file__).parents[3] / "shared" / "data" / "kl-full12"
QUICK = ("-S", "bollinger_breakout", "-p", "period=4,width=0.5", "--warmup", "lookback")
GRID = ("-S", "macd_cross", "-p", "fast=2,3,4,slow=5,6,signal=2", "--warmup", "lookback")


def cli(folder: Path, *options: str) -> Result:
    """Run a command in this process, in a folder of its own."""
    app = typer.Typer()
    for module in (backtest, replay):
        module.register(app)
    clean = {k: None for k in os.environ if k.startswith(("CRYPTOTOOLS", "REDIS"))}
    STOP.clear()
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        # Logging and signals of this process are the tests'.
        patch.setattr("telemetry.log.configure", lambda *_args, **_more: None)
        patch.setattr(backtest, "stop_on_signals", lambda: None)
        return CliRunner().invoke(app, options, env=clean)


def done(folder: Path, *options: str) -> Result:
    result = cli(folder, "backtest", *options)
    assert result.exit_code == 0, result.output + str(result.exception)
    return result


def told(folder: Path, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done(folder, *options, "--json").stdout)
    return found


def refused(folder: Path, *options: str) -> CryptoToolsError:
    result = cli(folder, "backtest", *options)
    assert isinstance(result.exception, CryptoToolsError), result.output
    return result.exception


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("backtest")
    write(found, walk(400))
    return found


def test_the_same_command_twice_gives_the_same_bytes(folder: Path) -> None:
    options = ("-d", "BTCUSDT-1m.csv", *GRID, "--json")
    one = done(folder, *options, "-o", "one.html").stdout
    two = done(folder, *options, "-o", "two.html").stdout
    assert one == two
    assert (folder / "one.html").read_bytes() == (folder / "two.html").read_bytes()


def test_processes_change_nothing(folder: Path) -> None:
    one = done(folder, "-d", "BTCUSDT-1m.csv", *GRID, "--json", "-j", "1", "-o", "j1.html").stdout
    two = done(folder, "-d", "BTCUSDT-1m.csv", *GRID, "--json", "-j", "2", "-o", "j2.html").stdout
    assert one == two
    assert (folder / "j1.html").read_bytes() == (folder / "j2.html").read_bytes()


def test_the_hash_follows_data_parameters_and_settings(folder: Path, tmp_path: Path) -> None:
    def digest(*options: str, at: Path = folder) -> str:
        found: str = told(at, "-d", "BTCUSDT-1m.csv", *options, "-o", "hash.html")["hash"]
        return found

    base = digest(*QUICK)
    write(tmp_path, walk(400))
    assert digest(*QUICK, at=tmp_path) == base  # where the data are is not what they are
    write(tmp_path, walk(401))
    others = [
        digest(*QUICK, at=tmp_path),
        digest(*QUICK, "--fee", "7.5"),
        digest(*QUICK, "--to", "2025-01-31T06:00"),
        digest(*QUICK, "-i", "5m"),
        digest("-S", "bollinger_breakout", "-p", "period=5", "--warmup", "lookback"),
    ]
    assert len({base, *others}) == 6


def test_the_report_is_named_by_the_hash_and_needs_nothing_else(folder: Path) -> None:
    found = told(folder, "-d", "BTCUSDT-1m.csv", *QUICK)
    (path,) = folder.glob(f"backtest-{found['hash'][:16]}.html")
    page = path.read_text("utf-8")
    assert found["hash"] in page
    assert not re.search(r"https?://|<script|<link|<img|@import|src=|url\((?!#)", page)
    assert page.count("<svg") >= 4
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_json_has_every_trade_and_its_sum(folder: Path) -> None:
    from decimal import Decimal

    (result,) = told(folder, "-d", "BTCUSDT-1m.csv", *QUICK)["results"]
    figures = result["statistics"]
    assert figures["trades"] > 20
    profit = sum((Decimal(trade["profit"]) for trade in result["trades"]), Decimal(0))
    assert profit == Decimal(figures["profit"])
    assert len(result["equity"]["close_ms"]) == len(result["equity"]["equity"])
    assert result["equity"]["equity"][-1] == pytest.approx(float(figures["equity"]))


def test_the_best_come_first(folder: Path) -> None:
    for sort, name, sign in (("return", "total_return", -1), ("fees", "fees", 1)):
        found = told(folder, "-d", "BTCUSDT-1m.csv", *GRID, "--sort", sort)["results"]
        values = [float(result["statistics"][name]) * sign for result in found]
        assert values == sorted(values)
        assert [("trades" in result) for result in found] == [True] + [False] * 5


def test_size_and_costs_are_those_asked_for(folder: Path) -> None:
    options = ("--size", "500quote", "--cash", "2000", "--fee", "0", "--slippage", "0")
    found = told(folder, "-d", "BTCUSDT-1m.csv", *QUICK, *options)
    paper = found["settings"]["paper"]
    assert (paper["size_mode"], paper["size"], paper["cash"]) == ("quote", "500", "2000")
    (result,) = found["results"]
    assert result["statistics"]["fees"] == "0"
    entry = result["trades"][0]
    assert 490 < float(entry["entry"]) * float(entry["quantity"]) <= 500


def test_trades_of_archives_and_lakes_give_the_same(tmp_path: Path) -> None:
    rows = []
    for n in range(1, 900):
        price, at_us = 100 + (n * 7919) % 97 / 4, START_US + n * 20_000_000
        rows.append(f"{n},{price:.2f},0.5,50.25,{at_us},{n % 2 == 0},True\n")
    (tmp_path / "BTCUSDT-trades-2025-01-31.csv").write_text("".join(rows))
    result = cli(tmp_path, "replay", "BTCUSDT-trades-2025-01-31.csv", "--lake", "lake", "--json")
    assert result.exit_code == 0
    (of_file,) = told(tmp_path, "-d", "BTCUSDT-trades-2025-01-31.csv", *QUICK)["results"]
    (of_lake,) = told(tmp_path, "-d", "lake", *QUICK)["results"]
    # The file covers the whole day, the lake ends with its last trade.
    assert of_file["fills"] == of_lake["fills"]
    assert of_file["trades"] == of_lake["trades"]
    assert of_file["statistics"]["trades"] > 20


def test_a_strategy_that_raises_is_shown(tmp_path: Path) -> None:
    write(tmp_path, walk(60))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "broken.py").write_text(
        "from strategies.base import Strategy\n\n\n"
        "class Broken(Strategy):\n"
        "    def setup(self, params): pass\n\n"
        "    def on_kline(self, kline):\n"
        "        raise ValueError('<b>bad & worse</b>')\n"
    )
    options = ("--set", "strategies_dir=own", "-S", "broken", "-d", "BTCUSDT-1m.csv")
    result = done(tmp_path, *options, "-o", "r.html")
    assert "1 errored" in result.stderr
    page = (tmp_path / "r.html").read_text()
    assert "&lt;b&gt;bad &amp; worse&lt;/b&gt;" in page
    assert "<b>bad" not in page


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    write(tmp_path, walk(60), "<img onerror=x>.csv")
    done(tmp_path, "-d", "<img onerror=x>.csv", "-s", "<B>&'$X$", *QUICK, "-o", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<img" not in page
    assert "<B>" not in page
    assert "&lt;img onerror=x&gt;.csv" in page
    assert "&lt;B&gt;&amp;" in page


def test_what_is_wrong_is_said_with_the_way_out(folder: Path) -> None:
    data = ("-d", "BTCUSDT-1m.csv")
    assert "--warmup lookback" in str(refused(folder, *data, "-S", "macd_cross"))
    found = refused(folder, *data, "-S", "rsi_reversal", "-p", "perod=3")
    assert isinstance(found, StrategyError)
    assert "did you mean `period`" in str(found)
    found = refused(folder, *data, *GRID, "--max-combinations", "5")
    assert isinstance(found, ConfigError)
    assert "--max-combinations 6" in str(found)
    assert "no such file" in str(refused(folder, "-d", "nothing.csv", *QUICK))
    assert isinstance(refused(folder, *data, *QUICK, "-s", "ethusdt"), FileError)
    assert "2025-01-31 00:00" in str(refused(folder, *data, *QUICK, "--from", "2025-03-01"))
    assert "klines of 1s cannot be made" in str(refused(folder, *data, *QUICK, "-i", "1s"))
    assert "did you mean" in str(refused(folder, *data, "-S", "rsi_reversl"))
    assert isinstance(refused(folder, *data, *QUICK, "--fee", "many"), ConfigError)


def test_a_start_before_the_warm_up_is_over_is_said(folder: Path) -> None:
    said = done(folder, "-d", "BTCUSDT-1m.csv", *QUICK, "--from", "2025-01-31T00:01").stderr
    assert "behind --from" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "klines"),
    [
        ("usdm_NEARUSDT-1m-2026-06.csv.gz", 43_200),
        ("spot_BTCUSDT-1m_2025-10-29_11-01.csv.gz", 4_320),
        ("spot_BTCUSDT-1h_250.json", 250),
    ],
)  # fmt: skip
def test_real_klines_make_a_report(tmp_path: Path, name: str, klines: int) -> None:
    if not DATA.is_dir():
        pytest.skip("recorded market data is not here")
    of = ("-i", "1h") if "1h" in name else ()
    found = told(tmp_path, "-d", str(DATA / name), "--warmup", "lookback", *of, "-o", "r.html")
    assert {r["strategy"] for r in found["results"]} == {
        "rsi_reversal", "macd_cross", "bollinger_breakout",
    }  # fmt: skip
    (market,) = found["instruments"].values()
    assert list(market["klines"].values()) == [klines]
    assert (tmp_path / "r.html").stat().st_size < 2_000_000
