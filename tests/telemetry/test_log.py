"""Log lines: their fields, and what they never hold."""

import logging
from collections.abc import Iterator

import orjson
import pytest
import redis
from pydantic import SecretStr

from config.notify import ChannelConfig, NotifyConfig, WebhookConfig
from config.secret import secrets_of
from config.settings import load
from connectors.redis.board import Board
from telemetry import log
from telemetry.mask import MASK, Mask

LOG = logging.getLogger("cryptotools.test")
PASSWORD = "hunter2/with@odd:signs"
HOOK = "https://hooks.example.com/services/T0AAAAAAA/B0BBBBBBB/c0ffeeC0FFEEc0ffee"


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("cryptotools")
    before = root.handlers[:], root.level, own.level
    monkeypatch.setattr("telemetry.log.MASK", Mask())
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_json_line_has_the_stable_fields_first(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", json=True)
    LOG.info("%d rows", 3, extra={"fields": {"status": 200, "level": "mine"}})
    try:
        1 / 0  # noqa: B018 - it is to raise
    except ZeroDivisionError:
        LOG.exception("failed")
    LOG.debug("not told")
    first, second = lines(capsys)
    assert list(first) == ["time", "level", "logger", "message", "status"]
    assert (first["level"], first["logger"]) == ("info", "cryptotools.test")
    assert (first["message"], first["status"]) == ("3 rows", 200)
    assert str(first["time"]).endswith("+00:00")
    assert list(second) == list(log.FIELDS)
    assert "ZeroDivisionError" in str(second["error"])


@pytest.mark.parametrize("json", [True, False])
def test_no_line_holds_a_secret_wherever_it_stands(
    json: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("info", json=json, secrets=[PASSWORD, HOOK])
    LOG.info("in the message: %s", PASSWORD)
    LOG.info(PASSWORD, extra={"fields": {"of": PASSWORD, "deep": [HOOK]}})
    LOG.info("its path alone: /services/T0AAAAAAA/B0BBBBBBB/c0ffeeC0FFEEc0ffee")
    logging.getLogger("urllib3").warning("as another library quotes it: %r", HOOK)
    try:
        raise ValueError(PASSWORD)
    except ValueError:
        LOG.exception("with a traceback")
    said = capsys.readouterr().err
    assert PASSWORD not in said
    assert "c0ffee" not in said
    assert said.count("***") >= 5
    assert "with a traceback" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://u:p@h:1/0 is away", "redis://u:***@h:1/0 is away"),
        ("redis://:p@ss@h:1", "redis://:***@h:1"),
        ("at redis://host:6379/0", "at redis://host:6379/0"),
        ("GET /x?token=abc&a=1", "GET /x?token=***&a=1"),
        ("Authorization: Bearer abcdefgh123", "Authorization: Bearer ***"),
        ("ct_abcd2345_" + "x" * 43, "ct_***"),
        ("the secret of the hotel", "the secret of the hotel"),
        ("12:30:05 me@home", "12:30:05 me@home"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, expected: str) -> None:
    assert Mask()(text) == expected


def test_short_secrets_do_not_riddle_every_line() -> None:
    own = Mask()
    own.add(["a", "", "abc"])
    assert own("a cab, an abc") == "a cab, an abc"


def test_the_settings_tell_their_secrets() -> None:
    hook = WebhookConfig(
        url=SecretStr(HOOK), secret=SecretStr("signing-key"), headers={"X": SecretStr("header-key")}
    )
    channels = {
        "a": ChannelConfig(webhook=hook),
        "b": ChannelConfig(apprise=SecretStr("tgram://1/2")),
    }
    settings = load(
        env={},
        dotenv=None,
        overrides={"redis": {"url": "redis://app:in-the-url@10.0.0.1:6379/0"},
                   "api": {"token": "shown-by-the-cli"}},
    ).model_copy(update={"notify": NotifyConfig(channels=channels)})  # fmt: skip
    found = set(secrets_of(settings))
    assert {HOOK, "signing-key", "header-key", "tgram://1/2"} <= found
    assert {"in-the-url", "shown-by-the-cli"} <= found


def test_a_redis_that_cannot_be_reached_does_not_tell_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = "redis://app:in-the-url@127.0.0.1:1/0"
    log.configure("debug", secrets=["in-the-url"])
    board = Board(url, "main")
    board.show(0, {"written": 0})
    board.close()
    try:
        redis.Redis.from_url(url).ping()
    except redis.ConnectionError as error:
        LOG.exception("%s: %s", url, error)
    said = capsys.readouterr().err
    assert "the status cannot be told to redis" in said
    assert "redis://app:***@127.0.0.1:1/0" in said
    assert "in-the-url" not in said


def test_the_processs_own_mask_is_there() -> None:
    assert MASK("redis://:x@h") == "redis://:***@h"
