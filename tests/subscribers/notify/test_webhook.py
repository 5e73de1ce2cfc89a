"""Webhooks: what is posted, how it is signed, and what answers mean."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from config.notify import ChannelConfig
from config.settings import load
from core.market.errors import ConfigError
from subscribers.notify.channel import DeliveryError, hider
from subscribers.notify.message import Message
from subscribers.notify.webhook import Webhook, retry_after
from tests.subscribers.notify.receiver import Answer, Receiver

TEXT = (Path(__file__).parents[3] / "docs/guides/notifications.md").read_text("utf-8")
SECRET = "s3cret-of-ours"
NOW = 1_770_000_000.25
MESSAGE = Message(
    "binance:BTCUSDT/signal/mine/7", "signal", "info", "BTCUSDT long", "▲ long", ("one",), 5,
    {"price": "67123.45", "seq": "9007199254740993"}, "BTCUSDT",
)  # fmt: skip


def hook(receiver: Receiver, **more: object) -> Webhook:
    own = {"url": receiver.url, "secret": SECRET, "timeout": 5.0, **more}
    config = ChannelConfig.model_validate({"webhook": own})
    assert config.webhook is not None
    return Webhook(config.webhook, hider(config), clock=lambda: NOW)


def refusal(channel: Webhook) -> DeliveryError:
    with pytest.raises(DeliveryError) as raised:
        channel.send(MESSAGE)
    channel.close()
    return raised.value


def snippet(language: str) -> str:
    found = re.search(rf"<!-- verify: {language} -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def is_genuine() -> Callable[..., bool]:
    told: dict[str, Any] = {}
    exec(snippet("python"), told)
    told["time"] = type("Time", (), {"time": staticmethod(lambda: NOW)})
    found: Callable[..., bool] = told["is_genuine"]
    return found


def test_a_message_is_posted_as_json_with_its_id(receiver: Receiver) -> None:
    channel = hook(receiver, headers={"Authorization": "Bearer abc"})
    channel.send(MESSAGE)
    channel.close()
    (request,) = receiver.requests
    assert request.json == {
        "id": "binance:BTCUSDT/signal/mine/7", "kind": "signal", "severity": "info",
        "title": "BTCUSDT long", "text": "▲ long", "records": ["one"],
        "record": {"price": "67123.45", "seq": "9007199254740993"},
        "sent_at": "2026-02-02T02:40:00.250+00:00",
    }  # fmt: skip
    assert request.path == "/hook"
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["x-cryptotools-id"] == MESSAGE.id
    assert headers["x-cryptotools-timestamp"] == "1770000000"
    assert headers["authorization"] == "Bearer abc"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("CryptoTools/")


def test_the_code_of_the_page_knows_our_signature_and_no_other(
    receiver: Receiver, is_genuine: Callable[..., bool]
) -> None:
    channel = hook(receiver)
    channel.send(MESSAGE)
    channel.close()
    (request,) = receiver.requests
    headers, body = request.headers, request.body
    assert is_genuine(headers, body, SECRET)
    assert not is_genuine(headers, body + b" ", SECRET)
    assert not is_genuine(headers, body, "another")
    assert not is_genuine({**headers, "X-CryptoTools-Timestamp": "1770000001"}, body, SECRET)
    assert not is_genuine({**headers, "X-CryptoTools-Signature": "é"}, body, SECRET)
    assert not is_genuine({}, body, SECRET)
    assert not is_genuine(headers, body, SECRET, 0.1)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_so_does_that_for_node(receiver: Receiver) -> None:
    channel = hook(receiver)
    channel.send(MESSAGE)
    channel.close()
    (request,) = receiver.requests
    headers = {name.lower(): value for name, value in request.headers.items()}
    check = f"""{snippet("node")}
    const headers = {json.dumps(headers)}, body = Buffer.from({json.dumps(request.body.decode())});
    const late = {{...headers, "x-cryptotools-timestamp": "1770000001"}};
    console.log(JSON.stringify([
      isGenuine(headers, body, "{SECRET}", 1e12), isGenuine(headers, body, "other", 1e12),
      isGenuine(late, body, "{SECRET}", 1e12), isGenuine({{}}, body, "{SECRET}", 1e12),
      isGenuine(headers, Buffer.concat([body, Buffer.from(" ")]), "{SECRET}", 1e12),
      isGenuine(headers, body, "{SECRET}", 1),
    ]));"""
    done = subprocess.run(["node", "-e", check], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, False, False, False, False, False]


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    channel = hook(receiver, secret="")
    channel.send(MESSAGE)
    channel.close()
    assert "X-CryptoTools-Signature" not in receiver.requests[0].headers


@pytest.mark.parametrize(
    ("answer", "again", "after_s"),
    [
        (500, True, 0.0),
        (503, True, 0.0),
        (408, True, 0.0),
        ((429, {"Retry-After": "7"}), True, 7.0),
        ((429, {"Retry-After": formatdate(NOW + 30, usegmt=True)}), True, 29.75),
        ((503, {"Retry-After": "1e9"}), True, 3600.0),
        ((429, {"Retry-After": "nan"}), True, 0.0),
        ((429, {"Retry-After": "-3"}), True, 0.0),
        (400, False, 0.0),
        (401, False, 0.0),
        (404, False, 0.0),
    ],
)
def test_what_an_answer_means(
    receiver: Receiver, answer: Answer, again: bool, after_s: float
) -> None:
    receiver.script = [answer]
    error = refusal(hook(receiver))
    assert (error.again, error.after_s) == (again, after_s)
    assert str(error).startswith(f"answered {answer if isinstance(answer, int) else answer[0]}")


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.script = [(307, {"Location": receiver.url})]
    error = refusal(hook(receiver))
    assert "redirects are not followed" in str(error)
    assert not error.again
    assert len(receiver.requests) == 1


def test_no_answer_and_a_lost_connection_are_tried_again(receiver: Receiver) -> None:
    receiver.script = ["hang"]
    error = refusal(hook(receiver, timeout=0.2))
    assert (str(error), error.again) == ("no answer in time", True)
    receiver.script = ["drop"]
    assert refusal(hook(receiver)).again
    assert refusal(hook(Receiver("http://127.0.0.1:1/hook"))).again


def test_what_a_receiver_says_is_told_without_secrets(receiver: Receiver) -> None:
    url = f"{receiver.url}/token-of-mine?key=another-one"
    receiver.script = [400]
    receiver.text = f"no {SECRET} for\n token-of-mine, another-one \x1b[31m or {url} " + "x" * 9000
    error = refusal(hook(receiver, url=url))
    assert str(error).startswith("answered 400 Bad Request: no *** for ***, *** ?[31m or ***")
    assert len(str(error)) < 200


def test_library_logs_do_not_name_the_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    channel = hook(receiver)
    channel.send(MESSAGE)
    channel.close()
    assert "hook" not in caplog.text


@pytest.mark.parametrize("text", ["", "soon", "-inf", "Thu, 99 Foo 2020", "-1"])
def test_a_retry_after_that_says_nothing_is_none(text: str) -> None:
    assert retry_after(text, NOW) == 0.0


@pytest.mark.parametrize(
    "webhook",
    [
        {"url": "tg-token-secret"},
        {"url": "https://:80/secret"},
        {"url": "http://host:99999/secret"},
        {"url": 12345678},
        "https://host/secret",
        {"url": "https://host/a", "headers": {"a": 12345678}},
        {"url": "https://host/a", "secret": 12345678},
    ],
)
def test_a_wrong_webhook_is_an_error_without_the_secret(webhook: object) -> None:
    tree = {"notify": {"channels": {"desk": {"webhook": webhook}}}}
    with pytest.raises(ConfigError) as raised:
        load(env={}, dotenv=None, overrides=tree)
    assert str(raised.value).startswith("setting `notify.channels.desk.webhook")
    assert "secret" not in str(raised.value).partition(": ")[2]
    assert "12345678" not in str(raised.value)
