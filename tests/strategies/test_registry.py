"""Finding strategies: built in, in a folder, in packages; and what is said when one is broken."""

import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import Field

from core.market.errors import ConfigError, StrategyError
from core.market.kline import Kline
from core.market.signal import Signal
from strategies import loading, registry
from strategies.base import Strategy, StrategyParams
from strategies.registry import BUILT_IN, REGISTRY, Registry
from strategies.spec import InstanceSpec

GOOD = '''
"""A strategy of the user."""

from strategies.base import Strategy


class EveryKline(Strategy):
    """Long at every kline."""

    def setup(self, params):
        pass

    def on_kline(self, kline):
        yield self.long(kline, "always")
'''

MakeKlines = Callable[..., list[Kline]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function: write a file into the user's folder."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return put


Write = Callable[[str, str], Path]


def test_the_built_in_ones_are_there() -> None:
    assert Registry().names() == (
        "bollinger_breakout", "bollinger_reversion", "donchian_breakout", "ema_cross", "macd_cross",
        "ml", "rsi_reversal", "supertrend", "volume_spike", "vwap_reversion",
    )  # fmt: skip
    assert {REGISTRY.find(s.name) for s in BUILT_IN} == set(BUILT_IN)


def test_the_module_offers_the_processs_own_registry() -> None:
    registry.check(InstanceSpec(name="rsi_reversal", params={"period": 7}))
    made = registry.make(InstanceSpec(name="rsi_reversal", instance="fast", params={"period": 7}))
    assert (made.instance, made.params.period) == ("fast", 7)
    assert registry.find("macd_cross").name == "macd_cross"


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(StrategyError) as caught:
        Registry().check(InstanceSpec(name="rsi_reversel"))
    assert str(caught.value) == (
        "strategy `rsi_reversel`: no strategy of that name\nhint: did you mean `rsi_reversal`?"
    )
    with pytest.raises(StrategyError) as caught:
        Registry().check(InstanceSpec(name="qqq"))
    assert f"hint: there are {' '.join(Registry().names())}" in str(caught.value)


def test_a_wrong_parameter_is_found_before_anything_runs() -> None:
    with pytest.raises(StrategyError, match="no parameter `periode`"):
        Registry().check(InstanceSpec(name="rsi_reversal", params={"periode": 3}))


def test_two_instances_of_one_name_may_not_meet_on_a_symbol() -> None:
    one = InstanceSpec(name="rsi_reversal", symbols=("BTCUSDT",))
    apart = InstanceSpec(name="rsi_reversal", symbols=("ETHUSDT",), interval="5m")
    meets = InstanceSpec(name="rsi_reversal", interval="5m")
    Registry().check(one, apart, InstanceSpec(name="rsi_reversal", instance="other"))
    with pytest.raises(StrategyError) as caught:
        Registry().check(one, meets)
    assert str(caught.value) == (
        "strategy `rsi_reversal`: two instances named `rsi_reversal`\n"
        "hint: give one of them an `instance` of its own"
    )


def test_the_catalogue_describes_each_with_a_schema_of_its_parameters() -> None:
    catalogue = Registry().catalogue()
    assert [entry["name"] for entry in catalogue] == list(Registry().names())
    (rsi,) = [entry for entry in catalogue if entry["name"] == "rsi_reversal"]
    assert rsi["about"] == "Long when RSI leaves oversold, flat when it leaves overbought."
    assert (rsi["version"], rsi["origin"]) == (1, "built-in")
    period = rsi["parameters"]["properties"]["period"]
    assert (period["default"], period["minimum"], period["maximum"]) == (14, 2, 500)


def test_a_file_in_the_folder_is_a_strategy(
    write: Write, tmp_path: Path, klines: MakeKlines
) -> None:
    write("mine.py", GOOD)
    write("_helper.py", "raise SystemExit('never run')")
    own = Registry()
    assert own.load(tmp_path) == ()
    assert "every_kline" in own.names()
    (entry,) = [e for e in own.catalogue() if e["name"] == "every_kline"]
    assert entry["origin"] == str(tmp_path / "mine.py")
    strategy = own.make(InstanceSpec(name="every_kline"))
    (signal,) = strategy.feed(klines([1.0])[0])
    assert (signal.strategy, signal.reason) == ("every_kline", "always")


def test_a_file_replaces_no_module_and_leaves_no_cache(write: Write, tmp_path: Path) -> None:
    import json

    write("json.py", GOOD)
    Registry().load(tmp_path)
    assert sys.modules["json"] is json
    assert [path.name for path in tmp_path.iterdir()] == ["json.py"]


def test_a_changed_file_is_taken_anew(write: Write, tmp_path: Path, klines: MakeKlines) -> None:
    own, said = Registry(), []
    for reason in ("always", "AlwayS"):
        write("mine.py", GOOD.replace("always", reason))
        assert own.load(tmp_path) == ()
        said += own.make(InstanceSpec(name="every_kline")).feed(klines([1.0])[0])
    assert [signal.reason for signal in said] == ["always", "AlwayS"]


BROKEN = {
    "syntax.py": ("x = 1\nclass (:\n", 2, "SyntaxError: invalid syntax"),
    "name.py": ("\n\nprint(undefined)\n", 3, "NameError: name 'undefined' is not defined"),
    "deep.py": (
        "def go():\n    raise ValueError('deep')\n\ngo()\n",
        2,
        "ValueError: deep",
    ),
    "imports.py": ("import not_there_at_all\n", 1, "ModuleNotFoundError: No module named"),
    "exits.py": ("import sys\nsys.exit('bye')\n", 2, "SystemExit: bye"),
    "bounds.py": (
        "from strategies.base import StrategyParams\nclass P(StrategyParams):\n    x: what = 1\n",
        3,
        "NameError: name 'what' is not defined",
    ),
    "built_in.py": (
        GOOD.replace("EveryKline", "RsiReversal"),
        7,
        "class RsiReversal: the name `rsi_reversal` is taken by built-in",
    ),
    "half.py": (
        "from strategies.base import Strategy\n\nclass Half(Strategy):\n    pass\n",
        3,
        "class Half: does not define on_kline and setup",
    ),
    "letters.py": (
        GOOD.replace('"""Long at every kline."""', 'state = ("armed")'),
        7,
        "class EveryKline: its `state` must be a tuple of names",
    ),
    "named.py": (
        GOOD.replace('"""Long at every kline."""', 'name = "Not A Name"'),
        7,
        "class EveryKline: expected a name of small letters, digits and `_`",
    ),
    "params.py": (
        GOOD.replace('"""Long at every kline."""', "class Params:\n        pass"),
        7,
        "class EveryKline: its `Params` must be a subclass of StrategyParams",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_costs_only_itself_and_is_told_with_file_and_line(
    name: str, write: Write, tmp_path: Path
) -> None:
    text, line, why = BROKEN[name]
    path = write(name, text)
    write("zz_good.py", GOOD)
    own = Registry()
    (failure,) = own.load(tmp_path)
    assert str(failure).startswith(f"strategy `{path}:{line}`: {why}")
    assert "every_kline" in own.names()
    assert own.failures == (failure,)


def test_a_file_without_a_strategy_is_told(write: Write, tmp_path: Path) -> None:
    path = write("empty.py", "from strategies.base import Strategy\n")
    (failure,) = Registry().load(tmp_path)
    assert str(failure) == (
        f"strategy `{path}`: no Strategy subclass in this file\n"
        "hint: begin the file's name with `_` if it is not meant to hold one"
    )


def test_an_unknown_name_shows_what_could_not_be_loaded(write: Write, tmp_path: Path) -> None:
    path = write("mine.py", "1 / 0\n")
    own = Registry()
    own.load(tmp_path)
    with pytest.raises(StrategyError) as caught:
        own.check(InstanceSpec(name="mine"))
    expected = f"not loaded: strategy `{path}:1`: ZeroDivisionError: division by zero"
    assert expected in str(caught.value)


def test_two_files_may_not_bring_the_same_name(write: Write, tmp_path: Path) -> None:
    first = write("a.py", GOOD)
    second = write("b.py", GOOD)
    own = Registry()
    (failure,) = own.load(tmp_path)
    why = f"class EveryKline: the name `every_kline` is taken by {first}"
    assert str(failure).startswith(f"strategy `{second}:7`: {why}")


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="setting `strategies_dir`: no folder"):
        Registry().load(tmp_path / "gone")


def test_a_setup_that_raises_is_a_strategy_error() -> None:
    class Fails(Strategy):
        class Params(StrategyParams):
            period: int = Field(default=3, description="Any.")

        def setup(self, params: Params) -> None:
            raise KeyError(params.period)

        def on_kline(self, kline: Kline) -> Iterable[Signal]:
            return []

    with pytest.raises(StrategyError) as caught:
        Registry([Fails]).check(InstanceSpec(name="fails"))
    assert str(caught.value) == "strategy `fails`: setup failed: KeyError: 3"


def test_installed_packages_bring_strategies_by_entry_point(
    monkeypatch: pytest.MonkeyPatch, write: Write, tmp_path: Path
) -> None:
    write("a_package_of_somebody.py", GOOD)
    write("a_broken_package.py", "\nraise OSError('no')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint("good", "a_package_of_somebody:EveryKline", loading.GROUP),
        EntryPoint("broken", "a_broken_package:X", loading.GROUP),
        EntryPoint("wrong", "json:dumps", loading.GROUP),
    ]

    def found(*, group: str) -> list[EntryPoint]:
        return [point for point in points if point.group == group]

    monkeypatch.setattr(loading, "entry_points", found)
    own = Registry()
    broken, wrong = own.load()
    (entry,) = [e for e in own.catalogue() if e["name"] == "every_kline"]
    assert entry["origin"] == "entry point good = a_package_of_somebody:EveryKline"
    assert f"{tmp_path / 'a_broken_package.py'}:2: OSError: no" in str(broken)
    assert str(wrong) == "strategy `wrong`: entry point `json:dumps` is no Strategy subclass"


def test_a_changed_file_is_taken_when_it_is_asked_for(tmp_path: Path, write: Write) -> None:
    write("mine.py", GOOD)
    found = Registry([])
    found.load(tmp_path)
    old, code = found.find("every_kline"), found.reread("every_kline")
    assert code
    assert found.find("every_kline") is old  # nothing has changed
    write("mine.py", GOOD.replace("always", "now"))
    changed = found.reread("every_kline")
    assert changed != code
    assert found.find("every_kline") is not old
    assert found.refreshed("every_kline", changed) == ""
    assert "another one than when this was commanded" in found.refreshed("every_kline", code)


def test_a_file_that_is_broken_now_leaves_what_was_loaded(tmp_path: Path, write: Write) -> None:
    write("mine.py", GOOD)
    found = Registry([])
    found.load(tmp_path)
    old = found.find("every_kline")
    write("mine.py", "class (:\n")
    with pytest.raises(StrategyError, match=r"mine\.py:1"):
        found.reread("every_kline")
    (tmp_path / "mine.py").unlink()
    with pytest.raises(StrategyError, match="cannot be read"):
        found.reread("every_kline")
    assert found.find("every_kline") is old


def test_a_file_that_came_later_is_found(tmp_path: Path, write: Write) -> None:
    found = Registry([])
    found.load(tmp_path)
    write("mine.py", GOOD)
    assert found.reread("every_kline")
    assert found.names() == ("every_kline",)


def test_a_built_in_one_is_in_no_file() -> None:
    assert Registry().reread("rsi_reversal") == ""
