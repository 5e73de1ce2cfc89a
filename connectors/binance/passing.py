"""Notes when what a shard received came and went on: for `telemetry.passage`, decides nothing."""

from time import monotonic_ns

from core.exchange.wire import to_us
from core.market.events import Frame, Item
from core.market.trades import Trades
from telemetry.passage import PASSAGE, Stamp

_EVENT_TIME = '"E":'


def note_batch(
    batch: list[tuple[str, Item]], first: Frame, messages: int, received_ns: int, skew_us: int
) -> None:
    """Note a batch that is handed out.

    Args:
        batch: Inputs first.
        first: The oldest message in it.
        messages: How many there are.
        received_ns: When the oldest came, monotonic.
        skew_us: The exchange's clock minus ours.

    """
    handed_ns = monotonic_ns()
    event_us = event_time(first.payload)
    delay = None if event_us is None else (first.received_us + skew_us - event_us) / 1e6
    PASSAGE.came(delay, Stamp(received_ns, handed_ns, messages), messages)
    for key, item in batch:
        if type(item) is Trades and not item.repaired and len(item):
            PASSAGE.enter(key, int(item.id[-1]), Stamp(received_ns, handed_ns, len(item)))


def event_time(payload: str) -> int | None:
    """Return when the exchange says it sent a message, microseconds; None where it does not.

    >>> event_time('{"e":"trade","E":1757522615939000,"s":"BTCUSDT"}')
    1757522615939000
    """
    at = payload.find(_EVENT_TIME)
    if at < 0:
        return None
    at += len(_EVENT_TIME)
    digits = payload[at : payload.find(",", at)]
    return to_us(int(digits)) if digits.isdecimal() and len(digits) < 19 else None
