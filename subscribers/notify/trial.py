"""A message to see whether a channel works, and what a rule's messages look like."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from config.notify import NotifyConfig
from connectors.redis.codec import Entry
from connectors.redis.keys import StreamName
from core.market.errors import ConfigError
from core.market.records import Fields
from subscribers.notify.channel import Channel, DeliveryError
from subscribers.notify.channels import open_channel
from subscribers.notify.facts import facts_of
from subscribers.notify.message import Message
from subscribers.notify.rules import Rules, message_of

_SAMPLES: dict[str, Fields] = {
    "signal": {
        "strategy": "rsi_reversal", "instance": "rsi_reversal", "side": "long",
        "price": "67123.45", "reason": "rsi 30.4 left oversold", "interval": "1m",
        "values": '{"rsi":30.4}',
    },
    "event": {
        "kind": "gap", "first_id": "4611", "last_id": "4617",
        "reason": "the exchange does not have them",
    },
    "fill": {
        "strategy": "rsi_reversal", "instance": "rsi_reversal", "side": "buy", "interval": "1m",
        "price": "67123.45", "quantity": "0.01489", "fee": "0.99947", "position": "0.01489",
        "entry": "67123.45", "realised": "0", "cash": "8999.53", "signal_seq": "1",
        "reason": "rsi 30.4 left oversold",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a test message; `error` is empty where it was delivered."""

    channel: str
    seconds: float
    error: str = ""


def sample(record: str, now: float) -> Entry:
    """Return a made-up record of BTCUSDT."""
    ms = int(now * 1000)
    times = {"time_us": str(ms * 1000), "close_ms": str(ms), "open_ms": str(ms), "seq": str(ms)}
    return Entry(StreamName("binance:BTCUSDT", record), f"{ms}-0", {**_SAMPLES[record], **times})


def trial_message(now: float) -> Message:
    """Return a message that says that it is a test."""
    made = f"test/{int(now * 1000)}"
    text = "This is a test. If you can read it, notifications reach you."
    return Message(made, "test", "info", "CryptoTools", text, (made,), int(now * 1e6))


def messages_of_rule(config: NotifyConfig, number: int, now: float) -> dict[str, list[Message]]:
    """Return a message for each kind of record of a rule, from 1 on, for its channels.

    Raises:
        ConfigError: There is no such rule.

    """
    rules = Rules(config).rules
    if not 1 <= number <= len(rules):
        there = f"there are {len(rules)} of them"
        raise ConfigError("--rule", f"there is no rule {number}", hint=f"from 1 on; {there}")
    rule = rules[number - 1]
    made: list[Message] = []
    for record in rule.config.records:
        entry = sample(record, now)
        made.append(message_of(entry, facts_of(entry), rule.template))
    return dict.fromkeys(rule.config.to, made)


def send_tests(
    config: NotifyConfig,
    messages: dict[str, list[Message]],
    *,
    open_: Callable[..., Channel] = open_channel,
) -> Iterable[Tried]:
    """Send messages to their channels, one attempt each; yields what became of each channel."""
    for name, own in messages.items():
        began = time.monotonic()
        try:
            channel = open_(name, config.channels[name])
            try:
                for message in own:
                    channel.send(message)
            finally:
                channel.close()
            error = ""
        except (DeliveryError, ConfigError) as failed:
            error = str(failed)
        yield Tried(name, time.monotonic() - began, error)
