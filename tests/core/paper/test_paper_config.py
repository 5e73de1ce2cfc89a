"""Settings of the paper portfolio: what they mean, and what a mistake says."""

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from cli.commands.config import as_toml
from config.settings import load
from core.market.errors import ConfigError
from core.paper.config import PaperConfig
from tests.core.paper.stream import told


def paper(**tree: object) -> PaperConfig:
    return load(overrides={"paper": tree}, env={}, dotenv=None).paper


def test_the_defaults_trade_all_of_ten_thousand_at_binances_fee() -> None:
    own = paper()
    assert own.enabled
    assert told(own, "cash size_mode size leverage") == (10_000, "equity", 1, 1)
    assert told(own, "fee_bps slippage_bps short fill") == (10, 1, True, "next")


def test_numbers_are_exact_however_they_are_written() -> None:
    assert paper(fee_bps=7.5).fee_bps == Decimal("7.5")
    env = {"CRYPTOTOOLS_PAPER__SIZE": "0.1", "CRYPTOTOOLS_PAPER__FILL": "open"}
    own = load(env=env, dotenv=None).paper
    assert told(own, "size fill") == (Decimal("0.1"), "open")


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"fee": 3}, "`paper.fee`: there is no such setting\nhint: did you mean `paper.fee_bps`?"),
        ({"fee_bps": -1}, "setting `paper.fee_bps`: `-1`: Input should be greater"),
        ({"size": 2}, "a size of 2 times the equity takes a leverage of at least 2"),
        ({"size": "0.0000000001"}, "no more than 9 decimal places"),
        ({"fill": "close"}, "setting `paper.fill`: `close`"),
        ({"instances": {"x": {"feebps": 1}}}, "instances.x: there is no `feebps`; did you mean"),
        ({"instances": {"x": {"zzz": 1}}}, "known are cash size_mode"),
        ({"instances": {"x": {"cash": 0}}}, "instances.x: cash: Input should be greater"),
        ({"instances": {"x": {"size": 5}}}, "instances.x: a size of 5 times the equity"),
    ],
)
def test_a_mistake_names_the_key_and_the_way_out(tree: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        paper(**tree)
    assert said in str(caught.value)


def test_settings_with_any_name_of_an_instance_can_be_saved_and_read(tmp_path: Path) -> None:
    named = {'rsi 5.1 "x"': {"fee_bps": "0.5"}, "plain": {"short": False}}
    settings = load(overrides={"paper": {"instances": named}}, env={}, dotenv=None)
    path = tmp_path / "cryptotools.toml"
    path.write_text(as_toml(settings.model_dump(mode="json")))
    assert tomllib.loads(path.read_text())["paper"]["instances"] == named
    assert load(path, env={}, dotenv=None).paper == settings.paper
