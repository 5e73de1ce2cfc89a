"""What the exchange answers to a client's messages."""

import json
from typing import Any

import pytest

from simulator.requests import Requests


def requests(*, flat: bool = False) -> Requests:
    return Requests(combined=False, max_streams=3, flat_errors=flat)


def answer(of: Requests, message: object) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    done: dict[str, Any] = json.loads(of.answer(text, 7))
    return done


def test_subscriptions_come_go_and_are_listed_in_their_order() -> None:
    r = requests()
    subscribe = {"method": "SUBSCRIBE", "params": ["ethusdt@trade", "btcusdt@trade"], "id": 1}
    assert answer(r, subscribe) == {"result": None, "id": 1}
    assert answer(r, {"method": "LIST_SUBSCRIPTIONS", "id": "a-b"}) == {
        "result": ["ethusdt@trade", "btcusdt@trade"],
        "id": "a-b",
    }
    assert answer(
        r, {"method": "UNSUBSCRIBE", "params": ["ethusdt@trade", "x@trade"], "id": -9}
    ) == {
        "result": None,
        "id": -9,
    }
    assert answer(r, {"method": "LIST_SUBSCRIPTIONS", "id": None})["result"] == ["btcusdt@trade"]


def test_a_stream_subscribed_again_keeps_its_start() -> None:
    r = requests()
    r.answer(json.dumps({"method": "SUBSCRIBE", "params": ["a@trade"], "id": 1}), 5)
    r.answer(json.dumps({"method": "SUBSCRIBE", "params": ["a@trade"], "id": 2}), 9)
    assert r.streams == {"a@trade": 5}


def test_combined_is_read_and_set() -> None:
    r = requests()
    get = {"method": "GET_PROPERTY", "params": ["combined"], "id": 2}
    assert answer(r, get) == {"result": False, "id": 2}
    set_ = {"method": "SET_PROPERTY", "params": ["combined", True], "id": 3}
    assert answer(r, set_) == {"result": None, "id": 3}
    assert answer(r, get)["result"] is True


@pytest.mark.parametrize(
    ("message", "code", "text", "number"),
    [
        ("{", 3, "Invalid JSON: expected value at line 1 column 2", None),
        ("[" * 100_000, 3, "Invalid JSON: expected value at line 1 column 1", None),
        ("[]", 2, "missing field `method`", None),
        ({"id": 4}, 2, "missing field `method`", 4),
        ({"method": "BUY", "id": 4}, 2, "unknown variant `BUY`, expected one of `SUBSCRIBE`", 4),
        ({"method": "LIST_SUBSCRIPTIONS"}, 2, "request ID must be an unsigned integer", None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": 1.5}, 2, "request ID must be", None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": True}, 2, "request ID must be", None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": 2**63}, 2, "request ID must be", None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": "x" * 37}, 2, "request ID must be", None),
        ({"method": "LIST_SUBSCRIPTIONS", "params": [1], "id": 1}, 2, "too many parameters", 1),
        ({"method": "SUBSCRIBE", "params": "a@trade", "id": 1}, 2, "missing field `params`", 1),
        ({"method": "SUBSCRIBE", "params": ["btcusdt"], "id": 1}, 2, "invalid stream", 1),
        ({"method": "SUBSCRIBE", "params": ["a@kline_7m"], "id": 1}, 2, "invalid stream", 1),
        ({"method": "SUBSCRIBE", "params": [5], "id": 1}, 2, "invalid stream", 1),
        (
            {"method": "SUBSCRIBE", "params": [f"{c}@trade" for c in "abcd"], "id": 1},
            4,
            "Too many subscriptions",
            1,
        ),
        ({"method": "GET_PROPERTY", "params": ["x"], "id": 1}, 0, "Unknown property", 1),
        ({"method": "GET_PROPERTY", "params": [1], "id": 1}, 2, "must be a string", 1),
        ({"method": "GET_PROPERTY", "params": ["combined", 1], "id": 1}, 2, "too many", 1),
        ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}, 1, "expected Boolean", 1),
        ({"method": "SET_PROPERTY", "params": ["combined"], "id": 1}, 1, "expected Boolean", 1),
    ],
)
def test_a_wrong_request_is_refused(message: object, code: int, text: str, number: object) -> None:
    r = requests()
    nested = answer(r, message)
    assert nested.keys() == {"error", "id"}
    assert nested["id"] == number
    assert nested["error"]["code"] == code
    assert text in nested["error"]["msg"]
    assert not r.streams
    flat = answer(requests(flat=True), message)
    assert (flat["code"], flat["msg"]) == (code, nested["error"]["msg"])
