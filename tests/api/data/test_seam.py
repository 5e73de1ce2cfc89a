"""However rows are spread over files, the log and Redis: each comes once, in order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.data import tail
from api.data.join import join
from api.data.query import Query
from api.data.shapes import EVENTS, KLINES, SIGNALS, TRADES, Shape
from api.services import Services
from connectors.redis.codec import rows_of
from core.market.events import Connected, Gap, InstanceChanged
from core.market.intervals import HOUR_US, MINUTE_US, interval
from core.market.kline import Kline
from core.market.signal import Side, Signal
from core.market.trades import Trades

KEY = "binance:BTCUSDT"
MIDNIGHT_US = 1_738_281_600_000_000
START_US = MIDNIGHT_US - 20 * MINUTE_US
LONG_US = 4 * HOUR_US
M1 = interval("1m")


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have streams of a few rows read like those of a hundred thousand."""
    monkeypatch.setattr(tail, "_PAGE", 5)
    monkeypatch.setattr(tail, "_NEWEST", 1)


def trade(n: int) -> Trades:
    """The n-th trade; a minute apart, so that some are on the next day."""
    one = np.array([n], np.int64)
    return Trades(
        KEY, 2, 5, 1000 + one, START_US + one * MINUTE_US, 6_000_000 + one, 100 + one, one % 2 == 0
    )


def kline(n: int, revision: int = 0, seq: int = 0) -> Kline:
    """The n-th minute, which says in its volume which issue it is."""
    open_us = START_US + n * MINUTE_US
    return Kline(
        KEY, M1, open_us, open_us + MINUTE_US - 1, 2, 5, 100 + n, 200 + n, 50, 150 + n,
        7 + revision, 9, 3, 1, 2, n, n + 2, revision=revision,
        seq=seq or (open_us + MINUTE_US) // 1000 << 20,
    )  # fmt: skip


def long(n: int) -> Kline:
    """The n-th four hours: their end, by which Redis orders them, is far from their start."""
    open_us = MIDNIGHT_US + n * LONG_US
    seq = (open_us + LONG_US) // 1000 << 20
    whole = {"interval": interval("4h"), "open_us": open_us, "close_us": open_us + LONG_US - 1}
    return replace(kline(n), **whole, seq=seq)  # type: ignore[arg-type]  # of several types


