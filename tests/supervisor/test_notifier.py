"""Notifications beside a real flow: signed, each once, though the notifier is killed."""

import hmac
import json
import os
import signal
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from simulator.local import Simulator
from tests.subscribers.notify.receiver import Request, receiving
from tests.supervisor.conftest import Job, until
from tests.supervisor.test_api import children, command_of

pytestmark = pytest.mark.slow

SECRET = "known to two"
QUICK = (
    '[{"name": "rsi_reversal", "interval": "1m",'
    ' "params": {"period": 2, "oversold": 49, "overbought": 51}}]'
)


def genuine(request: Request) -> bool:
    told = request.headers["X-CryptoTools-Timestamp"].encode() + b"." + request.body
    wanted = "sha256=" + hmac.new(SECRET.encode(), told, sha256).hexdigest()
    return hmac.compare_digest(wanted, request.headers["X-CryptoTools-Signature"])


def notifiers(up: int) -> list[int]:
    return [pid for pid in children(up) if b"notify\0run" in command_of(pid)]


def test_signals_reach_a_webhook_once_though_the_notifier_is_killed(
    job: Callable[..., Job], calm: Simulator, tmp_path: Path
) -> None:
    with receiving() as receiver:
        webhook = {"url": receiver.url, "secret": SECRET}
        channels = json.dumps({"desk": {"webhook": webhook, "per_minute": 1000}})
        own = job(calm, STRATEGIES=QUICK, NOTIFY__CHANNELS=channels)
        up = own.start("up")
        own.well()
        until(lambda: len(receiver.taken) > 2, 60, "messages")
        (pid,) = notifiers(up.pid)
        os.kill(pid, signal.SIGKILL)
        before = len(receiver.taken)
        until(lambda: len(receiver.taken) > before + 2, 60, "messages after the kill")
        assert notifiers(up.pid) != [pid]
        assert own.status()["restarts"] == 0  # the flow did not notice
        assert own.end(up) == 0
        assert all(map(genuine, receiver.requests))
        told = [one.json["id"] for one in receiver.taken]
        again = len(told) - len(set(told))
        assert again <= 1, told  # the one that was on its way when it was killed
    for secret in (SECRET, receiver.url):
        assert secret not in own.said()
