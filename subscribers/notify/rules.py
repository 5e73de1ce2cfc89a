"""Records → messages, by the rules of the settings. Pure: no clock, nothing outside."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from config.notify import NotifyConfig, RuleConfig, Severity
from connectors.redis.codec import Entry
from core.market.errors import ConfigError
from core.market.records import Fields
from subscribers.notify.facts import COMMON, OF_RECORD, facts_of, is_grouped, time_us
from subscribers.notify.kinds import KINDS, RANKS, SIDES, kind_of
from subscribers.notify.message import Message
from subscribers.notify.templates import Template, template

_ALL = frozenset(COMMON).union(*OF_RECORD.values())
_DEFAULTS = {name: template(kind.text, _ALL, "kinds") for name, kind in KINDS.items()}
_MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, checked.

    Attributes:
        config: What it says.
        template: Of the text; None: that of the kind.

    """

    config: RuleConfig
    template: Template | None = None

    def fits(self, told: Fields) -> bool:
        """Say whether a record is to be told of."""
        own = self.config
        return (
            told["record"] in own.records
            and _among(own.instances, told.get("instance", ""))
            and _among(own.symbols, told["symbol"], told["key"])
            and _among(own.kinds, told["kind"], told.get("side", ""))
            and RANKS[kind_severity(told)] >= RANKS[own.severity]
        )


class Rules:
    """All rules of the settings.

    Raises:
        ConfigError: A template or a kind that cannot be, with the way out.

    """

    def __init__(self, config: NotifyConfig) -> None:
        given = config.rules or _implied(config.channels)
        self.rules = tuple(_checked(rule, n) for n, rule in enumerate(given))

    @property
    def records(self) -> frozenset[str]:
        """The kinds of streams that any rule looks at."""
        return frozenset(kind for rule in self.rules for kind in rule.config.records)

    def messages(self, entry: Entry) -> dict[str, Message]:
        """Return the message of a record for each channel that is to have it.

        Where several rules send it to the same channel, the first of them makes the text.
        """
        told = facts_of(entry)
        found: dict[str, Message] = {}
        for rule in self.rules:
            if rule.fits(told):
                message = message_of(entry, told, rule.template)
                found = dict.fromkeys(rule.config.to, message) | found
        return found

    def missed(self, detail: str) -> dict[str, Message]:
        """Return the message that records were gone before they came, for whom it may concern."""
        own = KINDS[_MISSED]
        text = _DEFAULTS[_MISSED].fill({"detail": detail})
        made = f"{_MISSED}/{sha256(detail.encode()).hexdigest()[:24]}"
        message = Message(
            made, _MISSED, own.severity, "records lost", text, (made,), grouped=own.grouped
        )
        wanted = (r.config for r in self.rules if RANKS[own.severity] >= RANKS[r.config.severity])
        return {name: message for rule in wanted for name in rule.to}


def message_of(entry: Entry, told: Fields, own: Template | None = None) -> Message:
    """Return the message of a record, by a template of its own or that of its kind."""
    kind = told["kind"]
    made = own or _DEFAULTS.get(kind) or template(kind_of(kind).text, _ALL, "kinds")
    return Message(
        id=told["id"],
        kind=kind,
        severity=kind_severity(told),
        title=_title(told),
        text=made.fill(told),
        records=(told["id"],),
        time_us=time_us(entry),
        record={"record": told["record"], "key": entry.stream.key, **entry.fields},
        symbol=told["symbol"],
        grouped=is_grouped(told),
    )


def kind_severity(told: Fields) -> Severity:
    """Return the severity that facts tell."""
    severity = told["severity"]
    return "critical" if severity == "critical" else "warning" if severity == "warning" else "info"


def _title(told: Fields) -> str:
    said = {"signal": told.get("side", ""), "fill": f"paper {told.get('side', '')}"}
    return f"{told['symbol']} {said.get(told['kind'], told['kind'].replace('_', ' '))}"


def _among(wanted: Iterable[str], *names: str) -> bool:
    chosen = {one.lower() for one in wanted}
    return not chosen or not chosen.isdisjoint(name.lower() for name in names)


def _implied(channels: Mapping[str, object]) -> tuple[RuleConfig, ...]:
    to = tuple(channels)
    if not to:
        return ()
    return (
        RuleConfig(to=to, records=("signal",)),
        RuleConfig(to=to, records=("event",), severity="warning"),
    )


def _checked(rule: RuleConfig, n: int) -> Rule:
    known = {"event": [kind for kind in KINDS if kind not in {"signal", "fill", _MISSED}]}
    known |= {"signal": ["long", "short", "flat"], "fill": ["buy", "sell"]}
    fitting = [kind for record in rule.records for kind in known[record]]
    for kind in rule.kinds:
        if kind.lower() not in fitting:
            near = difflib.get_close_matches(kind, [*KINDS, *SIDES], 1, 0.5)
            hint = f"did you mean `{near[0]}`? " if near and near[0] in fitting else ""
            why = f"no record of {' or '.join(rule.records)} is of kind `{kind}`"
            raise ConfigError(
                f"notify.rules.{n}.kinds", why, hint=f"{hint}known are {' '.join(fitting)}"
            )
    if not rule.template:
        return Rule(rule)
    fields = {*COMMON, *(name for record in rule.records for name in OF_RECORD[record])}
    return Rule(rule, template(rule.template, fields, f"notify.rules.{n}.template"))