def signal(n: int, key: str = KEY) -> Signal:
    at = START_US + n // 2 * MINUTE_US
    seq = ((at + MINUTE_US) // 1000 << 20) + n % 2
    return Signal(
        key, M1, "s", f"i{n % 3}", Side.LONG, at, at + MINUTE_US - 1, "1.5", "why", (), seq
    )


def event(n: int) -> Any:  # noqa: ANN401 - of several classes
    """Parts of a flow number theirs apart: two events may have the same number."""
    at = START_US + n // 2 * MINUTE_US
    seq = at // 1000 << 20
    if n % 2:
        return InstanceChanged(KEY, at, seq, "", "i", "running", "")
    return Gap(KEY, at, seq, n, n + 1, "gone") if n % 4 else Connected(KEY, at, seq, n)


def pages(own: Services, query: Query, size: int) -> Any:  # noqa: ANN401 - a coroutine
    async def walk() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = await join(own, replace(query, after=after), size)
            items = [] if page.table is None else query.shape.items(page.table)
            assert len(items) <= size
            found += items
            if page.next is None:
                return found
            assert len(items) == size
            after = page.next

    return walk()


COUNT = 40
Where = Sequence[tuple[bool, bool, bool]]


@st.composite
def spread(draw: st.DrawFn) -> Where:
    """Say of each row whether files, the log, Redis hold it: pieces that overlap, or at random."""
    if draw(st.booleans()):
        one = st.tuples(st.booleans(), st.booleans(), st.booleans()).filter(any)
        return draw(st.lists(one, min_size=COUNT, max_size=COUNT))
    cuts = sorted(draw(st.tuples(*[st.integers(0, COUNT)] * 3)))
    back = draw(st.integers(0, 10))
    return [
        (n < cuts[1], cuts[0] <= n < cuts[2] or n < cuts[1], n >= cuts[2] - back)
        for n in range(COUNT)
    ]


def put(market: Any, rows: Sequence[Any], where: Where) -> list[Any]:  # noqa: ANN401 - see conftest
    """Spread rows; return those that are anywhere."""
    parts = [[row for row, at in zip(rows, where, strict=True) if at[n]] for n in range(3)]
    market.files(*parts[0], rotate_rows=7)
    if parts[1]:
        market.log(*parts[1])
    market.publish(*parts[2])
    return [row for row, at in zip(rows, where, strict=True) if any(at)]


LAW = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize(
    ("shape", "make"),
    [(TRADES, trade), (SIGNALS, signal), (EVENTS, event), (KLINES, kline), (KLINES, long)],
)
@LAW
@given(where=spread(), size=st.integers(1, 50), descending=st.booleans(), data=st.data())
def test_each_row_comes_once_and_in_order_wherever_it_is(
    markets: Callable[[], Any],
    shape: Shape,
    make: Callable[[int], Any],
    where: Where,
    size: int,
    descending: bool,
    data: st.DataObject,
) -> None:
    market = markets()
    rows = put(market, [make(n) for n in range(COUNT)], where)
    low, high = sorted(data.draw(st.tuples(st.integers(0, COUNT), st.integers(0, COUNT))))
    bounded = data.draw(st.booleans())
    begin, step = (MIDNIGHT_US, LONG_US) if make is long else (START_US, MINUTE_US)
    start, end = begin + low * step, begin + high * step
    name = "4h" if make is long else "1m"
    query = Query(
        shape, (KEY,), name if shape is KLINES else "", start if bounded else None,
        end if bounded else None, descending=descending,
    )  # fmt: skip
    expected: list[dict[str, Any]] = []
    for row in rows:
        expected += _items(shape, row)
    expected = [i for i in expected if not bounded or start <= _time(i) < end]
    expected.sort(key=_rank, reverse=descending)
    found = market.run(lambda own: pages(own, query, size))
    for item in (*found, *expected):  # the stream does not say whether a trade was repaired
        item.pop("repaired", None)
    assert found == expected


def _items(shape: Shape, row: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - of any kind
    _, flat = rows_of(row)
    texts = orjson.loads(flat[0])[2]
    return shape.items(shape.table([(row.key, dict(zip(texts[::2], texts[1::2], strict=True)))]))


def _time(item: dict[str, Any]) -> int:
    return int(item.get("time_us", item.get("open_us", 0)))


def _rank(item: dict[str, Any]) -> tuple[Any, ...]:
    if "id" in item:
        return (item["id"],)
    return _time(item), int(item["seq"]), item.get("kind", "")


@LAW
@given(
    where=spread(),
    size=st.integers(1, 20),
    descending=st.booleans(),
    late=st.lists(st.integers(0, COUNT - 1), unique=True, max_size=6),
)
def test_of_a_kline_that_was_issued_again_the_last_one_comes(
    markets: Callable[[], Any],
    where: Where,
    size: int,
    descending: bool,
    late: list[int],
) -> None:
    market = markets()
    last = (START_US + (COUNT + 1) * MINUTE_US) // 1000 << 20
    again = [kline(n, 1, last + at) for at, n in enumerate(late)]
    first = [kline(n) for n in range(COUNT)]
    whole = [*where, *(((True, False, True),) * len(again))]
    rows = put(market, [*first, *again], whole)
    best = {row.open_us: row for row in sorted(rows, key=lambda row: row.revision)}
    query = Query(KLINES, (KEY,), "1m", descending=descending)
    found = market.run(lambda own: pages(own, query, size))
    told = [(item["open_us"], item["revision"]) for item in found]
    wanted = [(at, best[at].revision) for at in sorted(best, reverse=descending)]
    assert told == wanted
    every = market.run(lambda own: pages(own, replace(query, revisions=True), size))
    told = [(item["open_us"], item["revision"]) for item in every]
    assert told == sorted(((r.open_us, r.revision) for r in rows), reverse=descending)


def test_rows_of_several_symbols_come_in_one_order(markets: Callable[[], Any]) -> None:
    market = markets()
    other = "binance:ETHUSDT"
    rows = [signal(n, key) for n in range(30) for key in (KEY, other)]
    market.files(*rows[:30])
    market.log(*rows[30:40])
    market.publish(*rows[35:])
    query = Query(SIGNALS, None, descending=True)
    found = market.run(lambda own: pages(own, query, 7))
    told = [(item["time_us"], int(item["seq"]), item["key"]) for item in found]
    assert told == sorted(((r.close_us, r.seq, r.key) for r in rows), reverse=True)
    only = replace(query, filters=(("instance", "i1"),))
    assert {i["instance"] for i in market.run(lambda own: pages(own, only, 4))} == {"i1"}


@pytest.mark.parametrize("descending", [False, True])
def test_klines_whose_end_is_far_from_their_start_are_found_by_it(
    markets: Callable[[], Any], descending: bool
) -> None:
    market = markets()
    market.files(long(0))
    market.publish(*(long(n) for n in range(1, 30)))
    for last in range(2, 12):
        end = MIDNIGHT_US + (last - 1) * LONG_US + 1  # right behind the start of the last
        query = Query(KLINES, (KEY,), "4h", end_us=end, descending=descending)
        found = market.run(lambda own, query=query: pages(own, query, 3))
        assert len(found) == last
