"""Messages as signed JSON to a web address of the user's own.

    POST {id, kind, severity, title, text, record, records, sent_at}
    X-CryptoTools-Id         the message's id: one that was seen before is to be dropped
    X-CryptoTools-Timestamp  seconds since the epoch
    X-CryptoTools-Signature  sha256=HMAC(secret, timestamp + "." + body), in hex

Redirects are not followed: a signed message goes nowhere but where it was meant to go. Addresses of
this machine and its network are fine, because receivers often run there.
"""

import hmac
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import httpx
import orjson

from config.notify import WebhookConfig
from subscribers.notify.channel import DeliveryError, Hide
from subscribers.notify.message import Message

_AGAIN = {408, 425, 429}
_READ = 2048  # bytes of an answer at most
_SHOWN = 120
_LONGEST_S = 3600.0
_IDS = 500

ID, TIMESTAMP, SIGNATURE = "X-CryptoTools-Id", "X-CryptoTools-Timestamp", "X-CryptoTools-Signature"

# It tells of every request, with the address; that may be a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Webhook:
    """A web address.

    Args:
        config: Which one.
        hide: Takes secrets out of a text.
        clock: Seconds since the epoch.

    """

    def __init__(
        self, config: WebhookConfig, hide: Hide, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._url = config.url.get_secret_value()
        self._secret = config.secret.get_secret_value().encode()
        self._hide, self._clock = hide, clock
        given = {name: value.get_secret_value() for name, value in config.headers.items()}
        self._headers = {"User-Agent": f"CryptoTools/{version('cryptotools')}"} | given
        self._client = httpx.Client(timeout=config.timeout, follow_redirects=False)

    def send(self, message: Message) -> None:
        """Post a message; raises `DeliveryError` unless it is taken with 2xx."""
        now = self._clock()
        body = orjson.dumps(body_of(message, now))
        headers = self._headers | headers_of(message, body, int(now), self._secret)
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as answer:
                if not answer.is_success:
                    raise self._refused(answer)
        except httpx.TimeoutException:
            raise DeliveryError("no answer in time", again=True) from None
        except httpx.UnsupportedProtocol as error:
            raise DeliveryError(self._hide(str(error)), again=False) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = str(error) or type(error).__name__
            raise DeliveryError(self._hide(why), again=True) from None

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _refused(self, answer: httpx.Response) -> DeliveryError:
        status = answer.status_code
        why = f"answered {status} {answer.reason_phrase}".strip()
        if answer.is_redirect:
            why += ", redirects are not followed: set the address it leads to"
        said = "" if answer.is_redirect else _beginning(answer)
        if said:
            why += f": {said}"
        after_s = retry_after(answer.headers.get("Retry-After", ""), self._clock())
        again = status in _AGAIN or status >= 500
        return DeliveryError(self._hide(why), again=again, after_s=after_s)


def body_of(message: Message, now: float) -> dict[str, Any]:
    """Return what is posted of a message."""
    return {
        "id": message.id,
        "kind": message.kind,
        "severity": message.severity,
        "title": message.title,
        "text": message.text,
        "record": message.record,
        "records": list(message.records[:_IDS]),
        "sent_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
    }


def headers_of(message: Message, body: bytes, timestamp: int, secret: bytes) -> dict[str, str]:
    """Return the headers of a message; without a secret it is not signed."""
    headers = {
        "Content-Type": "application/json",
        # A header holds no more than ASCII; ids of records do.
        ID: message.id.encode("ascii", "backslashreplace").decode(),
        TIMESTAMP: str(timestamp),
    }
    if secret:
        signed = hmac.new(secret, f"{timestamp}.".encode() + body, sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={signed}"
    return headers


def retry_after(text: str, now: float) -> float:
    """Return how many seconds a Retry-After header asks for, an hour at most; 0: nothing.

    >>> retry_after("7", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 50.0)
    (7.0, 10.0)
    >>> retry_after("soon", 0.0), retry_after("99999", 0.0)
    (0.0, 3600.0)
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    # A comparison with what is no number is false.
    return min(seconds, _LONGEST_S) if seconds > 0 else 0.0


def _beginning(answer: httpx.Response) -> str:
    found = b""
    try:
        for chunk in answer.iter_raw(_SHOWN * 4):
            found += chunk
            if len(found) >= _READ:
                break
    except httpx.HTTPError:
        pass  # the status says enough
    text = " ".join(found[:_READ].decode("utf-8", "replace").split())
    return "".join(one if one.isprintable() else "?" for one in text)[:_SHOWN]
