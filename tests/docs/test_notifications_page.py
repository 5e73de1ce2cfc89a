"""docs/guides/notifications.md against the code."""

import re
import tomllib

import pytest

from config.notify import NotifyConfig
from connectors.redis.codec import entry_of
from subscribers.notify.channels import open_channel
from subscribers.notify.facts import COMMON, OF_RECORD
from subscribers.notify.message import Message
from subscribers.notify.rules import Rules
from subscribers.notify.webhook import body_of
from tools.notifications import PAGE, drawn

TEXT = PAGE.read_text("utf-8")


def shown(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```toml\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def config() -> NotifyConfig:
    tree = tomllib.loads(shown("channels") + shown("rules"))
    return NotifyConfig.model_validate(tree["notify"])


def test_the_table_of_severities_is_that_of_the_code() -> None:
    assert drawn(TEXT) == TEXT, "run `python -m tools.notifications`"


@pytest.mark.parametrize("name", ["phone", "team", "room", "desk"])
def test_the_channels_shown_can_be_opened(name: str) -> None:
    if name != "desk":
        pytest.importorskip("apprise")
    open_channel(name, config().channels[name]).close()


def test_the_rules_shown_do_what_the_page_says_of_them() -> None:
    own = Rules(config())
    told = {"instance": "rsi_reversal", "side": "long", "price": "67123.45", "reason": "up"}
    signal = entry_of("md:{binance:BTCUSDT}:signal", "5-1", told)
    found = own.messages(signal)
    assert {name: one.text for name, one in found.items()} == {
        "phone": "BTCUSDT ▲ long at 67,123.45: up",
        "room": "BTCUSDT ▲ long at 67,123.45 — up (rsi_reversal, )",
    }
    gap = entry_of("md:{binance:BTCUSDT}:event", "5-1", {"kind": "gap"})
    assert set(own.messages(gap)) == {"team", "desk", "room"}


def test_every_field_is_named() -> None:
    for name in {*COMMON, *(name for names in OF_RECORD.values() for name in names)}:
        assert re.search(rf"[` \n]{name}[` \n]", TEXT), name


def test_every_field_and_setting_is_in_a_table() -> None:
    for name in body_of(Message("a", "test", "info", "", "", ("a",)), 0.0):
        assert f"`{name}`" in TEXT, name
    for name in ("name", "group_seconds", "max_age_seconds", "attempts"):
        default = NotifyConfig.model_fields[name].default
        assert f"`notify.{name}`" in TEXT, name
        if name != "name":
            assert f"({default:g})" in TEXT, name
