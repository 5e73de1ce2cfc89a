"""What a command for an instance means: who is told, and which klines go with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.control import InstanceCommand
from core.exchange.plan import EVERY, Standing, Tell
from core.market.errors import ConfigError, StrategyError
from dataflows.instances import InstancePlanner
from strategies.registry import Registry
from strategies.spec import InstanceSpec, Wanted

FILE = '''
from core.indicators.sma import Sma
from strategies.base import Strategy


class Pair(Strategy):
    """Looks at much."""

    legs = ("other",)

    def setup(self, params):
        self.use(Sma(5))
        self.use(Sma(7), interval="5m")
        self.use(Sma(9), interval="1h", leg="other")

    def on_kline(self, kline):
        return []
'''

PAIR = {"name": "pair", "symbols": ["ETHUSDT"], "legs": {"other": "BTCUSDT"}}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "pair.py").write_text(FILE)
    found = Registry()
    assert found.load(tmp_path) == ()
    return found


def plan(registry: Registry, *configured: InstanceSpec, built: str = "1m 5m 1h") -> InstancePlanner:
    return InstancePlanner(configured, tuple(built.split()), registry)


def command(action: str, instance: str = "pair", **more: Any) -> InstanceCommand:  # noqa: ANN401 - fields of the model
    return InstanceCommand.model_validate(
        {"id": "c1", "action": action, "instance": instance, **more}
    )


def wanted(tell: Tell) -> Wanted:
    return Wanted.model_validate_json(tell.message.payload)


def standing(tell: Tell) -> Mapping[str, Standing]:
    return {tell.name: tell.message}


def test_all_symbols_it_looks_at_are_told_with_klines_of_all_intervals(registry: Registry) -> None:
    tell = plan(registry)(command("add", spec=PAIR), {})
    assert set(tell.message.symbols) == {"ETHUSDT", "BTCUSDT"}
    assert tell.message.klines == {"1m": 6, "5m": 8, "1h": 10}
    assert tell.lasting
    assert wanted(tell).code == registry.reread("pair")


def test_klines_that_are_not_built_are_refused_in_words(registry: Registry) -> None:
    with pytest.raises(ConfigError, match="klines of 1h are not built") as caught:
        plan(registry, built="1m 5m")(command("add", spec=PAIR), {})
    assert "add it to `klines.intervals`; there are 1m 5m" in str(caught.value)


def test_an_update_takes_the_file_as_it_is_now_and_a_pause_does_not(
    registry: Registry, tmp_path: Path
) -> None:
    planner = plan(registry)
    added = planner(command("add", spec=PAIR), {})
    (tmp_path / "pair.py").write_text(FILE.replace("Sma(5)", "Sma(50)"))
    paused = planner(command("pause"), standing(added))
    assert wanted(paused).code == wanted(added).code
    updated = planner(command("update"), standing(paused))
    assert wanted(updated).code == registry.reread("pair") != wanted(added).code
    assert updated.message.klines["1m"] == 51
    assert wanted(updated).state == "paused"


def test_a_file_that_is_broken_now_refuses_the_update(registry: Registry, tmp_path: Path) -> None:
    planner = plan(registry)
    added = planner(command("add", spec=PAIR), {})
    (tmp_path / "pair.py").write_text("oops oops")
    with pytest.raises(StrategyError, match="SyntaxError"):
        planner(command("update"), standing(added))


def test_one_of_the_settings_is_told_everywhere(registry: Registry) -> None:
    own = InstanceSpec(name="rsi_reversal", symbols=("BTCUSDT",))
    planner = plan(registry, own)
    tell = planner(command("update", "rsi_reversal", params={"period": 5}), {})
    assert tell.message.symbols == (EVERY,)
    assert wanted(tell).configured == own
    assert wanted(tell).spec.params == {"period": 5}
    removed = planner(command("remove", "rsi_reversal"), standing(tell))
    assert (removed.lasting, removed.message.klines) == (True, {})


@pytest.mark.parametrize("action", ["update", "pause", "resume", "remove"])
def test_one_that_is_not_there_is_named(registry: Registry, action: str) -> None:
    own = InstanceSpec(name="rsi_reversal")
    with pytest.raises(StrategyError, match="there is no instance of this name") as caught:
        plan(registry, own)(command(action, "nobody"), {})
    assert "the settings have rsi_reversal" in str(caught.value)


def test_another_of_the_same_name_is_refused(registry: Registry) -> None:
    planner = plan(registry)
    added = planner(command("add", spec=PAIR), {})
    assert planner(command("add", spec=PAIR), standing(added)).message == added.message
    other = {**PAIR, "interval": "5m", "legs": {"other": "SOLUSDT"}}
    with pytest.raises(StrategyError, match="klines of 5m, which must be longer"):
        planner(command("add", spec=other), standing(added))
    with pytest.raises(StrategyError, match="there is an instance of this name"):
        planner(command("add", spec={"name": "macd_cross"}), standing(added))
