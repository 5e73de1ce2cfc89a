"""Settings of notifications: where messages go, and what is worth one."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from config.secret import Secret

Severity = Literal["info", "warning", "critical"]


class WebhookConfig(BaseModel):
    """A web address that messages are posted to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[Secret, Field(description="https://…; may hold a secret.")]
    secret: Annotated[
        Secret, Field(description="Signs each message (HMAC-SHA256); unset: not signed.")
    ] = SecretStr("")
    timeout: Annotated[float, Field(gt=0, le=60, description="Seconds for an answer.")] = 10.0


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


class NotifyConfig(BaseModel):
    """Channels by name, and rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: Annotated[dict[str, ChannelConfig], Field(description="By a name of yours.")] = {}
    rules: Annotated[tuple[RuleConfig, ...], Field(description="All that fit are followed.")] = ()
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
