"""Commands to a running flow, and what becomes of them: data on a stream, like everything else.

A command has an id that its sender chose. Obeyed twice it does what it does once: every command
says what is to be, not what is to change.
"""

from typing import Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Symbol = Annotated[str, Field(pattern=r"^[^a-z\s@/\"\\]{2,40}$")]
"""A symbol in the exchange's spelling, upper case."""

CommandId = Annotated[str, Field(pattern=r"^[\w.:-]{1,64}$")]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SymbolsCommand(_Message):
    """Which symbols are to be followed.

    Attributes:
        id: The sender's name for it.
        action: ``subscribe``: the symbols are followed from now on. ``unsubscribe``: they are not.
        symbols: Which.

    """

    id: CommandId
    action: Literal["subscribe", "unsubscribe"]
    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=1024)]


class InstanceCommand(_Message):
    """What is to become of an instance of a strategy.

    Attributes:
        id: The sender's name for it.
        action: ``add``: it runs as `spec` says. ``update``: it goes on with the `params` given,
            the others as they are. ``pause``: it goes on watching and says nothing. ``resume``: it
            speaks again. ``stop``: it ends and is kept in mind. ``start``: one that was stopped
            runs, warmed up anew. ``remove``: it is gone.
        instance: Its name.
        spec: For ``add``: as in the settings, without the instance.
        params: For ``update``.
        expected: The version that the sender has seen: where it is another by now, the command is
            refused. A version is the id of the command that changed the instance last,
            ``settings`` where none did; None: whatever it is.

    """

    id: CommandId
    action: Literal["add", "update", "pause", "resume", "stop", "start", "remove"]
    instance: Annotated[str, Field(min_length=1, max_length=64)]
    spec: dict[str, Any] = {}
    params: dict[str, Any] = {}
    expected: Annotated[str, Field(max_length=64)] | None = None


class ModelCommand(_Message):
    """Which versions of a model are to speak.

    Attributes:
        id: The sender's name for it.
        action: ``promote``: the predictions of `version` count; an empty one: none do. ``shadow``:
            it is scored beside the one that counts. ``unshadow``: it no longer is.
        model: Its name.
        version: The whole version.

    """

    id: CommandId
    action: Literal["promote", "shadow", "unshadow"]
    model: Annotated[str, Field(min_length=1, max_length=64)]
    version: Annotated[str, Field(pattern=r"^[0-9a-f]{0,64}$")] = ""


Command: TypeAlias = SymbolsCommand | InstanceCommand | ModelCommand

_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="action")])


def read_command(text: str) -> Command:
    """Return the command of a JSON text; `pydantic.ValidationError` if it is none."""
    return _COMMAND.validate_json(text)


CONFIGURED = "settings"
"""The version of an instance that no command has touched."""


def addressee(payload: str) -> str:
    """Return whom a message for an instrument is for: ``strategies`` where it does not say.

    >>> addressee('{"to":"ml"}'), addressee('{}')
    ('ml', 'strategies')
    """
    return str(orjson.loads(payload).get("to", "strategies"))


class Outcome(_Message):
    """What became of a command, for one of its subjects.

    Attributes:
        command: Its id.
        subject: The symbol, or the shard that passes it on; empty where all of it is meant.
        state: ``applied``, ``accepted`` (passed on to whom it concerns) or ``refused``.
        reason: Why it was refused; may say more otherwise.

    """

    command: str
    subject: str
    state: Literal["applied", "accepted", "refused"]
    reason: str = ""
