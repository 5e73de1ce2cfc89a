"""A request with a key is carried out once."""

import threading

import httpx
import pytest
import redis

from config.settings import Settings
from tests.api.double import FlowDouble
from tests.api.served import client

SYMBOLS = "/api/v1/symbols"
SOL = {"symbols": ["SOLUSDT"]}


def key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}


def test_the_same_answer_comes_again_from_any_replica(
    api: httpx.Client, flow: FlowDouble, settings: Settings
) -> None:
    first = api.post(SYMBOLS, json=SOL, headers=key("a"))
    with client(settings) as other:
        second = other.post(SYMBOLS, json=SOL, headers=key("a"))
    assert len(flow.commands) == 1
    assert second.content == first.content
    assert second.status_code == first.status_code == 200
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert api.post(SYMBOLS, json=SOL, headers=key("b")).content != first.content
    assert api.post(SYMBOLS, json=SOL).content != first.content


def test_a_key_of_another_request_is_refused(api: httpx.Client, flow: FlowDouble) -> None:
    api.post(SYMBOLS, json=SOL, headers=key("a"))
    for answer in (
        api.post(SYMBOLS, json={"symbols": ["BNBUSDT"]}, headers=key("a")),
        api.delete(f"{SYMBOLS}/SOLUSDT", headers=key("a")),
        api.post(f"{SYMBOLS}?wait=1", json=SOL, headers=key("a")),
    ):
        assert answer.status_code == 422
        assert answer.json()["field"] == "Idempotency-Key"
    assert len(flow.commands) == 1


def test_what_was_refused_is_refused_again_without_asking(
    api: httpx.Client, flow: FlowDouble
) -> None:
    body = {"symbols": ["NIXUSDT"]}
    first = api.post(SYMBOLS, json=body, headers=key("a"))
    second = api.post(SYMBOLS, json=body, headers=key("a"))
    assert first.status_code == second.status_code == 422
    assert first.content == second.content
    assert second.headers["content-type"] == "application/problem+json"
    assert len(flow.commands) == 1


def test_what_could_not_be_done_may_be_tried_again(
    api: httpx.Client, settings: Settings, bus: redis.Redis
) -> None:
    assert api.post(SYMBOLS, json=SOL, headers=key("a")).status_code == 503  # no flow
    flow = FlowDouble(settings).start()
    try:
        assert api.post(SYMBOLS, json=SOL, headers=key("a")).status_code == 200
    finally:
        flow.stop()


def test_of_many_at_once_one_is_carried_out(api: httpx.Client, flow: FlowDouble) -> None:
    codes: list[int] = []

    def ask() -> None:
        codes.append(api.post(SYMBOLS, json=SOL, headers=key("a")).status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(codes) <= {200, 409}
    assert 200 in codes
    assert len(flow.commands) == 1


@pytest.mark.parametrize("text", ["a" * 129, "with blank", "\xe9"])
def test_keys_that_cannot_be_are_refused(api: httpx.Client, flow: FlowDouble, text: str) -> None:
    answer = api.post(SYMBOLS, json=SOL, headers=[(b"Idempotency-Key", text.encode("latin-1"))])
    assert answer.status_code == 422
    assert answer.json()["field"] == "idempotency-key"
