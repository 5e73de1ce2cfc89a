"""What each kind of record is worth, and what it says by default: one table."""

from dataclasses import dataclass

from config.notify import Severity

RANKS: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record.

    Attributes:
        severity: How grave it is, unless `EXCEPTIONS` says otherwise.
        text: The template of its message.
        grouped: Whether several that follow each other closely are one message.

    """

    severity: Severity
    text: str
    grouped: bool = True


KINDS: dict[str, Kind] = {
    "signal": Kind(
        "info", "{symbol} {arrow} {side} at {price} — {reason} ({instance}, {interval})", False
    ),
    "fill": Kind(
        "info",
        "{symbol} {arrow} paper {side} of {quantity} at {price} — {reason} ({instance}), "
        "position {position}",
        False,
    ),
    "connected": Kind("info", "{symbol} link {link} is connected"),
    "disconnected": Kind("warning", "{symbol} link {link} was lost after {lived} — {reason}"),
    "gap_opened": Kind("info", "{symbol} missed {count} trades, asking for them"),
    "gap_repaired": Kind("info", "{symbol} repaired {count} trades {first_id}..{last_id}"),
    "gap": Kind(
        "critical", "{symbol} lacks {count} trades {first_id}..{last_id} for good — {reason}"
    ),
    "stale": Kind("warning", "{symbol} is silent though it should not be — {reason}"),
    "rotated": Kind("info", "{symbol} link {old_link} was replaced by {link} without a break"),
    "status_changed": Kind("warning", "{symbol} is {status} at the exchange"),
    "late": Kind("warning", "{symbol} trade {trade_id} came too late for its kline"),
    "kline_gap": Kind("warning", "{symbol} lacks klines of {interval} from {opens} to {ends}"),
    "kline_mismatch": Kind(
        "critical", "{symbol} kline {interval} of {opens} differs from the exchange's — {detail}"
    ),
    "instance_changed": Kind("info", "{symbol} {instance} is {state} — {detail}"),
    "strategy_errored": Kind("critical", "{symbol} {instance} raised and was stopped — {detail}"),
    "model_changed": Kind("info", "{symbol} model {model} {version} is {state} — {detail}"),
    "missed": Kind("warning", "records were lost before they could be looked at — {detail}"),
}
"""Events by their own kind; signals and fills. ``missed`` is no event of a flow, but our own."""

EXCEPTIONS: dict[tuple[str, str], Severity] = {
    ("status_changed", "TRADING"): "info",
    ("instance_changed", "refused"): "warning",
    ("model_changed", "refused"): "warning",
}
"""Of a kind with this `status` or `state`."""

SIDES = ("long", "short", "flat", "buy", "sell")
ARROWS = {"long": "▲", "buy": "▲", "short": "▼", "sell": "▼", "flat": "■"}

_OTHER = Kind("warning", "{symbol} {kind} — {detail}")


def kind_of(name: str) -> Kind:
    """Return what is known of a kind; one of a later version is a warning."""
    return KINDS.get(name, _OTHER)


def severity_of(name: str, state: str = "") -> Severity:
    """Return how grave a record is.

    >>> severity_of("gap"), severity_of("status_changed"), severity_of("status_changed", "TRADING")
    ('critical', 'warning', 'info')
    """
    return EXCEPTIONS.get((name, state), kind_of(name).severity)
