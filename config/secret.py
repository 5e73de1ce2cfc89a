"""A setting that nobody should see: shown as stars, unless its holder asks for it by intent."""

from collections.abc import Iterator
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, PlainSerializer, SecretStr, SerializationInfo

OPEN = {"secrets": True}
"""The context with which `model_dump` gives secrets away: for files only we can read."""


def _told(value: SecretStr, info: SerializationInfo) -> str:
    open_ = isinstance(info.context, dict) and info.context.get("secrets")
    return value.get_secret_value() if open_ else str(value)


def secrets_of(value: object) -> Iterator[str]:
    """Yield every secret in settings: those marked as such, and passwords in addresses."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, str):
        yield _password(value)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from secrets_of(part)


def _password(text: str) -> str:
    try:
        return (urlsplit(text).password if "://" in text else None) or ""
    except ValueError:  # no address after all
        return ""


Secret: TypeAlias = Annotated[SecretStr, PlainSerializer(_told, return_type=str)]
