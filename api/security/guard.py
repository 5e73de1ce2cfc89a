"""Who calls, and whether they may.

A route takes `Reader` or `Controller` as a parameter; that it does is checked by a test over all
routes. Where no token was ever made, callers of this machine may do everything, and nobody else
gets in: the server does not listen elsewhere (`check_binding`).
"""

import ipaddress
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.problems import ProblemError
from api.security.tokens import Scope
from api.services import Services, With
from config.settings import Settings
from core.market.errors import ConfigError

ALL: frozenset[Scope] = frozenset({"read", "control"})

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="cryptotools"'}
_MAKE = "make one with `cryptotools token new NAME --scope read`"
_BEARER = HTTPBearer(auto_error=False, description="A token of `cryptotools token new`.")


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
    """Return who shows a token.

    Raises:
        ProblemError: 401, it is missing or worth nothing.

    """
    if not own.tokens.all():
        return Caller("local", ALL)
    if not token:
        raise ProblemError(401, "a token is needed", hint=_MAKE, headers=_CHALLENGE)
    known = own.tokens.find(token, datetime.now(UTC))
    if known is None:
        why = "this token is unknown, revoked or has expired"
        raise ProblemError(401, why, hint=_MAKE, headers=_CHALLENGE)
    return Caller(known.name, frozenset(known.scopes))


def check_binding(settings: Settings, *, tokens: bool) -> None:
    """Raise `ConfigError` where everybody could get in: no token, and not only this machine."""
    if not tokens and not is_loopback(settings.api.host):
        why = f"`{settings.api.host}` can be reached from elsewhere, and there is no token"
        raise ConfigError("api.host", why, hint=f"{_MAKE}, or listen at 127.0.0.1")


def is_loopback(host: str) -> bool:
    """Say whether an address to listen at can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Shown = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


async def may_read(request: Request, own: With, shown: Shown) -> Caller:
    """Return the caller, who may read."""
    return _admitted(request, own, shown, "read")


async def may_control(request: Request, own: With, shown: Shown) -> Caller:
    """Return the caller, who may control."""
    caller = _admitted(request, own, shown, "control")
    _limited(own.limits.commands.take(caller.name), "commands")
    return caller


def _admitted(
    request: Request, own: Services, shown: HTTPAuthorizationCredentials | None, scope: Scope
) -> Caller:
    peer = request.client.host if request.client else "?"
    try:
        caller = authenticate(own, shown.credentials if shown else None)
    except ProblemError:
        _limited(own.limits.strangers.take(peer), "attempts")
        raise
    _limited(own.limits.requests.take(f"{caller.name} {peer}"), "requests")
    if scope not in caller.scopes:
        why = f"the token `{caller.name}` may {' and '.join(sorted(caller.scopes))}, not {scope}"
        raise ProblemError(403, why, hint=f"make one with --scope {scope}")
    request.state.caller = caller.name
    return caller


def _limited(wait: float, what: str) -> None:
    if wait:
        seconds = max(1, math.ceil(wait))
        why = f"too many {what} in the last minute"
        headers = {"Retry-After": str(seconds)}
        raise ProblemError(429, why, hint=f"again in {seconds} s", headers=headers)


Reader = Annotated[Caller, Depends(may_read)]
Controller = Annotated[Caller, Depends(may_control)]
