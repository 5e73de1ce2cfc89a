"""Symbols and instances by HTTP: what is answered, and when it is refused."""

import pytest
import redis
from httpx import Client, Response

from config.settings import Settings
from connectors.redis.keys import CONTROL
from core.control import InstanceCommand
from tests.api.double import FlowDouble
from tests.api.served import client

SYMBOLS = "/api/v1/symbols"
INSTANCES = "/api/v1/instances"
FAST = {"name": "rsi_reversal", "instance": "fast", "params": {"period": 5}}


def problem(answer: Response, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, str] = answer.json()
    assert found["status"] == status  # type: ignore[comparison-overlap]  # it is a number
    return found


def test_symbols_are_followed_and_left_in_one_answer(api: Client, flow: FlowDouble) -> None:
    answer = api.post(SYMBOLS, json={"symbols": ["solusdt", "BTCUSDT"]})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "applied")
    reasons = {row["subject"]: row["reason"] for row in answer.json()["results"]}
    assert reasons == {"SOLUSDT": "", "BTCUSDT": "it was followed already"}
    followed = {row["symbol"]: row for row in api.get(SYMBOLS).json()}
    assert set(followed) == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
    assert followed["SOLUSDT"]["key"] == "binance:SOLUSDT"
    assert api.get(f"{SYMBOLS}/binance:solusdt").json()["symbol"] == "SOLUSDT"
    assert api.delete(f"{SYMBOLS}/SOLUSDT").json()["outcome"] == "applied"
    said = problem(api.get(f"{SYMBOLS}/SOLUSDT"), 404)
    assert (said["field"], said["hint"]) == ("symbol", "followed are: BTCUSDT ETHUSDT")


def test_of_several_symbols_some_may_be_refused(api: Client, flow: FlowDouble) -> None:
    answer = api.post(SYMBOLS, json={"symbols": ["NIXUSDT", "SOLUSDT"]})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "partly")
    states = {row["subject"]: row["state"] for row in answer.json()["results"]}
    assert states == {"NIXUSDT": "refused", "SOLUSDT": "applied"}
    said = problem(api.post(SYMBOLS, json={"symbols": ["NIXUSDT"]}), 422)
    assert "no symbol `NIXUSDT`" in said["detail"]
    assert said["field"] == "symbols"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"symbols": []}, "symbols"), ({"symbols": ["{}"]}, "symbols"), ({}, "symbols"),
     ({"symbols": ["BTCUSDT"], "more": 1}, "more"), ({"symbols": "BTCUSDT"}, "symbols")],
)  # fmt: skip
def test_a_body_that_cannot_be_names_the_field(
    api: Client, flow: FlowDouble, body: object, field: str
) -> None:
    assert problem(api.post(SYMBOLS, json=body), 422)["field"] == field
    assert not flow.commands


def test_an_instance_lives_from_post_to_delete(api: Client, flow: FlowDouble) -> None:
    made = api.post(INSTANCES, json=FAST)
    assert made.status_code == 201, made.text
    assert made.json()["outcome"] == "applied"
    assert {row["state"] for row in made.json()["results"]} == {"accepted", "running"}
    assert made.headers["etag"] == f'"{made.json()["instance"]["version"]}"'

    one = api.get(f"{INSTANCES}/fast")
    assert one.headers["etag"] == made.headers["etag"]
    assert one.json()["spec"]["params"] == {"period": 5}
    assert {row["key"] for row in one.json()["symbols"]} == {"binance:BTCUSDT", "binance:ETHUSDT"}
    assert one.json()["symbols"][0]["params"]["overbought"] == 70.0

    changed = api.patch(f"{INSTANCES}/fast", json={"params": {"oversold": 20}})
    assert changed.json()["instance"]["spec"]["params"] == {"period": 5, "oversold": 20}
    for verb, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        assert api.post(f"{INSTANCES}/fast/{verb}").json()["instance"]["state"] == state
        assert api.get(f"{INSTANCES}/fast").json()["state"] == state
    assert api.get(f"{INSTANCES}/fast").json()["symbols"] == []
    said = problem(api.post(f"{INSTANCES}/fast/resume"), 409)
    assert said["detail"] == "it is stopped"
    started = api.post(f"{INSTANCES}/fast/start").json()
    assert started["instance"]["spec"]["params"] == {"period": 5, "oversold": 20}
    assert api.delete(f"{INSTANCES}/fast").json()["outcome"] == "applied"
    said = problem(api.get(f"{INSTANCES}/fast"), 404)
    assert said["hint"] == "there are: bollinger_breakout macd_cross rsi_reversal"


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"name": "rsi_reversa"}, "name", "no strategy of that name"),
        ({"name": "rsi_reversal", "params": {"period": 1}}, "params.period", "`1`: "),
        ({"name": "rsi_reversal", "params": {"perod": 5}}, "params.perod", "Extra inputs"),
        ({"name": "rsi_reversal", "interval": "7m"}, "interval", "unknown interval `7m`"),
        ({"name": "rsi_reversal", "symbols": ["a b"]}, "symbols", "not a symbol"),
        ({"name": "rsi_reversal", "symbols": []}, "symbols", "at least 1"),
        ({"name": ""}, "name", "at least 1"),
    ],
)
def test_an_instance_that_cannot_be_is_refused_before_it_is_sent(
    api: Client, flow: FlowDouble, body: object, field: str, words: str
) -> None:
    said = problem(api.post(INSTANCES, json=body), 422)
    assert said["field"] == field
    assert words in said["detail"]
    assert not flow.commands


