"""Scenarios as files: ours, the user's, and mistakes in them."""

from decimal import Decimal
from pathlib import Path

import pytest

from core.market.errors import ConfigError
from simulator.config import SYMBOLS, LimitSettings, MarketSettings, SimulatorSettings
from simulator.faults import FAULTS, fault_text, parse_fault
from simulator.faults.catalogue import about, options
from simulator.local import Simulator
from simulator.scenarios import scenario, scenarios

CHAOS = (
    "duplicate@frames=150,count=5,connection=1",
    "garbage@frames=250,connection=1",
    "skip@frames=350,count=4,stream=btcusdt@trade,connection=1",
    "drop@frames=900,connection=1",
    "refuse@connection=2,attempts=2,status=503",
    "drop@frames=700,connection=2",
    "skip@frames=100,count=40,connection=3",
    "drop@frames=800,connection=3",
)
FLOOD = MarketSettings(
    symbols=tuple(
        s.model_copy(update={"rate": 10_000.0, "notional": Decimal(500)}) for s in SYMBOLS[:3]
    ),
    history=2.0,
)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("calm", SimulatorSettings()),
        (
            "demo",
            SimulatorSettings(speed=30.0, faults=(parse_fault("drop@after=150s,connection=1"),)),
        ),
        (
            "chaos",
            SimulatorSettings(speed=20.0, faults=tuple(parse_fault(text) for text in CHAOS)),
        ),
        (
            "flood",
            SimulatorSettings(market=FLOOD, limits=LimitSettings(messages=None, weight=None)),
        ),
    ],
)
def test_the_names_that_others_rely_on_mean_what_they_meant(
    name: str, settings: SimulatorSettings
) -> None:
    assert scenario(name).settings == settings


def test_every_scenario_of_ours_says_what_it_is_for() -> None:
    assert len(scenarios()) >= 12
    for name, found in scenarios().items():
        assert found.name == name
        assert 10 < len(found.about) < 100
    used = {fault.kind for found in scenarios().values() for fault in found.settings.faults}
    assert used == set(FAULTS)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "storm.toml"
    path.write_text(
        'about = "a storm"\nbase = "demo"\nspeed = 50.0\n'
        'faults = ["halfopen@after=5s,for=2s", {fault = "skip", frames = 3}]\n'
        '[limits]\nmessages = "none"\n[market]\nseed = 7\nhistory = 5\n'
    )
    return path


def test_a_file_is_a_scenario_on_top_of_its_base(written: Path) -> None:
    found = scenario(str(written))
    assert (found.name, found.about) == ("storm", "a storm")
    settings = found.settings
    assert (settings.speed, settings.market.seed, settings.limits.messages) == (50.0, 7, None)
    assert settings.market.symbols == SYMBOLS
    assert [fault_text(fault) for fault in settings.faults] == [
        "drop@after=150s,connection=1", "halfopen@after=5s,for=2s", "skip@frames=3",
    ]  # fmt: skip
    with Simulator(str(written)) as sim:
        assert sim.settings == settings


def test_a_base_may_be_a_file_beside_it_and_trades_are_beside_it_too(
    written: Path, tmp_path: Path
) -> None:
    above = tmp_path / "above.toml"
    above.write_text(
        'base = "storm.toml"\n[market]\nrecorded = [{path = "BTCUSDT-trades-2025-01-31.csv"}]\n'
    )
    settings = scenario(above).settings
    assert len(settings.faults) == 3
    assert settings.market.seed == 7
    assert settings.market.recorded[0].path == tmp_path / "BTCUSDT-trades-2025-01-31.csv"


@pytest.mark.parametrize(
    ("text", "key", "why", "hint"),
    [
        ("spead = 3", "spead", "no such setting (`spead`)", "did you mean `speed`?"),
        ("bass = 'calm'", "bass", "no such setting", "did you mean `base`?"),
        ("[market]\nsed = 1", "market.sed", "no such setting (`sed`)", "did you mean `seed`?"),
        ("[market]\nsymbols = [{symbl = 'A'}]", "market.symbols.0.", "", ""),
        ("speed = -1", "speed", "`-1`: Input should be greater than 0", ""),
        ("faults = ['drop@after=5']", "faults, 1.", "`after=5` is no time", "write it as"),
        ("faults = ['drop', 'halfopn']", "faults, 2.", "`halfopn`", "did you mean `halfopen`?"),
        ("faults = 'drop'", "faults", "`drop` is no list", "faults = ["),
        ("faults = [3]", "faults.0", "`3`", ""),
        ("about = 3", "about", "`3` is no text", "about ="),
        ("base = 3", "base", "`3` is no name", "such as"),
        ("base = 'storm'", "base", "unknown scenario `storm`", "known are"),
        ("base = 'nowhere.toml'", "nowhere.toml", "cannot be read", ""),
        ("base = 'bad.toml'", "base", "leads back to it", "have no base"),
        ("speed =", "bad.toml", "is not TOML", ""),
    ],
)
def test_a_mistake_names_file_key_value_and_the_way_out(
    tmp_path: Path, text: str, key: str, why: str, hint: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        scenario(path)
    assert error.value.key.startswith(str(tmp_path))
    assert key in error.value.key
    assert why in error.value.why
    assert hint in error.value.hint


def test_an_unknown_name_names_the_known_ones_and_files() -> None:
    with pytest.raises(ConfigError, match=r"unknown scenario `storm`[\s\S]*calm chaos[\s\S]*file"):
        scenario("storm")
    with pytest.raises(ConfigError, match="cannot be read"):
        scenario("nowhere/storm.toml")


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_described_and_has_a_text_with_all_of_its_options(name: str) -> None:
    kind = FAULTS[name]
    assert kind.fact
    assert len(about(kind)) < 100
    values = {"time": "7s", "number": "7", "text": "x"}
    texts = [
        f"{option.name}={option.choices[-1] if option.choices else values[option.takes]}"
        for option in options(kind).values()
    ]
    fault = parse_fault(f"{name}@{','.join(texts)}")
    assert parse_fault(fault_text(fault)) == fault
    assert parse_fault(fault_text(kind())) == kind()
    table = {"fault": name} | dict(text.split("=") for text in texts)
    assert SimulatorSettings.model_validate({"faults": [table]}).faults == (fault,)
