"""Weights, bans and rates, by a clock that the test moves."""

from simulator.config import LimitSettings
from simulator.limits import Rate, Weights
from simulator.tape import SECOND_US

MINUTE = 60 * SECOND_US


def test_weight_is_forgotten_on_the_calendar_minute() -> None:
    weights = Weights(LimitSettings(weight=50))
    at = 10 * MINUTE + 59 * SECOND_US
    assert weights.charge(25, at) == (200, 25, 0)
    assert weights.charge(25, at) == (200, 50, 0)
    assert weights.charge(1, at) == (429, 51, 11 * MINUTE)
    assert weights.charge(25, at + SECOND_US) == (200, 25, 0)


def test_who_goes_on_is_banned_and_each_time_longer() -> None:
    weights = Weights(LimitSettings(weight=10, ban_after=2, ban=120))
    at = 10 * MINUTE
    assert [weights.charge(10, at).status for _ in range(5)] == [200, 429, 429, 418, 418]
    assert weights.charge(1, at).until_us == at + 120 * SECOND_US
    assert weights.banned(at + 119 * SECOND_US)
    later = at + 120 * SECOND_US
    assert not weights.banned(later)
    assert [weights.charge(10, later).status for _ in range(4)] == [200, 429, 429, 418]
    assert weights.banned(later + 239 * SECOND_US)


def test_a_rate_lets_so_many_pass_in_any_stretch() -> None:
    rate = Rate(2, 1.0)
    assert [rate.passes(t) for t in (0.0, 0.9, 0.95, 1.96, 2.0)] == [True, True, False, True, True]
    assert all(Rate(None, 1.0).passes(0.0) for _ in range(99))
