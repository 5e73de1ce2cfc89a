"""Named scenarios: a market, a speed and a script of faults."""

from dataclasses import dataclass
from decimal import Decimal

from core.market.errors import ConfigError
from simulator.config import SYMBOLS, LimitSettings, MarketSettings, SimulatorSettings
from simulator.faults import parse_fault


@dataclass(frozen=True, slots=True)
class Scenario:
    """A simulated exchange with a name; `about` is one line for people."""

    name: str
    about: str
    settings: SimulatorSettings


_FLOOD_RATE = 10_000.0

_CHAOS = (
    "duplicate@frames=150,count=5,connection=1",
    "garbage@frames=250,connection=1",
    "skip@frames=350,count=4,stream=btcusdt@trade,connection=1",
    "drop@frames=900,connection=1",
    "refuse@connection=2,attempts=2,status=503",
    "drop@frames=700,connection=2",
    "skip@frames=100,count=40,connection=3",
    "drop@frames=800,connection=3",
)

SCENARIOS: dict[str, Scenario] = {
    s.name: s
    for s in (
        Scenario("calm", "five symbols in real time, nothing goes wrong", SimulatorSettings()),
        Scenario(
            "demo",
            "thirty times as fast; the first connection is cut after five seconds",
            SimulatorSettings(
                speed=30.0,
                faults=(parse_fault("drop@after=150s,connection=1"),),
            ),
        ),
        Scenario(
            "chaos",
            "twenty times as fast; frames lost, doubled, broken, three cuts, refused handshakes",
            SimulatorSettings(speed=20.0, faults=tuple(parse_fault(text) for text in _CHAOS)),
        ),
        Scenario(
            "flood",
            "three symbols of 10,000 trades a second each, for measuring",
            SimulatorSettings(
                market=MarketSettings(
                    symbols=tuple(
                        s.model_copy(update={"rate": _FLOOD_RATE, "notional": Decimal(500)})
                        for s in SYMBOLS[:3]
                    ),
                    history=2.0,
                ),
                limits=LimitSettings(messages=None, weight=None),
            ),
        ),
    )
}


def scenario(name: str) -> Scenario:
    """Return the scenario of that name, or raise `ConfigError`."""
    found = SCENARIOS.get(name)
    if found is None:
        known = f"known are {' '.join(SCENARIOS)}"
        raise ConfigError("scenario", f"unknown scenario `{name}`", hint=known)
    return found
