"""Back-off and weight budget: arithmetic, without sleeping."""

import random

from hypothesis import given
from hypothesis import strategies as st

from core.exchange.backoff import Backoff
from core.exchange.limiter import WeightBudget


class Highest:
    def random(self) -> float:
        return 1.0


def test_delays_double_up_to_the_cap_and_only_a_link_that_lasted_is_forgiven() -> None:
    backoff = Backoff(Highest(), base=0.5, cap=4.0, stable=60.0)
    assert [backoff.lost(lived=59.9) for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert backoff.lost(lived=60.0) == 0.5


@given(st.integers(0, 2**32), st.lists(st.floats(0, 100), max_size=200))
def test_no_delay_is_ever_above_the_cap(seed: int, lives: list[float]) -> None:
    backoff = Backoff(random.Random(seed), base=0.5, cap=30.0)
    assert all(0.0 <= backoff.lost(lived=lived) <= 30.0 for lived in lives)


def test_a_used_up_minute_waits_for_the_next() -> None:
    budget = WeightBudget(limit=100, reserve=0.0)
    assert budget.delay(100, now=120.0) == 0.0
    assert budget.delay(1, now=130.0) == 50.0
    assert budget.delay(1, now=180.0) == 0.0


def test_the_exchanges_own_count_is_believed() -> None:
    budget = WeightBudget(limit=100, reserve=0.0)
    budget.observed(99, now=0.0)
    assert budget.delay(2, now=1.0) == 59.0


def test_a_punishment_stops_everything_until_it_is_over() -> None:
    budget = WeightBudget(limit=100)
    budget.punished(7.0, now=10.0)
    assert budget.delay(1, now=12.0) == 5.0
    assert budget.delay(1, now=17.0) == 0.0


def test_a_request_heavier_than_the_whole_budget_is_let_through_alone() -> None:
    budget = WeightBudget(limit=10, reserve=0.0)
    assert budget.delay(25, now=0.0) == 0.0
    assert budget.delay(1, now=1.0) == 59.0
