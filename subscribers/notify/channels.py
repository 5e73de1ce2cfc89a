"""The channels of the settings, opened."""

from config.notify import ChannelConfig, NotifyConfig
from subscribers.notify.channel import Channel, hider
from subscribers.notify.lane import Limits
from subscribers.notify.services import Service
from subscribers.notify.webhook import Webhook


def open_channel(name: str, config: ChannelConfig) -> Channel:
    """Return a channel; nothing is sent yet.

    Raises:
        ConfigError: It cannot be one, or needs a package that is not installed.

    """
    hide = hider(config)
    if config.webhook is not None:
        return Webhook(config.webhook, hide)
    return Service(name, config.apprise.get_secret_value(), hide)


def limits_of(config: NotifyConfig, name: str) -> Limits:
    """Return what holds for a channel."""
    return Limits(
        per_minute=config.channels[name].per_minute,
        attempts=config.attempts,
        group_s=config.group_seconds,
        max_age_s=config.max_age_seconds,
    )


def shown(config: ChannelConfig) -> str:
    """Return what a channel is, without its secrets.

    >>> shown(ChannelConfig(apprise="tgram://12345:abcdef/678910"))
    'tgram'
    """
    if config.webhook is None:
        scheme, found, _ = config.apprise.get_secret_value().partition("://")
        return scheme if found else "apprise"
    return "webhook, signed" if config.webhook.secret.get_secret_value() else "webhook"
