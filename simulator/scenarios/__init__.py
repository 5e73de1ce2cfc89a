"""Named scenarios: a market, a speed and a script of faults, each a TOML file beside this one."""

from simulator.scenarios.reading import Scenario, scenario, scenarios

__all__ = ["Scenario", "scenario", "scenarios"]
