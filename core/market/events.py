"""Everything beside trades that a source says. Missing data is data: it is never only a log line.

All carry `key` (an instrument's, or ``binance:shard-0`` for what concerns a whole connection),
`time_us` (the exchange's time as far as it was known) and `seq` (the data position, rising within
the key), except `Tick`, which is never stored, and `Frame`, which is stored raw.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

from core.market.kline import Kline
from core.market.trades import Trades


@dataclass(frozen=True, slots=True)
class Tick:
    """The exchange's clock: no trade before `time_us` is still to come (but for the grace)."""

    key: str
    time_us: int


@dataclass(frozen=True, slots=True)
class Told:
    """A message to whatever runs on an instrument; it holds from its place in the stream on.

    Attributes:
        payload: JSON text, a matter of who sent it and who reads it.
        history: JSON of ``{interval: rows}``: klines as REST gives them, oldest first, that the
            source fetched for it; empty: none.

    """

    key: str
    time_us: int
    payload: str
    history: str = ""


class Frame(NamedTuple):
    """One input of a session exactly as it came: enough of them replay the session.

    Attributes:
        received_us: Our clock when it came, microseconds since the epoch.
        kind: ``start``, ``open``, ``close``, ``frame``, ``page``, ``status``, ``command``,
            ``time`` or ``alarm``; ``file`` where the lines of a capture begin
            (`core.exchange.session.Session`).
        link: Number of the connection within the run; in a capture, of the line.
        payload: The text as received.

    """

    key: str
    received_us: int
    kind: str
    link: int
    payload: str


@dataclass(frozen=True, slots=True)
class Event:
    """Base of what is stored as an event.

    Attributes:
        lane: Which part of the flow numbers it, where this is not the source: `seq` rises within
            an instrument's events of a lane.

    """

    kind: ClassVar[str] = "event"
    lane: ClassVar[str] = ""

    key: str
    time_us: int
    seq: int


@dataclass(frozen=True, slots=True)
class Connected(Event):
    """A link is open and its subscriptions were sent."""

    kind: ClassVar[str] = "connected"
    link: int


@dataclass(frozen=True, slots=True)
class Disconnected(Event):
    """A link is gone; `reason` says why, `lived_us` how long it had lasted."""

    kind: ClassVar[str] = "disconnected"
    link: int
    reason: str
    lived_us: int


@dataclass(frozen=True, slots=True)
class GapOpened(Event):
    """Trades `first_id`..`last_id` (inclusive) were missed; their repair has begun."""

    kind: ClassVar[str] = "gap_opened"
    first_id: int
    last_id: int


@dataclass(frozen=True, slots=True)
class GapRepaired(Event):
    """Trades `first_id`..`last_id` came by REST and were emitted in order."""

    kind: ClassVar[str] = "gap_repaired"
    first_id: int
    last_id: int


@dataclass(frozen=True, slots=True)
class Gap(Event):
    """Trades `first_id`..`last_id` are missing for good; `reason` is the evidence.

    It stands in the stream exactly where they are missing: klines that touch the hole are
    `complete = False`.
    """

    kind: ClassVar[str] = "gap"
    first_id: int
    last_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stale(Event):
    """An acknowledged stream gives no data though it should."""

    kind: ClassVar[str] = "stale"
    reason: str


@dataclass(frozen=True, slots=True)
class Rotated(Event):
    """A link was replaced by a new one without a break."""

    kind: ClassVar[str] = "rotated"
    link: int
    old_link: int


@dataclass(frozen=True, slots=True)
class StatusChanged(Event):
    """A symbol's trading status as the exchange names it: TRADING, HALT, BREAK, CANCEL_ONLY, ...

    It is TRADING until an event says otherwise; only then trades are expected.
    """

    kind: ClassVar[str] = "status_changed"
    status: str


@dataclass(frozen=True, slots=True)
class Late(Event):
    """A trade so old that its window is no longer held: it is in the trades but in no kline."""

    kind: ClassVar[str] = "late"
    lane: ClassVar[str] = "klines"
    trade_id: int
    trade_us: int


@dataclass(frozen=True, slots=True)
class KlineGap(Event):
    """A source of klines lacks the windows that open in ``open_us <= t < end_us``."""

    kind: ClassVar[str] = "kline_gap"
    interval: str
    open_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class KlineMismatch(Event):
    """The exchange's own closed kline differs from ours; `detail` names the fields."""

    kind: ClassVar[str] = "kline_mismatch"
    lane: ClassVar[str] = "audit"
    interval: str
    open_us: int
    detail: str


@dataclass(frozen=True, slots=True)
class StrategyErrored(Event):
    """A strategy instance raised and was stopped; `detail` is its traceback."""

    kind: ClassVar[str] = "strategy_errored"
    lane: ClassVar[str] = "strategies"
    instance: str
    detail: str


@dataclass(frozen=True, slots=True)
class InstanceChanged(Event):
    """A command took effect on an instance of a strategy, or could not.

    Attributes:
        command: Id of the command; empty where the settings themselves are meant.
        instance: Its name.
        state: ``running``, ``paused``, ``removed`` or ``refused``.
        detail: How it was warmed up; why it was refused.

    """

    kind: ClassVar[str] = "instance_changed"
    lane: ClassVar[str] = "strategies"
    command: str
    instance: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class ModelChanged(Event):
    """Which versions of a model speak from here on, or why a command could not change it.

    Attributes:
        command: Id of the command; empty where the settings themselves are meant.
        model: Its name.
        version: The version whose predictions count; empty: none.
        shadows: Versions that are only scored, separated by commas.
        state: ``running`` or ``refused``.
        detail: Why it was refused; what else is to be known.

    """

    kind: ClassVar[str] = "model_changed"
    lane: ClassVar[str] = "models"
    command: str
    model: str
    version: str
    shadows: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Quarantined(Event):
    """Something received that could not be used; `payload` is what came, cut to a bound.

    `source` says where it came from (``link 3``, ``file.csv:17``).
    """

    kind: ClassVar[str] = "quarantined"
    reason: str
    source: str
    payload: str


@dataclass(frozen=True, slots=True)
class ExchangeKline:
    """A closed kline as the exchange itself computed it: an audit of ours, never an output."""

    kline: Kline


PAYLOAD_LIMIT = 4096
"""Characters of a quarantined payload that are kept."""

Item: TypeAlias = Trades | Kline | Tick | Frame | Event | ExchangeKline | Told
"""What travels through the flow beside its key."""
