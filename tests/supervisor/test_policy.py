"""When to start again, when to give up, what is frozen, and whose error it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.causes import Cause, Ending, cause_of
from supervisor.frozen import FrozenWatch
from supervisor.patience import Patience


def test_delays_grow_are_capped_and_begin_within_a_second() -> None:
    patience = Patience(100, 10.0)
    delays = [patience.failed(float(at), 1.0) for at in range(12)]
    assert delays == [0.1, 0.5, 1.0, 2.0, 4.0, *[8.0] * 7]


def test_a_run_that_lasted_is_forgiven() -> None:
    patience = Patience(100, 10.0)
    assert [patience.failed(0.0, 1.0), patience.failed(1.0, 1.0)] == [0.1, 0.5]
    assert patience.failed(100.0, 60.0) == 0.1


@given(st.lists(st.floats(0.0, 500.0), min_size=1, max_size=40).map(sorted), st.integers(1, 6))
def test_it_gives_up_exactly_when_the_window_is_full(times: list[float], limit: int) -> None:
    patience = Patience(limit, 100.0)
    for n, at in enumerate(times):
        window = [t for t in times[: n + 1] if at - t <= 100.0]
        assert (patience.failed(at, 0.0) is None) == (len(window) >= limit)


def row(beats: int, turns: int, *, blocked: bool = False) -> dict[str, Any]:
    return {"beats": beats, "turns": turns, "redis": {"blocked": blocked}}


def watch(processes: int = 1) -> FrozenWatch:
    return FrozenWatch(processes, frozen_s=10.0, start_s=30.0, now=0.0)


def test_a_flow_that_gets_on_is_not_frozen() -> None:
    own = watch(2)
    for at in range(100):
        assert own.look({0: row(at, at + 1), 1: row(at, 0)}, float(at)) == ""


def test_a_process_without_heartbeats_is_frozen() -> None:
    own = watch()
    assert [bool(own.look({0: row(1, 5)}, at)) for at in (0.0, 9.0, 11.0)] == [False, False, True]


def test_an_engine_that_stands_still_is_frozen_though_its_heart_beats() -> None:
    own = watch(2)
    said = [own.look({0: row(at, at), 1: row(at, 7)}, float(at)) for at in range(1, 20)]
    assert said[9] == ""
    assert said[-1] == "process 1 has made no progress for 18 s"


def test_a_flow_that_waits_for_redis_is_not_frozen() -> None:
    own = watch(2)
    for at in range(100):
        rows = {0: row(at, 7, blocked=True), 1: row(at, 7)}
        assert own.look(rows, float(at)) == ""


def test_a_flow_that_does_not_start_is_told_from_one_that_is_slow_to() -> None:
    own = watch()
    assert own.look({}, 29.0) == ""
    assert own.look({0: row(1, 0)}, 30.0) == ""
    assert own.look({0: row(2, 0)}, 31.0) == "the flow does not start within 30 s"


def test_a_process_that_never_speaks_is_found_though_the_others_get_on() -> None:
    own = watch(2)
    assert own.look({0: row(1, 1)}, 29.0) == ""
    assert own.look({0: row(2, 2)}, 31.0) == "process 1 gives no sign of life"


PANIC = (
    "Traceback (most recent call last):",
    "pyo3_runtime.PanicException: Send thread panic: Any { .. }",
)


@pytest.mark.parametrize(
    ("endings", "expected"),
    [
        ({0: Ending(-9)}, Cause("ended by SIGKILL", 1)),
        ({0: Ending(0)}, Cause("ended with exit code 0", 1)),
        ({0: Ending(1, PANIC), 1: Ending(-9)}, Cause("ended with exit code 1", 1)),
        (
            {
                0: Ending(1, PANIC),
                1: Ending(1, PANIC, {"text": "ValueError: boom", "exit_code": 1}),
            },
            Cause("ValueError: boom", 1),
        ),
        (
            {0: Ending(1, ("Traceback (most recent call last):", "KeyError: 'x'", *PANIC))},
            Cause("KeyError: 'x'", 1),
        ),
        (
            {0: Ending(-9), 1: Ending(2, ("error: setting `symbols`: no", "hint: none"))},
            Cause("setting `symbols`: no", 2, told=True),
        ),
        (
            {0: Ending(1, PANIC, {"text": "setting `symbols`: no", "exit_code": 2})},
            Cause("setting `symbols`: no", 2),
        ),
        ({0: Ending(3, ("error: redis: gone", "more"))}, Cause("redis: gone", 1)),
    ],
)
def test_the_cause_is_the_first_error_not_what_came_of_it(
    endings: dict[int, Ending], expected: Cause
) -> None:
    assert cause_of(endings, 0) == expected
