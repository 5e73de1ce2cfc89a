"""The API as the command line uses it: the one of ``api.url``, or the same app in this process."""

import logging
from types import TracebackType

import anyio.from_thread
import httpx

from client.http import Client
from config.settings import Settings

_HERE = "http://localhost"


def client_of(settings: Settings, wait: float | None = None) -> Client:
    """Return a client.

    Args:
        settings: Where the API is; without an address it is run in this process, on Redis.
        wait: Seconds that a command may take.

    Raises:
        ServiceError: There is no API, and it is not known where Redis is.

    """
    own = settings.api
    if own.url:
        return Client(own.url, own.token.get_secret_value(), wait=wait)
    return Client(_HERE, transport=_InProcess(settings), wait=wait)


class _InProcess(httpx.BaseTransport):
    """Hands requests to an app of this process; whoever can start it needs no token."""

    def __init__(self, settings: Settings) -> None:
        from api.app import create_app  # only here: its libraries take half a second
        from api.security.guard import ALL, Caller, may_control, may_read

        def caller() -> Caller:
            return Caller("cli", ALL)

        for name in ("audit", "api.request"):  # who reads is who did it
            logging.getLogger(f"cryptotools.{name}").setLevel(logging.WARNING)
        app = create_app(settings)
        app.dependency_overrides = {may_read: caller, may_control: caller}
        self._app = httpx.ASGITransport(app)
        self._loop = anyio.from_thread.start_blocking_portal()
        self._portal = self._loop.__enter__()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the app's answer."""
        return self._portal.call(self._handle, request)

    def close(self) -> None:
        """End the loop."""
        self._loop.__exit__(None, None, None)

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.close()

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        asked = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        answer = await self._app.handle_async_request(asked)
        body = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)
