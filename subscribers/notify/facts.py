"""A record as named texts: what templates may use and rules look at."""

from collections.abc import Callable
from datetime import UTC, datetime

from connectors.redis.codec import Entry
from core.market.records import Fields
from subscribers.notify.kinds import ARROWS, kind_of, severity_of

_AMOUNTS = ("price", "quantity", "fee", "position", "entry", "realised", "cash")
_DETAIL = 1000  # characters of a traceback

COMMON = ("id", "record", "kind", "severity", "key", "symbol", "exchange", "time", "seq")
"""Every record has these."""

OF_RECORD: dict[str, tuple[str, ...]] = {
    "signal": (
        "strategy", "instance", "side", "arrow", "price", "reason", "interval", "values",
    ),
    "fill": (
        "strategy", "instance", "side", "arrow", "reason", "interval", *_AMOUNTS,
    ),
    "event": (
        "link", "old_link", "reason", "lived", "first_id", "last_id", "count", "status", "trade_id",
        "interval", "opens", "ends", "detail", "instance", "state", "command", "model", "version",
        "shadows",
    ),
}  # fmt: skip
"""The others, by kind of stream; those of an event depend on its kind, the rest is empty then."""


def facts_of(entry: Entry) -> Fields:
    """Return the texts of a record; what it does not have is not there.

    Amounts are grouped by thousands (``67,123.45``), times are in UTC.
    """
    row, key = entry.fields, entry.stream.key
    exchange, _, symbol = key.rpartition(":")
    kind = row.get("kind", "event") if entry.stream.kind == "event" else entry.stream.kind
    told = dict(row) | {
        "record": entry.stream.kind,
        "kind": kind,
        "severity": severity_of(kind, row.get("status") or row.get("state", "")),
        "key": key,
        "symbol": symbol,
        "exchange": exchange,
        "time": time_text(time_us(entry)),
        "seq": row.get("seq", ""),
        "arrow": ARROWS.get(row.get("side", ""), ""),
    }
    told |= {name: amount(row[name]) for name in _AMOUNTS if name in row}
    told |= _computed(row)
    told["id"] = record_id(key, told)
    return told


def record_id(key: str, told: Fields) -> str:
    """Return what tells a record from all others, in every re-run.

    Parts of a flow number their events apart, but no two of them tell events of the same kind.

    >>> record_id("binance:BTCUSDT", {"record": "event", "kind": "gap", "seq": "7"})
    'binance:BTCUSDT/event/gap/7'
    """
    own = told["kind"] if told["record"] == "event" else told.get("instance", "")
    return f"{key}/{told['record']}/{own}/{told['seq']}"


def is_grouped(told: Fields) -> bool:
    """Say whether the record may wait a moment for others."""
    return kind_of(told["kind"]).grouped


def time_us(entry: Entry) -> int:
    """Return when it happened, by the exchange's clock."""
    row = entry.fields
    for name, factor in (("time_us", 1), ("close_ms", 1000)):
        if row.get(name, "").isdecimal():
            return int(row[name]) * factor
    return entry.order[0] * 1000


def time_text(us: int) -> str:
    """Return a time as people read it.

    >>> time_text(1_723_161_600_000_000)
    '2024-08-09 00:00:00'
    """
    try:
        return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return str(us)


def amount(text: str) -> str:
    """Return a decimal with its thousands set apart; another text as it is.

    >>> amount("67123.45"), amount("-1234"), amount("0.5"), amount("none")
    ('67,123.45', '-1,234', '0.5', 'none')
    """
    sign = "-" if text.startswith("-") else ""
    whole, point, rest = text.removeprefix("-").partition(".")
    if not (whole.isascii() and whole.isdecimal()):
        return text
    return f"{sign}{int(whole):,}{point}{rest}"


def _computed(row: Fields) -> Fields:
    made: dict[str, tuple[tuple[str, ...], Callable[..., str]]] = {
        "count": (("first_id", "last_id"), lambda first, last: f"{last - first + 1:,}"),
        "lived": (("lived_us",), lambda us: _duration(us // 1_000_000)),
        "opens": (("open_us",), time_text),
        "ends": (("end_us",), time_text),
    }
    found: Fields = {}
    for name, (needed, make) in made.items():
        given = [row.get(one, "") for one in needed]
        if all(_whole(text) for text in given):
            found[name] = make(*map(int, given))
    if len(row.get("detail", "")) > _DETAIL:
        found["detail"] = row["detail"][: _DETAIL - 1] + "…"
    return found


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal()


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"
