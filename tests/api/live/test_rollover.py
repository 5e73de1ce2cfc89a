from hypothesis import given
from hypothesis import strategies as st

from api.live.mailbox import Value
from api.live.rollover import PATIENCE_S, Rollover

TOPIC = "klines/A/1m"


def bar(opens_ms: int) -> Value:
    return Value(b"%d" % opens_ms, opens_ms)


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[str, int]]:
    """A stream as it is published: forming, ..., final, the next; the close comes late by any."""
    forming, closes = [], []
    order: list[tuple[str, int]] = []
    for minute in range(draw(st.integers(1, 6))):
        forming += [("forming", minute)] * draw(st.integers(0, 3))
        closes.append(("close", minute))
    while forming or closes:
        if closes and (not forming or draw(st.booleans())):
            order.append(closes.pop(0))
        else:
            order.append(forming.pop(0))
    return order


@given(lives())
def test_the_next_bar_is_not_shown_before_the_last_one_shown_has_closed(
    life: list[tuple[str, int]],
) -> None:
    rollover = Rollover()
    shown, closed = -1, -1
    for what, minute in life:
        if what == "close":
            closed = max(closed, minute)
            value = rollover.closed(TOPIC, minute)
        else:
            value = rollover.forming(TOPIC, bar(minute), now=0.0)
        if value is not None:
            assert value.opens_ms > closed, "a bar that is over"
            assert value.opens_ms >= shown
            assert value.opens_ms == shown or shown <= closed, "the last one is still open"
            shown = value.opens_ms
    assert rollover.overdue(now=0.0) == []


def test_what_waits_is_shown_when_the_close_comes() -> None:
    rollover = Rollover()
    assert rollover.forming(TOPIC, bar(1), 0.0) == bar(1)
    assert rollover.forming(TOPIC, bar(2), 0.0) is None
    assert rollover.closed(TOPIC, 1) == bar(2)


def test_a_close_that_never_comes_holds_nothing_up_for_long() -> None:
    rollover = Rollover()
    rollover.forming(TOPIC, bar(1), 0.0)
    rollover.forming(TOPIC, bar(2), 0.0)
    rollover.forming(TOPIC, bar(2), PATIENCE_S / 2)  # waits no longer for that
    assert rollover.overdue(PATIENCE_S / 2) == []
    assert rollover.overdue(PATIENCE_S) == [(TOPIC, bar(2))]
    assert rollover.forming(TOPIC, bar(2), PATIENCE_S) == bar(2)


def test_a_revision_of_an_older_kline_changes_nothing() -> None:
    rollover = Rollover()
    rollover.begin(TOPIC, shown_ms=5, closed_ms=4)
    assert rollover.closed(TOPIC, 2) is None
    assert rollover.forming(TOPIC, bar(5), 0.0) == bar(5)
