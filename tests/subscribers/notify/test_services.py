"""Services by Apprise: what reaches them, what they refuse, what is said of it."""

import logging
import sys

import pytest

from config.notify import ChannelConfig
from core.market.errors import ConfigError
from subscribers.notify.channel import Channel, DeliveryError
from subscribers.notify.channels import open_channel, shown
from subscribers.notify.message import Message
from tests.subscribers.notify.receiver import Receiver

pytest.importorskip("apprise")

MESSAGE = Message("a", "gap", "critical", "BTCUSDT gap", "lacks <7> trades & more", ("a",))


def service(address: str) -> Channel:
    return open_channel("phone", ChannelConfig.model_validate({"apprise": address}))


def test_a_message_reaches_a_service(receiver: Receiver) -> None:
    service(receiver.url.replace("http", "json")).send(MESSAGE)
    told = receiver.requests[0].json
    assert (told["title"], told["message"]) == ("BTCUSDT gap", "lacks <7> trades & more")
    assert told["type"] == "failure"


class Lines(logging.Handler):
    """What the root logger is told."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_what_a_service_refuses_is_tried_again_and_the_library_keeps_silent(
    receiver: Receiver,
) -> None:
    receiver.script = [500]
    channel = service(receiver.url.replace("http", "json"))
    heard, root = Lines(), logging.getLogger()
    root.addHandler(heard)
    try:
        with pytest.raises(DeliveryError, match=r"Failed to send JSON .*500") as raised:
            channel.send(MESSAGE)
        channel.send(MESSAGE)
    finally:
        root.removeHandler(heard)
    assert raised.value.again
    assert len(receiver.requests) == 2
    assert not [line for line in heard.lines if "JSON" in line]


def test_secrets_of_an_address_are_in_no_error() -> None:
    with pytest.raises(DeliveryError) as raised:
        service("json://user:pass-word@127.0.0.1:1/path-secret").send(MESSAGE)
    said = str(raised.value)
    assert said.startswith("A Connection error occurred")
    assert not any(one in said for one in ("pass-word", "path-secret"))


def test_a_text_that_a_service_would_not_take_is_cut(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins.custom_json import NotifyJSON

    monkeypatch.setattr(NotifyJSON, "body_maxlen", 100)
    long = Message("a", "gap", "info", "title", "x" * 500, ("a",))
    service(receiver.url.replace("http", "json")).send(long)
    (request,) = receiver.requests
    assert request.json["message"] == "x" * 78 + "…"


def test_an_address_that_apprise_does_not_know_is_an_error_without_it() -> None:
    with pytest.raises(ConfigError) as raised:
        service("tgram://not-a-token-but-secret")
    assert str(raised.value).startswith("setting `notify.channels.phone.apprise`: apprise knows no")
    assert "not-a-token" not in str(raised.value)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"not installed\nhint: pip install 'cryptotools\[notif"):
        service("json://host")


def test_what_a_channel_is_can_be_said_without_its_secrets() -> None:
    def of(**told: object) -> str:
        return shown(ChannelConfig.model_validate(told))

    assert of(apprise="tgram://123:secret/5") == "tgram"
    assert of(apprise="secret-without-a-scheme") == "apprise"
    assert of(webhook={"url": "https://host/secret"}) == "webhook"
    assert of(webhook={"url": "https://host/secret", "secret": "s"}) == "webhook, signed"
