"""Which rows a REST page holds: by id, by time, or the newest; nothing after `until_us`."""

from simulator.klines import Kline, KlineOracle
from simulator.tape import Aggregate, Tape, Trade


def trades(tape: Tape, from_id: int | None, until_us: int, limit: int) -> list[Trade]:
    """Return trades from an id on, or the newest; those with ``T < until_us``."""
    if from_id is None:
        first = max(0, tape.count_before(until_us) - limit)
    else:
        first = tape.position_of(from_id)
    return tape.trades(first, until_us, limit)


def aggregates(
    tape: Tape, from_id: int | None, start_us: int | None, until_us: int, limit: int
) -> list[Aggregate]:
    """Return aggregates from an id or a time on, or the newest; those with ``T < until_us``."""
    if from_id is not None:
        first = max(0, from_id - tape.first_aggregate_id)
    elif start_us is not None:
        first = tape.aggregates_before(start_us)
    else:
        first = max(0, tape.aggregates_before(until_us) - limit)
    return tape.aggregates(first, until_us, limit)


def klines(
    oracle: KlineOracle,
    interval: str,
    times: tuple[int | None, int | None],
    *,
    until_us: int,
    limit: int,
    offset_us: int = 0,
) -> list[Kline]:
    """Return the oldest klines from a start on, or the newest up to an end, as known at `until`."""
    start, end = times
    last = until_us if end is None else end
    if start is None:
        return oracle.latest(interval, last, until_us=until_us, limit=limit, offset_us=offset_us)
    return oracle.klines(interval, start, last, until_us=until_us, limit=limit, offset_us=offset_us)
