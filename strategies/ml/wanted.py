"""What a command wants a model to be: all of it, so that obeying twice is obeying once."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from strategies.ml.config import ModelSpec


class WantedModel(BaseModel):
    """Which versions of a model are to speak.

    Attributes:
        to: Whom the message is for.
        command: Id of the command; empty: the settings themselves.
        model: Its name.
        version: The version whose predictions count; empty: none.
        shadows: Versions that are only scored.
        configured: What the settings said of the model when this was said.
        resolved: The version that this meant then.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: Literal["ml"] = "ml"
    command: str = ""
    model: str
    version: str = ""
    shadows: tuple[str, ...] = ()
    configured: ModelSpec
    resolved: str = ""