def test_who_has_seen_another_version_changes_nothing(api: Client, flow: FlowDouble) -> None:
    first = api.post(INSTANCES, json=FAST).headers["etag"]
    path, body = f"{INSTANCES}/fast", {"params": {"period": 9}}
    assert api.patch(path, json=body, headers={"If-Match": first}).status_code == 200
    said = problem(api.patch(path, json=body, headers={"If-Match": first}), 412)
    assert said["field"] == "If-Match"
    assert problem(api.delete(path, headers={"If-Match": '"nix"'}), 412)
    assert api.post(f"{path}/pause", headers={"If-Match": "*"}).status_code == 200


def test_the_flow_itself_refuses_a_version_that_passed(flow: FlowDouble, bus: redis.Redis) -> None:
    # Two replicas may have read the same version at the same time.
    subscriptions = flow._subscriptions
    add = InstanceCommand(id="c1", action="add", instance="fast", spec={"name": "rsi_reversal"})
    assert subscriptions.obey(add, "1-0")[0].state == "accepted"
    late = InstanceCommand(id="c2", action="pause", instance="fast", expected="settings")
    (outcome,) = subscriptions.obey(late, "2-0")
    assert outcome.state == "refused"
    assert "at version c1 by now, not at settings" in outcome.reason
    again = InstanceCommand(id="c1", action="pause", instance="fast", expected="settings")
    assert subscriptions.obey(again, "3-0")[0].state == "accepted"  # obeyed before, once more


def test_an_instance_of_a_taken_name_is_refused(api: Client, flow: FlowDouble) -> None:
    assert api.post(INSTANCES, json=FAST).status_code == 201
    assert api.post(INSTANCES, json=FAST).status_code == 201  # the same once more is the same
    said = problem(api.post(INSTANCES, json=FAST | {"params": {"period": 6}}), 409)
    assert said["detail"] == "there is an instance of this name"


def test_without_a_flow_nothing_is_sent(api: Client, bus: redis.Redis) -> None:
    said = problem(api.post(SYMBOLS, json={"symbols": ["SOLUSDT"]}), 503)
    assert said["hint"] == "start one with `cryptotools up`"
    problem(api.post(INSTANCES, json=FAST), 503)
    assert not bus.exists(CONTROL)
    assert api.get(SYMBOLS).json() == []
    assert api.get("/status").json() == {}


def test_a_flow_that_was_stopped_is_told_of(
    api: Client, settings: Settings, bus: redis.Redis
) -> None:
    FlowDouble(settings).start().stop()
    assert api.get("/status").json()["main"]["state"] == "stopped"
    said = problem(api.post(SYMBOLS, json={"symbols": ["SOLUSDT"]}), 503)
    assert "main is stopped" in said["detail"]
    problem(api.post(f"{SYMBOLS}?flow=other", json={"symbols": ["SOLUSDT"]}), 404)


def test_who_does_not_wait_is_told_that_it_was_accepted(api: Client, flow: FlowDouble) -> None:
    flow.mute = True
    answer = api.post(f"{SYMBOLS}?wait=0", json={"symbols": ["SOLUSDT"]})
    assert (answer.status_code, answer.json()["outcome"]) == (202, "accepted")
    answer = api.post(f"{INSTANCES}?wait=0.1", json=FAST)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "accepted")
    assert answer.json()["instance"] is None


def test_commands_are_in_the_audit(api: Client, flow: FlowDouble) -> None:
    api.post(INSTANCES, json=FAST)
    api.post(SYMBOLS, json={"symbols": ["NIXUSDT"]})
    first, second = api.get("/api/v1/audit").json()
    assert (first["action"], first["subject"], first["outcome"]) == (
        "subscribe", "NIXUSDT", "refused",
    )  # fmt: skip
    assert (second["action"], second["caller"], second["outcome"]) == ("add", "local", "applied")
    (older,) = api.get("/api/v1/audit", params={"before": first["id"]}).json()
    assert older["id"] == second["id"]


def test_redis_that_is_away_is_said_so(settings: Settings) -> None:
    away = settings.redis.model_copy(update={"url": "redis://127.0.0.1:1"})
    with client(settings.model_copy(update={"redis": away})) as api:
        assert api.get("/health").status_code == 200
        for path in ("/ready", "/status", SYMBOLS, INSTANCES, "/api/v1/audit"):
            assert problem(api.get(path), 503)["detail"].startswith("redis: ")
        problem(api.post(INSTANCES, json=FAST, headers={"Idempotency-Key": "k"}), 503)
