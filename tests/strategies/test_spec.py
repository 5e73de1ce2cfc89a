"""Configured instances."""

import pytest
from pydantic import ValidationError

from strategies.spec import InstanceSpec


def test_only_the_name_is_needed() -> None:
    spec = InstanceSpec(name="rsi_reversal")
    assert spec.model_dump() == {
        "name": "rsi_reversal",
        "instance": "rsi_reversal",
        "interval": "1m",
        "symbols": ("*",),
        "params": {},
        "legs": {},
    }
    assert InstanceSpec.model_validate_json(spec.model_dump_json()) == spec


def test_symbols_are_spelled_as_the_exchange_does() -> None:
    assert InstanceSpec(name="x", symbols=("btcusdt", "*")).symbols == ("BTCUSDT", "*")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "name"),
        ({"name": ""}, "at least 1 character"),
        ({"name": "x", "instance": ""}, "expected a name"),
        ({"name": "x", "interval": "7m"}, "unknown interval `7m`"),
        ({"name": "x", "symbols": []}, "at least 1 item"),
        ({"name": "x", "symbols": ["B T C"]}, "not a symbol"),
        ({"name": "x", "period": 3}, "period"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        InstanceSpec.model_validate(given)


def test_those_for_a_key_are_selected_in_order() -> None:
    specs = [
        InstanceSpec(name="c"),
        InstanceSpec(name="a", symbols=("ETHUSDT",)),
        InstanceSpec(name="b", symbols=("BTCUSDT", "ETHUSDT")),
    ]
    assert [s.name for s in specs if s.applies_to("binance:BTCUSDT")] == ["c", "b"]
    assert [s.name for s in specs if s.applies_to("binance-usdm:ETHUSDT")] == ["c", "a", "b"]
