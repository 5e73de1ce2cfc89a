"""Where Redis is: that of the settings, or the embedded one of the state folder."""

from config.settings import Settings
from connectors.redis.embedded import ensure, running
from core.market.errors import ServiceError

NO_REDIS = "none"
"""The value of `redis.url` that means: publish nowhere."""


def redis_url(settings: Settings) -> str | None:
    """Return where to publish; starts the embedded server when no address is set."""
    if settings.redis.url == NO_REDIS:
        return None
    return settings.redis.url or ensure(settings.state_dir / "redis").url


def known_address(settings: Settings) -> str | None:
    """Return where Redis is, as far as there is one now: nothing is started."""
    if settings.redis.url:
        return None if settings.redis.url == NO_REDIS else settings.redis.url
    folder = settings.state_dir / "redis"
    try:
        server = running(folder) if folder.exists() else None
    except ServiceError:  # it does not answer yet
        return None
    return server.url if server else None


def address(settings: Settings) -> str:
    """Return where the flow publishes.

    Raises:
        ServiceError: Nowhere, or its embedded server does not run.

    """
    if settings.redis.url == NO_REDIS:
        raise ServiceError("redis", "is switched off (redis.url = none)", hint="set REDIS_URL")
    if settings.redis.url:
        return settings.redis.url
    folder = settings.state_dir / "redis"
    server = running(folder) if folder.exists() else None
    if server is None:
        hint = "start `cryptotools run` first, or set state_dir or REDIS_URL to where it publishes"
        raise ServiceError("redis", f"no embedded server runs in {folder}", hint=hint)
    return server.url
