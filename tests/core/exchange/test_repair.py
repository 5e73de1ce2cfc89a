"""The repair of a hole against histories that lag, overlap, skip or fail."""

from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st

from core.exchange.repair import Deliver, Fetch, Hole, Missing, Wait, repair
from core.exchange.wire import RestTrade


def row(trade_id: int) -> RestTrade:
    return RestTrade.model_validate(
        {"id": trade_id, "price": "1", "qty": "1", "time": trade_id, "isBuyerMaker": False}
    )


def run(
    hole: Hole,
    history: Sequence[int],
    *,
    failures: Collection[int] = (),
    lag: int = 0,
    limit: int = 1000,
    begins: int = 0,
) -> tuple[list[int], list[tuple[int, int]], int]:
    """Drive a repair.

    The history shows `lag` more ids at each request, if it lags, and has nothing to say of ids
    before `begins`, not even what comes after them.
    """
    steps = repair(hole, limit=limit)
    delivered, missing, fetches = [], [], 0
    action = next(steps)
    for _ in range(10_000):
        if isinstance(action, Fetch):
            fetches += 1
            ids = [i for i in history if i >= action.from_id][: action.limit]
            if action.from_id < begins:
                ids = []
            if lag:
                ids = [i for i in ids if i <= lag * fetches]
            page = None if fetches in failures else [row(i) for i in ids]
            send = page
        else:
            send = None
            if isinstance(action, Deliver):
                delivered += [r.id for r in action.rows]
            elif isinstance(action, Missing):
                missing.append((action.first_id, action.last_id))
        try:
            action = steps.send(send)
        except StopIteration:
            return delivered, missing, fetches
    raise AssertionError("the repair did not end")


def test_a_hole_is_filled_page_by_page() -> None:
    delivered, missing, fetches = run(Hole(5, 2504), range(10_000), limit=1000)
    assert delivered == list(range(5, 2505))
    assert not missing
    assert fetches == 3


def test_a_history_that_lags_or_fails_is_asked_again() -> None:
    delivered, missing, _ = run(Hole(5, 40), range(100), failures={1, 3}, lag=7)
    assert delivered == list(range(5, 41))
    assert not missing


def test_ids_that_the_history_skips_twice_are_missing_for_good() -> None:
    history = [i for i in range(100) if not 20 <= i <= 29]
    delivered, missing, _ = run(Hole(10, 40), history)
    assert delivered == [*range(10, 20), *range(30, 41)]
    assert missing == [(20, 29)]


def test_a_hole_whose_end_is_missing_needs_the_row_behind_it_as_evidence() -> None:
    history = [i for i in range(100) if not 38 <= i <= 40]
    delivered, missing, _ = run(Hole(30, 40), history)
    assert delivered == list(range(30, 38))
    assert missing == [(38, 40)]


def test_what_lies_before_a_history_that_reaches_back_for_a_while_is_missing() -> None:
    delivered, missing, fetches = run(Hole(10, 90_000), range(100_000), begins=70_123)
    assert missing == [(10, 70_122)]
    assert delivered == list(range(70_123, 90_001))
    assert fetches < 60


def test_one_that_only_lags_is_not_taken_for_one_that_begins_later() -> None:
    delivered, missing, _ = run(Hole(50, 90), range(100), lag=3)
    assert delivered == list(range(50, 91))
    assert not missing


@given(st.integers(0, 300), st.integers(1, 60), st.sets(st.integers(0, 60)))
def test_a_history_that_begins_anywhere_gives_what_it_has(
    first: int, size: int, failures: set[int]
) -> None:
    hole, begins = Hole(first, first + size - 1), first + size // 2
    delivered, missing, _ = run(hole, range(1000), begins=begins, failures=failures)
    assert delivered == list(range(begins, first + size))
    assert missing == ([(first, begins - 1)] if begins > first else [])


@given(
    st.integers(0, 50),
    st.integers(0, 80),
    st.sets(st.integers(0, 200)),
    st.sets(st.integers(1, 20)),
    st.integers(2, 20),
)
def test_every_id_of_the_hole_is_delivered_or_missing_once_and_in_order(
    first: int, length: int, absent: set[int], failures: Collection[int], limit: int
) -> None:
    history = [i for i in range(400) if i not in absent]
    hole = Hole(first, first + length)
    delivered, missing, _ = run(hole, history, failures=failures, limit=limit)
    lost = [i for a, b in missing for i in range(a, b + 1)]
    assert delivered == [i for i in range(first, first + length + 1) if i not in absent]
    assert lost == [i for i in range(first, first + length + 1) if i in absent]


def test_a_wait_grows_while_nothing_comes() -> None:
    steps = repair(Hole(1, 1))
    waits: list[float] = []
    action = next(steps)
    while len(waits) < 8:
        if isinstance(action, Wait):
            waits.append(action.seconds)
        action = steps.send(None)
    assert waits == sorted(waits)
    assert waits[-1] == 5.0
