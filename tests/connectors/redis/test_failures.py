"""What each refusal of a server means, as redis-py hands it over."""

import pytest
import redis
from redis import exceptions

from connectors.redis.failures import Verdict, judge, worst


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (exceptions.ConnectionError("closed"), Verdict.RECONNECT),
        (exceptions.TimeoutError("timeout"), Verdict.RECONNECT),
        (exceptions.BusyLoadingError("loading"), Verdict.RECONNECT),
        (exceptions.ReadOnlyError("replica"), Verdict.RECONNECT),
        (exceptions.ClusterDownError("CLUSTERDOWN"), Verdict.RECONNECT),
        (exceptions.MasterDownError("link down"), Verdict.RECONNECT),
        (exceptions.TryAgainError("TRYAGAIN"), Verdict.RECONNECT),
        (ConnectionResetError("reset"), Verdict.RECONNECT),
        (exceptions.ResponseError("ERR Function not found"), Verdict.RECONNECT),
        (exceptions.OutOfMemoryError("command not allowed"), Verdict.WAIT),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas"), Verdict.WAIT),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), Verdict.WAIT),
        (exceptions.ResponseError("BUSY Redis is busy running a script"), Verdict.WAIT),
        (exceptions.AuthenticationError("WRONGPASS"), Verdict.REFUSED),
        (exceptions.NoPermissionError("fcall"), Verdict.REFUSED),
        (exceptions.ResponseError("FENCED a writer of generation 2"), Verdict.FENCED),
        (exceptions.ResponseError("WRONGTYPE not a stream"), Verdict.BROKEN),
        (exceptions.ResponseError("BADROW row 1"), Verdict.BROKEN),
    ],
)
def test_an_error_is_judged_by_class_and_prefix(error: Exception, verdict: Verdict) -> None:
    assert judge(error) is verdict


def test_of_several_errors_the_final_one_decides() -> None:
    fenced = redis.ResponseError("FENCED")
    assert (
        worst([exceptions.OutOfMemoryError("oom"), fenced, redis.ResponseError("BUSY x")]) is fenced
    )
