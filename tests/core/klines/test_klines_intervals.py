"""All sixteen intervals, folded from seconds, are what the trades themselves say, in decimals."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.klines import KlineBuilder
from core.market.intervals import DAY_US, INTERVALS
from core.market.kline import MEASURES, Kline
from core.market.trades import Trades

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2024, 2, 25, 23, 59, 50, tzinfo=UTC)  # a leap day, a Monday, a month lie ahead
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

steps = st.sampled_from(
    [0, 1, 999_999, 10**6, 59 * 10**6, 15 * 60 * 10**6, 5 * 3600 * 10**6, 11 * 3600 * 10**6]
) | st.integers(0, 2 * DAY_US)


def window(name: str, at: datetime) -> tuple[datetime, datetime]:
    """Return [start, end) of the window that holds `at`, by the calendar."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "1M":
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    if name == "1w":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    length = timedelta(seconds=int(name[:-1]) * UNITS[name[-1]])
    start = EPOCH + (at - EPOCH) // length * length
    return start, start + length


def us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


Row = tuple[int, datetime, Decimal, Decimal, bool]


def expected(name: str, rows: list[Row]) -> Iterator[tuple[object, ...]]:
    for (start, end), run in groupby(rows, lambda row: window(name, row[1])):
        ids, _, prices, sizes, makers = zip(*run, strict=True)
        paid = [p * q for p, q in zip(prices, sizes, strict=True)]
        bought = [i for i, maker in enumerate(makers) if not maker]
        yield (
            us(start), us(end) - 1, prices[0], max(prices), min(prices), prices[-1],
            sum(sizes), sum(sizes[i] for i in bought),
            sum(paid), sum(paid[i] for i in bought), len(ids), ids[0], ids[-1],
        )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(steps, st.integers(1, 10**11), st.integers(1, 10**12), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 60),
)
def test_every_interval_is_what_its_trades_say(
    drawn: list[tuple[int, int, int, bool]], size: int
) -> None:
    at, rows = START, list[Row]()
    for i, (step, price, quantity, maker) in enumerate(drawn, start=10**9):
        at += timedelta(microseconds=step)
        rows.append((i, at, Decimal(price).scaleb(-4), Decimal(quantity).scaleb(-6), maker))
    build = KlineBuilder(
        "k", base=INTERVALS["1s"], intervals=tuple(INTERVALS.values()), empty="skip", max_fill=50
    )
    whole = Trades(
        "k", 4, 6,
        np.array([row[0] for row in rows]), np.array([us(row[1]) for row in rows]),
        np.array([row[1] for row in drawn]), np.array([row[2] for row in drawn]),
        np.array([row[3] for row in drawn]),
    )  # fmt: skip
    out = [
        kline
        for start in range(0, len(rows), size)
        for kline in build.on_trades(whole.take(slice(start, start + size)))
    ]
    out += build.on_tick(us(at) + 70 * DAY_US)
    for name in INTERVALS:
        found = [
            (k.open_us, k.close_us, *map(k.exact, MEASURES), k.trades, k.first_id, k.last_id)
            for k in out
            if isinstance(k, Kline) and k.interval.name == name
        ]
        assert found == list(expected(name, rows))
