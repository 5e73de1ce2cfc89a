"""Grids of parameters: what is understood, in which order, and what is refused."""

import pytest

from core.market.errors import ConfigError, StrategyError
from dataflows.backtest_grid import grid_of, parse_params
from strategies.spec import InstanceSpec

RSI, MACD = InstanceSpec(name="rsi_reversal"), InstanceSpec(name="macd_cross")


def test_combinations_come_in_the_order_of_the_values() -> None:
    grid = grid_of([RSI], ["period=5:15:5,oversold=25,30"])
    assert [c.varied for c in grid.combinations] == [
        (("period", p), ("oversold", o)) for p in (5, 10, 15) for o in (25, 30)
    ]
    first = grid.combinations[0].spec
    assert first.instance == "rsi_reversal(period=5,oversold=25)"
    assert first.params == {"period": 5, "oversold": 25}


def test_one_value_is_no_variation() -> None:
    (one,) = grid_of([RSI], ["period=7"]).combinations
    assert (one.spec.instance, one.varied) == ("rsi_reversal", ())
    assert one.spec.params == {"period": 7}


def test_each_strategy_has_its_own() -> None:
    grid = grid_of([RSI, MACD], ["rsi_reversal.period=7,9", "macd_cross.fast=5"])
    names = [c.spec.instance for c in grid.combinations]
    assert names == ["rsi_reversal(period=7)", "rsi_reversal(period=9)", "macd_cross"]


def test_combinations_that_a_strategy_does_not_take_are_left_out() -> None:
    grid = grid_of([MACD], ["fast=5,30,slow=20,40"])
    assert len(grid.combinations) == 3
    ((name, why),) = grid.refused
    assert name == "macd_cross(fast=30,slow=20)"
    assert "slow" in why


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["period"], "expected NAME=VALUE"),
        (["=3"], "expected NAME=VALUE"),
        (["period="], "expected NAME=VALUE"),
        (["period=5:3:1"], "empty range"),
        (["period=a:b"], "FIRST:LAST:STEP"),
        (["period=1:2:0"], "FIRST:LAST:STEP"),
        (["period=0:1:0.00001"], "are 100001 values"),
        (["period=1", "period=2"], "given twice"),
        (["period=2:500:1,oversold=10:40:1"], "more than 2000"),
        (["macd.fast=1,2"], "no strategy `macd` is run"),
    ],
)
def test_what_cannot_be_understood_is_said(texts: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        grid_of([RSI], texts)


def test_an_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(StrategyError, match="did you mean `period`"):
        grid_of([RSI], ["perod=3"])
    with pytest.raises(StrategyError, match=r"no parameter `fast`(.|\n)*--param rsi_reversal.NAME"):
        grid_of([RSI, MACD], ["fast=3"])
    with pytest.raises(StrategyError, match="parameter `period`"):
        grid_of([RSI], ["period=0,1"])


def test_values_keep_their_kind() -> None:
    found = parse_params(["a=true,1,1.5,x,b=1:2:0.5,1"])
    assert found == {"a": (True, 1.5, "x"), "b": (1, 1.5, 2)} or found["a"][0] is True
    assert found["b"] == (1, 1.5, 2)
