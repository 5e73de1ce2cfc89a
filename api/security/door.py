"""What every request passes before any route, and what every answer says to browsers.

A page of somebody else, open in the user's browser, reaches a server on the user's machine as
well. It cannot choose the names in `Host` and `Origin`, so these are checked: the first defends
against names that point here by turns (DNS rebinding), the second against forged commands.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ProblemError, answer
from config.api import ApiConfig

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'"


class Door:
    """ASGI middleware: refuses what must not come in, and dresses what goes out.

    Args:
        app: What is behind it.
        config: Hosts, origins and sizes that are let in.

    """

    def __init__(self, app: ASGIApp, config: ApiConfig) -> None:
        self._app = app
        self._hosts = _LOCAL | {name.lower() for name in config.hosts} | {config.host.lower()}
        self._origins = frozenset(config.cors_origins)
        self._most = config.body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request or a WebSocket in, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        if refused is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refused.detail})
        elif refused is not None:
            await answer(refused)(scope, receive, _dressed(send))
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, self._counted(receive), _dressed(send))

    def _counted(self, receive: Receive) -> Receive:
        # A body that does not say how long it is, or lies, is cut off where it is too long.
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413, self._too_large().detail)
            return message

        return counted

    def _refusal(self, scope: Scope, headers: Headers) -> ProblemError | None:
        host = _name(headers.get("host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            return ProblemError(
                421, f"`{host}` is no name of this server", hint="add it to `api.hosts`"
            )
        origin = headers.get("origin")
        writes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if origin is not None and writes and not self._may_come_from(origin, headers):
            why = f"pages of `{origin}` may not do this"
            return ProblemError(403, why, hint="add it to `api.cors_origins`")
        said = headers.get("content-length", "0")
        if said.isdecimal() and int(said[:19]) > self._most:
            return self._too_large()
        return None

    def _may_come_from(self, origin: str, headers: Headers) -> bool:
        return origin in self._origins or urlsplit(origin).netloc == headers.get("host")

    def _too_large(self) -> ProblemError:
        return ProblemError(413, f"more than {self._most} bytes", hint="see `api.body_bytes`")


def _dressed(send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _EVERYWHERE.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", _NOTHING)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return dressed


def _name(host: str) -> str:
    # "[::1]:8000" and "localhost:8000" without their ports.
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
