"""Settings: where they come from, which wins, and what a mistake says."""

from pathlib import Path

import pytest

from config.settings import load
from core.market.errors import ConfigError


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "cryptotools.toml"
    path.write_text(
        'symbols = ["ethusdt", "BTCUSDT", "ETHUSDT"]\n'
        "[binance]\nshards = 2\n"
        '[[strategies]]\nname = "rsi_reversal"\nparams = {period = 7}\n'
    )
    return path


def test_defaults_are_complete() -> None:
    settings = load(env={}, dotenv=None)
    assert settings.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert settings.binance.ws == "wss://stream.binance.com:9443"
    assert [spec.name for spec in settings.strategies] == [
        "rsi_reversal", "macd_cross", "bollinger_breakout",
    ]  # fmt: skip


def test_a_file_is_below_dotenv_which_is_below_the_environment(toml: Path, tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("CRYPTOTOOLS_BINANCE__SHARDS=3\nCRYPTOTOOLS_LOG__LEVEL=debug\nOTHER=1\n")
    assert load(toml, env={}, dotenv=None).binance.shards == 2
    assert load(toml, env={}, dotenv=dotenv).binance.shards == 3
    env = {"CRYPTOTOOLS_BINANCE__SHARDS": "4"}
    settings = load(toml, env=env, dotenv=dotenv)
    assert (settings.binance.shards, settings.log.level) == (4, "debug")
    assert (
        load(toml, env=env, dotenv=dotenv, overrides={"binance": {"shards": 5}}).binance.shards == 5
    )


def test_lists_come_with_commas_and_symbols_in_any_case(toml: Path) -> None:
    assert load(toml, env={}, dotenv=None).symbols == ("ETHUSDT", "BTCUSDT")
    env = {"CRYPTOTOOLS_SYMBOLS": "btcusdt, ethusdt", "CRYPTOTOOLS_KLINES__INTERVALS": "1h,1m"}
    settings = load(env=env, dotenv=None)
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.klines.intervals == ("1m", "1h")


def test_redis_url_is_read_by_its_usual_name() -> None:
    assert load(env={"REDIS_URL": "redis://here"}, dotenv=None).redis.url == "redis://here"
    both = {"REDIS_URL": "redis://here", "CRYPTOTOOLS_REDIS__URL": "redis://there"}
    assert load(env=both, dotenv=None).redis.url == "redis://there"


def test_an_endpoint_has_its_addresses_and_own_ones_win() -> None:
    vision = load(env={"CRYPTOTOOLS_BINANCE__ENDPOINT": "vision"}, dotenv=None).binance
    assert vision.ws == "wss://data-stream.binance.vision"
    own = load(overrides={"binance": {"ws_url": "ws://127.0.0.1:1/"}}, env={}, dotenv=None).binance
    assert own.ws == "ws://127.0.0.1:1"


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"binanse": {}}, "`binanse`: there is no such setting\nhint: did you mean `binance`?"),
        (
            {"binance": {"endpont": "us"}},
            "setting `binance.endpont`: there is no such setting\n"
            "hint: did you mean `binance.endpoint`?",
        ),
        ({"binance": {"endpoint": "mars"}}, "setting `binance.endpoint`: `mars`: Input should be"),
        ({"binance": {"shards": 0}}, "setting `binance.shards`: `0`: Input should be greater"),
        ({"klines": {"intervals": ["7m"]}}, "unknown interval `7m`; known are 1s 1m 3m"),
        ({"klines": {"intervals": ["1s"]}}, "`1s` cannot be folded from klines of 1m"),
        ({"symbols": ["B T"]}, "not a symbol: `B T`"),
        ({"symbols": []}, "setting `symbols`"),
        ({"lake": {"rotate_seconds": 7}}, "does not divide a day"),
        ({"strategies": [{"nam": "x"}]}, "setting `strategies"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_key_the_value_and_the_way_out(
    tree: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(overrides=tree, env={}, dotenv=None)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_misspelt_variable_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        load(env={"CRYPTOTOOLS_SYMBOLZ": "BTCUSDT"}, dotenv=None)
    assert "did you mean `symbols`?" in str(caught.value)
    assert "CRYPTOTOOLS_SYMBOLZ" in str(caught.value)
    with pytest.raises(ConfigError, match=r"binance\.shard"):
        load(env={"CRYPTOTOOLS_BINANCE__SHARD": "2"}, dotenv=None)


def test_a_file_that_is_no_toml_or_not_there_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("symbols = [")
    with pytest.raises(ConfigError, match=r"bad\.toml`: is not TOML"):
        load(bad, env={}, dotenv=None)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "nothing.toml", env={}, dotenv=None)
