"""Rules: which records make which messages, and what they say."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.notify import NotifyConfig
from connectors.redis.codec import Entry, entry_of
from core.market import events
from core.market.errors import ConfigError
from core.market.events import (
    Connected,
    Disconnected,
    Event,
    Gap,
    GapOpened,
    InstanceChanged,
    KlineMismatch,
    Quarantined,
    StatusChanged,
    StrategyErrored,
)  # fmt: skip
from core.market.intervals import interval
from core.market.paper import Fill
from core.market.signal import Side, Signal
from subscribers.notify.facts import OF_RECORD, facts_of
from subscribers.notify.kinds import EXCEPTIONS, KINDS, RANKS
from subscribers.notify.message import Message
from subscribers.notify.rules import Rules
from tests.subscribers.notify.receiver import KEY, entry, signal

SHARD = "binance:shard-0"
Make = Callable[..., Any]


def rules(*told: dict[str, Any], **more: object) -> Rules:
    channels = {name: {"apprise": f"json://{name}"} for name in ("phone", "team")}
    tree = {"channels": channels, "rules": told, **more}
    return Rules(NotifyConfig.model_validate(tree))


def everything(**more: object) -> dict[str, Any]:
    return {"to": ["phone"], "records": ["signal", "event", "fill"], **more}


@pytest.fixture
def said() -> Callable[[Any], Message]:
    def of(record: Signal | Event | Fill) -> Message:
        return rules(everything()).messages(entry(record))["phone"]

    return of


def test_a_signal_says_what_is_advised_where_why_and_by_whom(said: Make) -> None:
    message = said(signal(7))
    assert message.text == "BTCUSDT ▲ long at 67,123.45 — rsi 30.4 left oversold (rsi_reversal, 1m)"
    assert (message.title, message.kind, message.severity) == ("BTCUSDT long", "signal", "info")
    assert message.id == "binance:BTCUSDT/signal/rsi_reversal/7"
    assert message.record["price"] == "67123.45"
    short = said(signal(8, side=Side.SHORT, reason="", instance="mine", price="0.00001234"))
    assert short.text == "BTCUSDT ▼ short at 0.00001234 (mine, 1m)"


def test_a_fill_says_what_was_bought_and_what_is_held(said: Make) -> None:
    amounts = {
        n: Decimal("1.5") for n in ("quantity", "fee", "position", "entry", "realised", "cash")
    }
    fill = Fill(
        key=KEY, time_us=5, seq=7, instance="mine", strategy="rsi", interval="1m", side="buy",
        price=Decimal("1234567.8"), signal_seq=6, reason="up", **amounts,
    )  # fmt: skip
    assert said(fill).text == (
        "BTCUSDT ▲ paper buy of 1.5 at 1,234,567.8 — up (mine), position 1.5"
    )


@pytest.mark.parametrize(
    ("event", "text", "severity"),
    [
        (Connected(SHARD, 1, 2, 3), "shard-0 link 3 is connected", "info"),
        (
            Disconnected(SHARD, 1, 2, 3, "no close frame", 3_700_000_000),
            "shard-0 link 3 was lost after 1h 1m — no close frame", "warning",
        ),
        (GapOpened(KEY, 1, 2, 10, 30), "BTCUSDT missed 21 trades, asking for them", "info"),
        (
            Gap(KEY, 1, 2, 4611, 5610, "they are gone"),
            "BTCUSDT lacks 1,000 trades 4611..5610 for good — they are gone", "critical",
        ),
        (StatusChanged(KEY, 1, 2, "HALT"), "BTCUSDT is HALT at the exchange", "warning"),
        (StatusChanged(KEY, 1, 2, "TRADING"), "BTCUSDT is TRADING at the exchange", "info"),
        (
            KlineMismatch(KEY, 1, 2, "1m", 1_723_161_600_000_000, "close"),
            "BTCUSDT kline 1m of 2024-08-09 00:00:00 differs from the exchange's — close",
            "critical",
        ),
        (
            InstanceChanged(KEY, 1, 2, "c", "mine", "refused", "no such strategy"),
            "BTCUSDT mine is refused — no such strategy", "warning",
        ),
        (InstanceChanged(KEY, 1, 2, "c", "mine", "paused", ""), "BTCUSDT mine is paused", "info"),
        (
            StrategyErrored(KEY, 1, 2, "mine", "ValueError"),
            "BTCUSDT mine raised and was stopped — ValueError", "critical",
        ),
    ],
)  # fmt: skip
def test_events_say_what_happened_and_how_grave_it_is(
    said: Make, event: Event, text: str, severity: str
) -> None:
    message = said(event)
    assert (message.text, message.severity, message.kind) == (text, severity, event.kind)


def test_every_kind_of_event_is_in_the_table() -> None:
    kinds = {one.kind for one in Event.__subclasses__()} - {Quarantined.kind}
    assert kinds == set(KINDS) - {"signal", "fill", "missed"}
    assert {kind for kind, _ in EXCEPTIONS} <= kinds


def test_fields_of_templates_are_those_that_records_have() -> None:
    own = {"time_us", "seq", "lived_us", "open_us", "end_us", "trade_us"}
    computed = {"lived": "lived_us", "opens": "open_us", "ends": "end_us", "count": "first_id"}
    names = {
        n for one in vars(events).values() if isinstance(one, type) and issubclass(one, Event)
        and one is not Quarantined for n in one.__annotations__ if n not in {"kind", "lane", "key"}
    }  # fmt: skip
    assert set(OF_RECORD["event"]) == (names - own) | set(computed)


@pytest.mark.parametrize(
    ("rule", "fitting"),
    [
        ({}, {"long", "short", "gap", "connected"}),
        ({"records": ["signal"]}, {"long", "short"}),
        ({"instances": ["mine"]}, {"short"}),
        ({"symbols": ["btcusdt"]}, {"long", "gap"}),
        ({"symbols": ["binance:ETHUSDT"]}, {"short"}),
        ({"kinds": ["short", "gap"]}, {"short", "gap"}),
        ({"severity": "warning"}, {"gap"}),
        ({"severity": "critical", "kinds": ["connected"]}, set()),
    ],
)
def test_a_rule_takes_what_fits_all_that_it_names(rule: dict[str, Any], fitting: set[str]) -> None:
    records: dict[str, Signal | Event] = {
        "long": signal(1),
        "short": signal(2, "binance:ETHUSDT", instance="mine", side=Side.SHORT),
        "gap": Gap(KEY, 1, 2, 3, 4, "gone"),
        "connected": Connected(SHARD, 1, 2, 3),
    }
    own = rules({"to": ["phone"], **rule})
    assert {name for name, one in records.items() if own.messages(entry(one))} == fitting


def test_all_rules_are_followed_and_the_first_makes_the_text() -> None:
    own = rules(
        {"to": ["team"], "template": "{instance}: {side}"},
        {"to": ["phone", "team"], "template": "{price}"},
    )
    found = own.messages(entry(signal(1)))
    assert {name: one.text for name, one in found.items()} == {
        "team": "rsi_reversal: long", "phone": "67,123.45",
    }  # fmt: skip


def test_without_rules_signals_and_what_is_wrong_go_everywhere() -> None:
    own = rules()
    assert set(own.messages(entry(signal(1)))) == {"phone", "team"}
    assert set(own.messages(entry(Gap(KEY, 1, 2, 3, 4, "gone")))) == {"phone", "team"}
    assert not own.messages(entry(Connected(SHARD, 1, 2, 3)))
    assert own.records == {"signal", "event"}
    assert Rules(NotifyConfig()).records == frozenset()


def test_lost_records_concern_whoever_hears_of_warnings() -> None:
    own = rules({"to": ["phone"]}, {"to": ["team"], "severity": "critical"})
    found = own.missed("5 entries of x are gone")
    assert set(found) == {"phone"}
    assert found["phone"].text.endswith("before they could be looked at — 5 entries of x are gone")
    assert found["phone"].id == own.missed("5 entries of x are gone")["phone"].id


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"template": "{prise}"}, "there is no field `{prise}`\nhint: did you mean `{price}`?"),
        ({"template": "{link}", "records": ["signal"]}, "there is no field `{link}`"),
        ({"template": "{0}"}, "`{0}` is not just a name"),
        ({"template": "{}"}, "`{}` is not just a name"),
        ({"template": "{side.__class__}"}, "is not just a name"),
        ({"template": "{side[0]}"}, "is not just a name"),
        ({"template": "{side!r}"}, "`{side!r}` is not just a name"),
        ({"template": "{side:>10}"}, "is not just a name"),
        ({"template": "{side"}, "expected '}' before end of string"),
        ({"kinds": ["gaps"]}, "no record of signal or event is of kind `gaps`\nhint: did you mean"),
        ({"kinds": ["gap"], "records": ["signal"]}, "hint: known are long short flat"),
    ],
)
def test_a_rule_that_cannot_be_is_an_error_that_names_it(rule: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        rules({"to": ["team"]}, {"to": ["phone"], **rule})
    setting = "kinds" if "kinds" in rule else "template"
    assert str(raised.value).startswith(f"setting `notify.rules.1.{setting}`: ")
    assert why in str(raised.value)


def test_braces_can_be_written_and_fields_of_other_kinds_are_empty() -> None:
    own = rules({"to": ["phone"], "template": "{{{symbol}}} {link}{side}"})
    assert own.messages(entry(signal(1)))["phone"].text == "{BTCUSDT} long"
    connected = own.messages(entry(Connected(SHARD, 1, 2, 3)))["phone"]
    assert connected.text == "{shard-0} 3"


texts = st.text("ab{}—\n0٣² .-", max_size=12)
names = st.sampled_from(
    ["kind", "seq", "side", "price", "time_us", "close_ms", "first_id", "last_id", "lived_us",
     "open_us", "status", "state", "detail", "instance", "reason"]
)  # fmt: skip
values = texts | st.sampled_from(["gap", "-5", "1" * 30, "٣", "²", "", "nan", "1e9", "connected"])


@given(st.dictionaries(names, values), st.sampled_from(["signal", "event", "fill"]))
def test_no_record_however_odd_raises(fields: dict[str, str], record: str) -> None:
    odd: Entry = entry_of(f"md:{{binance:BTCUSDT}}:{record}", "5-6", fields)
    (message,) = rules(everything()).messages(odd).values()
    assert message.severity in RANKS
    assert facts_of(odd)["id"] == message.id
    assert Message(**{n: getattr(message, n) for n in Message.__slots__}) == message
    assert isinstance(message.as_json(), bytes)


def test_signals_of_two_instances_at_one_place_are_two() -> None:
    def of(instance: str) -> Signal:
        return Signal(KEY, interval("1m"), "s", instance, Side.LONG, 0, 1, "1", "", (), 9)

    own = rules(everything())
    first, second = (own.messages(entry(of(name)))["phone"].id for name in ("a", "b"))
    assert first != second
