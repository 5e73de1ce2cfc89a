"""What an error of Redis means for a writer.

redis-py tells by class and strips the prefix that it knows from the text; what it does not know is
told by the prefix. Some refusals are `ConnectionError`s by class, so order matters here.
"""

from enum import Enum, auto

import redis
from redis import exceptions


class Verdict(Enum):
    """What to do."""

    RECONNECT = auto()
    """The server is gone, or is no longer the one to write to."""
    WAIT = auto()
    """The server is there and takes no rows now."""
    REFUSED = auto()
    """It does not let us in, or does not let us do this."""
    FENCED = auto()
    """A later writer has taken over."""
    BROKEN = auto()
    """Nothing that time heals."""


_REFUSED = (exceptions.AuthenticationError, exceptions.NoPermissionError)
_AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    OSError,
)
_WAIT = ("OOM ", "NOREPLICAS ", "MISCONF ", "BUSY ")
_GRAVITY = list(Verdict)


def judge(error: Exception) -> Verdict:
    """Return what an error means.

    >>> judge(exceptions.AuthenticationError("WRONGPASS")), judge(redis.TimeoutError())
    (<Verdict.REFUSED: 3>, <Verdict.RECONNECT: 1>)
    """
    told = str(error)
    if isinstance(error, _REFUSED):
        return Verdict.REFUSED
    if isinstance(error, _AWAY) or "unction not found" in told:
        return Verdict.RECONNECT
    if isinstance(error, exceptions.OutOfMemoryError) or told.startswith(_WAIT):
        return Verdict.WAIT
    return Verdict.FENCED if told.startswith("FENCED") else Verdict.BROKEN


def worst(errors: list[redis.RedisError]) -> redis.RedisError:
    """Return the one that decides: no use in waiting when another is final."""
    return max(errors, key=lambda error: _GRAVITY.index(judge(error)))
