"""The libraries of models are an extra: who has none of them is told how to get them."""

from importlib import import_module
from typing import Any

from core.market.errors import ConfigError


def need(module: str) -> Any:  # noqa: ANN401 - a module without types
    """Return a module of the extra.

    Raises:
        ConfigError: It is not installed.

    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        why = f"models need `{package}`, which is not installed ({error})"
        raise ConfigError("ml", why, hint="pip install 'cryptotools[ml]'") from None
