"""Settings of notifications: where messages go, and what is worth one."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from config.secret import Secret

Severity = Literal["info", "warning", "critical"]


class WebhookConfig(BaseModel):
    """A web address that messages are posted to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[Secret, Field(description="https://…; may hold a secret.")]
    secret: Annotated[
        Secret, Field(description="Signs each message (HMAC-SHA256); unset: not signed.")
    ] = SecretStr("")
    headers: Annotated[
        dict[str, Secret], Field(description="Sent along, such as Authorization.")
    ] = {}
    timeout: Annotated[float, Field(gt=0, le=60, description="Seconds for an answer.")] = 10.0

    @field_validator("url")
    @classmethod
    def _spelled(cls, value: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(value.get_secret_value())
            known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # such as a port that is no number
            known = False
        if not known:
            raise ValueError("is no web address; one looks like https://host:8443/path")
        return value


class ChannelConfig(BaseModel):
    """Where messages go: a webhook of ours, or anything that Apprise has an address for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook: WebhookConfig | None = None
    apprise: Annotated[
        Secret, Field(description="Apprise address: tgram://…, discord://…, slack://….")
    ] = SecretStr("")
    per_minute: Annotated[
        int, Field(ge=1, description="Most messages a minute; what is over is summed up in one.")
    ] = 20

    @model_validator(mode="after")
    def _one(self) -> "ChannelConfig":
        if (self.webhook is None) == (not self.apprise.get_secret_value()):
            raise ValueError("a channel has either `webhook` or `apprise`")
        return self


class RuleConfig(BaseModel):
    """What is sent where. What is left empty does not matter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: Annotated[tuple[str, ...], Field(min_length=1, description="Names of channels.")]
    records: Annotated[
        tuple[Literal["signal", "event", "fill"], ...], Field(description="Kinds of records.")
    ] = ("signal", "event")
    instances: Annotated[tuple[str, ...], Field(description="Instances of strategies.")] = ()
    symbols: Annotated[tuple[str, ...], Field(description="Symbols.")] = ()
    kinds: Annotated[tuple[str, ...], Field(description="Kinds of events, or sides.")] = ()
    severity: Annotated[Severity, Field(description="Lowest that is sent.")] = "info"
    template: Annotated[
        str, Field(description="Text with {fields} of the record; unset: a fitting one.")
    ] = ""


ChannelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]{0,62}$")]


class NotifyConfig(BaseModel):
    """Channels by name, and rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[
        ChannelName,
        Field(description="Of the workers in Redis: those of one name share the work, those of "
              "another are told everything as well."),
    ] = "notify"  # fmt: skip
    channels: Annotated[
        dict[ChannelName, ChannelConfig], Field(description="By a name of yours.")
    ] = {}
    rules: Annotated[
        tuple[RuleConfig, ...],
        Field(description="All that fit are followed; none: signals, and events from warning on, "
              "to every channel."),
    ] = ()  # fmt: skip
    group_seconds: Annotated[
        float,
        Field(ge=0, le=60, description="Events that follow each other this closely are one "
              "message; signals and fills do not wait."),
    ] = 2.0  # fmt: skip
    attempts: Annotated[
        int, Field(ge=1, le=50, description="Before a message goes to the dead letters.")
    ] = 8
    max_age_seconds: Annotated[
        float, Field(gt=0, description="Older records are not worth a message any more.")
    ] = 900.0

    @model_validator(mode="after")
    def _known(self) -> "NotifyConfig":
        for rule in self.rules:
            for name in rule.to:
                if name not in self.channels:
                    known = " ".join(self.channels) or "none"
                    raise ValueError(f"no channel `{name}`; there are: {known}")
        return self
