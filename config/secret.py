"""A setting that nobody should see: shown as stars, unless its holder asks for it by intent."""

from typing import Annotated, TypeAlias

from pydantic import PlainSerializer, SecretStr, SerializationInfo

OPEN = {"secrets": True}
"""The context with which `model_dump` gives secrets away: for files only we can read."""


def _told(value: SecretStr, info: SerializationInfo) -> str:
    open_ = isinstance(info.context, dict) and info.context.get("secrets")
    return value.get_secret_value() if open_ else str(value)


Secret: TypeAlias = Annotated[SecretStr, PlainSerializer(_told, return_type=str)]
