"""Commands to a running flow, and what becomes of them: data on a stream, like everything else.

A command has an id that its sender chose. Sent twice it does what it does once: every command says
what is to be, not what is to change.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Symbol = Annotated[str, Field(pattern=r"^[^a-z\s@/\"\\]{2,40}$")]
"""A symbol in the exchange's spelling, upper case."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Command(_Message):
    """What is to be.

    Attributes:
        id: The sender's name for it.
        action: ``subscribe``: the symbols are followed from now on. ``unsubscribe``: they are not.
        symbols: Which.

    """

    id: Annotated[str, Field(pattern=r"^[\w.:-]{1,64}$")]
    action: Literal["subscribe", "unsubscribe"]
    symbols: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=1024)]


class Outcome(_Message):
    """What became of a command, for one of its subjects.

    Attributes:
        command: Its id.
        subject: The symbol; empty where the command as a whole is meant.
        state: ``applied`` or ``refused``.
        reason: Why it was refused; may say more where it was applied.

    """

    command: str
    subject: str
    state: Literal["applied", "refused"]
    reason: str = ""
