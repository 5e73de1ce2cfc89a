"""Ends tasks, those too that a client of Redis kept from hearing of it."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.2


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait until they have ended, whatever they raise.

    A read that gets its answer in the same moment may swallow a cancellation: so it is repeated.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_AGAIN_S)
        await asyncio.gather(*done, return_exceptions=True)
