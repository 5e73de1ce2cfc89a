"""How commands about models reach the flow: what a route needs, and one way to do it."""

from collections.abc import Collection
from typing import Protocol

from anyio import to_thread

from api.services import Services
from connectors.redis.control import Sender
from core.control import Command, Outcome
from dataflows.addresses import address


class Send(Protocol):
    """Sends a command and returns the outcomes that come in time, one to a subject at most."""

    async def __call__(
        self, own: Services, command: Command, subjects: Collection[str], seconds: float
    ) -> list[Outcome]:
        """Raise `ServiceError` when Redis is not there."""
        ...


async def send(
    own: Services, command: Command, subjects: Collection[str], seconds: float
) -> list[Outcome]:
    """Send a command through a connection of its own."""

    def work() -> list[Outcome]:
        sender = Sender(address(own.settings))
        try:
            return sender.send(command, subjects, seconds)
        finally:
            sender.close()

    return await to_thread.run_sync(work)


SEND: Send = send
"""What the routes use."""
