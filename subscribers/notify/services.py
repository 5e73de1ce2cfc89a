"""Telegram, Discord, Slack and a hundred others, by the Apprise library and its addresses."""

import logging
import threading
import warnings
from types import ModuleType
from typing import Any

from config.notify import Severity
from core.market.errors import ConfigError
from subscribers.notify.channel import DeliveryError, Hide
from subscribers.notify.message import Message

_TYPES: dict[Severity, str] = {"info": "info", "warning": "warning", "critical": "failure"}
_SPARE = 16  # characters that a service may put around title and text

# It speaks of hosts and, where it is verbose, of addresses. What it says comes with our errors.
_LOGGER = logging.getLogger("apprise")


class Service:
    """An address of Apprise's.

    Args:
        name: Of the channel.
        address: Such as ``tgram://<token>/<chat>``.
        hide: Takes secrets out of a text.

    Raises:
        ConfigError: Apprise is not installed, or knows no such address.

    """

    def __init__(self, name: str, address: str, hide: Hide) -> None:
        self._hide = hide
        setting = f"notify.channels.{name}.apprise"
        library = _library(setting)
        with _Heard() as heard, warnings.catch_warnings():
            # It imports what Python is to lose; that is no concern of whoever sends.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._service: Any = library.Apprise.instantiate(address)
        if self._service is None:
            said = f" ({hide(heard.last)})" if heard.last else ""
            why = f"apprise knows no such address{said}"
            hint = "tgram://TOKEN/CHAT, discord://ID/TOKEN, slack://A/B/C: see docs of apprise"
            raise ConfigError(setting, why, hint=hint)
        # Otherwise it goes out as it is, and is refused.
        self._most = int(self._service.body_maxlen)

    def send(self, message: Message) -> None:
        """Deliver a message; raises `DeliveryError`."""
        text = message.text or message.title
        room = max(1, self._most - len(message.title) - _SPARE)
        with _Heard() as heard:
            done = self._service.notify(
                title=message.title,
                body=text if len(text) <= room else f"{text[: room - 1]}…",
                notify_type=_type(message.severity),
                body_format="text",
            )
        if not done:
            raise DeliveryError(self._hide(heard.last or "the service did not take it"), again=True)

    def close(self) -> None:
        """Nothing is open between two messages."""


class _Heard(logging.Handler):
    """Keeps the last warning of this thread, and lets no line of the library out."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self._thread = threading.get_ident()

    def __enter__(self) -> "_Heard":
        _LOGGER.propagate = False
        _LOGGER.addHandler(self)
        return self

    def __exit__(self, *_error: object) -> None:
        _LOGGER.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.last = " ".join(record.getMessage().split())[:200]


def _library(setting: str) -> ModuleType:
    try:
        import apprise
    except ImportError:
        hint = "pip install 'cryptotools[notify]'"
        raise ConfigError(setting, "the package `apprise` is not installed", hint=hint) from None
    return apprise


def _type(severity: Severity) -> Any:  # noqa: ANN401 - an enumeration of the library's
    from apprise import NotifyType

    return NotifyType(_TYPES[severity])
