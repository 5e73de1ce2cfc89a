"""What a channel is: it takes a message, or says why not."""

import re
from collections.abc import Callable, Iterable
from typing import Protocol

from config.notify import ChannelConfig
from core.market.errors import CryptoToolsError
from subscribers.notify.message import Message

_SHORTEST = 5  # characters of a secret that are worth hiding
_PARTS = re.compile(r"[/?&=@:,#\s]+")


class DeliveryError(CryptoToolsError):
    """A message was not taken.

    Attributes:
        why: In words, without secrets.
        again: Whether another attempt may help.
        after_s: What the receiver asks us to wait.

    """

    def __init__(self, why: str, *, again: bool, after_s: float = 0.0) -> None:
        self.why, self.again, self.after_s = why, again, after_s

    def __str__(self) -> str:
        return self.why


class Channel(Protocol):
    """Where messages go; used by one thread."""

    def send(self, message: Message) -> None:
        """Deliver a message; raises `DeliveryError`."""

    def close(self) -> None:
        """Hang up."""


Hide = Callable[[str], str]


def hider(config: ChannelConfig) -> Hide:
    """Return a function that takes everything secret about a channel out of a text.

    >>> hider(ChannelConfig(apprise="tgram://12345:abcdef/678910"))("no chat 678910 for abcdef")
    'no chat *** for ***'
    """
    told = [config.apprise.get_secret_value()]
    if config.webhook is not None:
        own = config.webhook
        told += [one.get_secret_value() for one in (own.url, own.secret, *own.headers.values())]
    return _hiding(told)


def _hiding(secrets: Iterable[str]) -> Hide:
    parts = {one for secret in secrets for one in (secret, *_PARTS.split(secret))}
    # The longest first: what holds others is hidden whole.
    long = sorted((one for one in parts if len(one) >= _SHORTEST), key=len, reverse=True)
    if not long:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, long)))
    return lambda text: pattern.sub("***", text)
