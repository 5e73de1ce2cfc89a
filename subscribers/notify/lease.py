"""Only one worker of a name sends: the others wait until it is gone.

So messages keep their order and channels their limits, whatever the number of workers. The lease
is a key that expires; whoever holds it renews it, and sends nothing once it might have expired.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any

import redis

TTL_S = 15.0
_MARGIN_S = 2.0


class Lease:
    """The right to send; every method that asks Redis may raise `redis.RedisError`.

    Args:
        client: Gives a client.
        worker: Name of the worker.
        clock: Monotonic seconds.
        ttl_s: After how many seconds without renewal another may have it.

    """

    def __init__(
        self,
        client: Callable[[], Any],
        worker: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        ttl_s: float = TTL_S,
    ) -> None:
        self._client, self._clock, self._ttl_s = client, clock, ttl_s
        self._key = f"md:~notify:{worker}:~lease"
        self._own = secrets.token_hex(8)
        self._until = float("-inf")

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have it now."""
        return self._clock() < self._until

    def acquire(self) -> bool:
        """Take or renew it, if it is to be had and it is time to; return whether we have it."""
        now = self._clock()
        if now < self._until - self._ttl_s * 2 / 3:
            return True
        ttl_ms = int(self._ttl_s * 1000)
        ours = bool(self._client().set(self._key, self._own, nx=True, px=ttl_ms)) or self._renewed()
        margin = min(_MARGIN_S, self._ttl_s / 5)
        self._until = now + self._ttl_s - margin if ours else float("-inf")
        return ours

    def release(self) -> None:
        """Let others have it at once."""
        self._until = float("-inf")
        self._if_ours(lambda pipe: pipe.delete(self._key))

    def _renewed(self) -> bool:
        return self._if_ours(lambda pipe: pipe.pexpire(self._key, int(self._ttl_s * 1000)))

    def _if_ours(self, change: Callable[[Any], object]) -> bool:
        with self._client().pipeline(transaction=True) as pipe:
            try:
                pipe.watch(self._key)
                if pipe.get(self._key) != self._own:
                    return False
                pipe.multi()
                change(pipe)
                return bool(pipe.execute()[0])
            except redis.WatchError:
                return False
