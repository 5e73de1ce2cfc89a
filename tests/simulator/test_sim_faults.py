"""Faults as data: their texts, and what each does to a row of frames."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.market.errors import ConfigError
from simulator.config import SimulatorSettings
from simulator.faults import (
    Drop,
    Duplicate,
    Fault,
    Frame,
    Garbage,
    Mark,
    Out,
    Refuse,
    Skip,
    fault_text,
    framed,
    make_fault,
    parse_fault,
)
from simulator.injection import Faults

SECOND = 1_000_000


def frames(count: int, first: int = 0, stream: str = "a@trade") -> list[Frame]:
    return [(k * SECOND, stream, framed(b"%d" % k)) for k in range(first, first + count)]


def numbers(out: Sequence[Out]) -> list[int]:
    return [frame[0] // SECOND for frame in out if not isinstance(frame, Mark)]


def ends(out: Sequence[Out]) -> bool:
    return any(isinstance(one, Mark) and one.ends for one in out)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop", Drop()),
        ("drop@after=5s", Drop(after_us=5 * SECOND)),
        ("drop@frames=500,connection=1", Drop(frames=500, connection=1, per="connection")),
        (
            "skip@frames=10,count=3,stream=btcusdt@trade",
            Skip(frames=10, count=3, stream="btcusdt@trade"),
        ),
        ("duplicate@after=1.5m,per=connection", Duplicate(after_us=90 * SECOND, per="connection")),
        ("garbage@kind=nan,after=250ms", Garbage(what="nan", after_us=250_000)),
        ("refuse@attempts=2,status=429", Refuse(attempts=2, status=429)),
        ("refuse@after=5s,for=2s", Refuse(after_us=5 * SECOND, for_us=2 * SECOND)),
    ],
)
def test_a_fault_is_read_from_its_text(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault
    assert parse_fault(fault_text(fault)) == fault


@given(
    st.builds(
        Skip,
        frames=st.none() | st.integers(0, 10**6),
        after_us=st.none() | st.integers(0, 10**12),
        per=st.sampled_from(["exchange", "connection"]),
        connection=st.none() | st.integers(1, 99),
        count=st.integers(1, 99),
    )
)
def test_every_fault_has_a_text(fault: Skip) -> None:
    assert parse_fault(fault_text(fault)) == fault


def test_settings_read_faults_as_texts_and_as_tables() -> None:
    settings = SimulatorSettings.model_validate(
        {"faults": ["drop@after=5s", {"fault": "skip", "frames": 3, "count": 2}]}
    )
    assert settings.faults == (Drop(after_us=5 * SECOND), Skip(frames=3, count=2))
    assert make_fault({"fault": "garbage", "kind": "rest"}) == Garbage(what="rest")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("explode@after=5s", "unknown fault `explode`"),
        ("drop@5s", "`5s` in `drop@5s` is no option"),
        ("drop@after=5", "`after=5` is no time"),
        ("drop@count=5", "`drop` has no option `count`"),
        ("skip@count=two", "`count=two` is no whole number"),
        ("garbage@kind=worse", "`kind=worse`"),
        ("drop@per=minute", "`per=minute`"),
        ("stall@for=-5s", "`for=-5s` is no time"),
        ("skew@by=3", "`by=3` is no time"),
        ("rest@status=404", "`status=404`"),
        ("status@status=CLOSED", "`status=CLOSED`"),
        ("torn@kind=nan", "`kind=nan`"),
        ("status@stream=btcusdt@trade", "`status` has no option `stream`"),
    ],
)
def test_a_text_that_is_no_fault_is_refused_with_a_hint(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as error:
        SimulatorSettings.model_validate({"faults": [text]})
    assert why in str(error.value)
    assert "hint: " in str(error.value)


@pytest.mark.parametrize(
    ("text", "out", "cut"),
    [
        ("skip@frames=2,count=3", [0, 1, 5, 6, 7], False),
        ("skip@after=4s,count=1", [0, 1, 2, 3, 5, 6, 7], False),
        ("skip@stream=other@trade", [0, 1, 2, 3, 4, 5, 6, 7], False),
        ("duplicate@frames=6,count=5", [0, 1, 2, 3, 4, 5, 6, 6, 7, 7], False),
        ("drop@frames=3", [0, 1, 2], True),
        ("drop@after=6500ms", [0, 1, 2, 3, 4, 5, 6], True),
        ("drop@after=7500ms", [0, 1, 2, 3, 4, 5, 6, 7], True),
        ("drop@after=9s", [0, 1, 2, 3, 4, 5, 6, 7], False),
        ("skip@connection=2", [0, 1, 2, 3, 4, 5, 6, 7], False),
        ("drop@frames=2,after=5s", [0, 1, 2, 3, 4], True),
    ],
)
def test_a_fault_changes_the_frames_that_are_due(text: str, out: list[int], cut: bool) -> None:
    injector = Faults((parse_fault(text),), 0).connect(1, 0)
    assert injector.feed([], 0) == []
    done = injector.feed(frames(8), 8 * SECOND)
    assert (numbers(done), ends(done)) == (out, cut)


def test_a_fault_of_the_exchange_happens_once_and_one_per_connection_on_each() -> None:
    once, each = parse_fault("skip@frames=3"), parse_fault("duplicate@frames=1,per=connection")
    faults = Faults((once, each), 0)
    first, second = faults.connect(1, 0), faults.connect(2, 0)
    assert numbers(first.feed(frames(2), 0)) == [0, 1, 1]
    assert numbers(second.feed(frames(3, 2), 0)) == [2, 4, 4]
    assert numbers(first.feed(frames(1, 9), 0)) == [9]


def test_who_connects_after_the_moment_is_spared() -> None:
    faults = Faults((parse_fault("drop@after=5s"),), 0)
    assert ends(faults.connect(1, 4 * SECOND).feed([], 5 * SECOND))
    assert not ends(faults.connect(2, 5 * SECOND).feed([], 6 * SECOND))


def test_garbage_of_all_kinds_comes_before_frames_that_all_go_out() -> None:
    injector = Faults((parse_fault("garbage@frames=1"),), 0).connect(1, 0)
    out = injector.feed(frames(8), 0)
    assert numbers(out) == [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 6, 7]
    assert len({f[2] for f in out if not isinstance(f, Mark) and f[1] == ""}) == 5


def test_handshakes_are_refused_as_often_or_as_long_as_told() -> None:
    faults = Faults((parse_fault("refuse@connection=2,attempts=2,status=429"),), 0)
    assert faults.refuse(1, 0) is None
    assert [faults.refuse(2, 0) for _ in range(3)] == [429, 429, None]
    while_ = Faults((parse_fault("refuse@after=5s,for=3s"),), 0)
    assert [while_.refuse(1, t * SECOND) for t in (4, 5, 7, 8, 9)] == [None, 503, 503, None, None]
