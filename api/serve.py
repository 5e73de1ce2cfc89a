"""Runs the app on a port until a signal ends it."""

import gc
import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from api.app import create_app
from api.security.guard import check_binding
from api.security.tokens import TokenFile, tokens_file
from config.settings import Settings
from connectors.shutdown import stop_on_signals
from core.market.errors import ServiceError

_GRACE_S = 5
_BACKLOG = 2048


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; open connections have five seconds to end.

    Args:
        settings: In force; strategies are loaded.
        announce: Told the address once it answers.

    Raises:
        ConfigError: Everybody could get in.
        ServiceError: The port cannot be had, or it is not known where Redis is.

    """
    check_binding(settings, tokens=bool(TokenFile(tokens_file(settings)).all()))
    server = uvicorn.Server(server_config(settings))
    gc.collect()
    gc.freeze()  # what libraries made lives as long as we do: looking through it stops everything
    stop_on_signals()  # it gives signals back when it has ended: by then they mean nothing more
    with _listening(settings.api.host, settings.api.port) as own:
        announce(address_of(own))
        server.run(sockets=[own])


def probe(settings: Settings) -> str:
    """Return the address that `serve` would announce, if it could serve now.

    Raises:
        ConfigError, ServiceError: As `serve` does.

    """
    check_binding(settings, tokens=bool(TokenFile(tokens_file(settings)).all()))
    with _listening(settings.api.host, settings.api.port) as own:
        return address_of(own)


def server_config(settings: Settings) -> uvicorn.Config:
    """Return how the app is served.

    Raises:
        ServiceError: It is not known where Redis is.

    """
    return uvicorn.Config(
        create_app(settings),
        log_config=None,  # logging is configured in one place
        access_log=False,
        server_header=False,
        http="httptools",
        ws="websockets-sansio",
        timeout_graceful_shutdown=_GRACE_S,
    )


def address_of(listening: socket.socket) -> str:
    """Return the address for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listening(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, proto, _, address = found[0]
        own = socket.socket(family, kind, proto)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and ipaddress.ip_address(address[0]).is_unspecified:
            own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        own.bind(address)
        own.listen(_BACKLOG)
    except OSError as error:
        hint = "choose another one: --port, or `api.port`"
        raise ServiceError(f"api {host}:{port}", str(error.strerror), hint=hint) from None
    own.set_inheritable(True)
    return own
