"""The laws of a lane: nothing lost or doubled, order, limits, digests, groups, retries."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscribers.notify.bucket import Bucket
from subscribers.notify.lane import NEVER, Lane, Limits, sealed
from subscribers.notify.message import Message, from_json, summary


def message(n: int, *, grouped: bool = False, kind: str = "signal", symbol: str = "") -> Message:
    severity = "critical" if kind == "gap" else "info"
    return Message(
        f"r{n}", kind, severity, f"title {n}", f"text {n}", (f"r{n}",), n,  # type: ignore[arg-type]  # one of its texts
        symbol=symbol, grouped=grouped,
    )  # fmt: skip


class Half:
    def random(self) -> float:
        return 0.5


def lane(**limits: float) -> Lane:
    return Lane(Limits(**limits), Half())  # type: ignore[arg-type]  # some are whole numbers


def drained(own: Lane, until: float = NEVER) -> list[tuple[float, Message]]:
    found = []
    while (at := own.next_at()) <= until and at < NEVER:
        taken = own.take(at)
        assert taken is not None
        own.spend(at)
        own.delivered()
        found.append((at, taken))
    return found


def test_a_signal_leaves_at_once_and_alone() -> None:
    own = lane()
    own.offer(message(1), 5.0)
    own.offer(message(2), 5.0)
    assert drained(own) == [(5.0, message(1)), (5.0, message(2))]
    assert own.next_at() == NEVER


def test_a_storm_of_gaps_of_a_hundred_symbols_is_one_message() -> None:
    own = lane(group_s=2.0)
    for n in range(100):
        own.offer(message(n, grouped=True, kind="gap", symbol=f"S{n}"), n * 0.05)
    ((at, sent),) = drained(own)
    assert at == pytest.approx(99 * 0.05 + 2.0)
    assert (sent.kind, sent.severity, sent.title) == ("summary", "critical", "100 gaps")
    assert sent.records == tuple(f"r{n}" for n in range(100))
    lines = sent.text.splitlines()
    assert lines[0] == "100 gaps: S0 S1 S2 S3 S4 S5 S6 S7 S8 S9 and 90 more"
    assert lines[1:] == [*(f"text {n}" for n in range(5)), "… and 95 more"]


def test_events_that_never_cease_wait_no_longer_than_five_times() -> None:
    own = lane(group_s=2.0)
    for n in range(40):
        own.offer(message(n, grouped=True), n * 0.5)
    assert [(at, len(sent.records)) for at, sent in drained(own, 19.5)] == [(10.0, 40)]


def test_a_signal_does_not_overtake_the_events_before_it_nor_wait_for_them() -> None:
    own = lane(group_s=2.0)
    for n in (1, 2):
        own.offer(message(n, grouped=True), 0.0)
    own.offer(message(3), 0.5)
    own.offer(message(4, grouped=True), 0.6)
    assert [(at, sent.records) for at, sent in drained(own)] == [
        (0.0, ("r1", "r2")), (0.5, ("r3",)), (2.6, ("r4",)),
    ]  # fmt: skip


def test_what_is_over_the_limit_is_one_digest_a_minute_later() -> None:
    own = lane(per_minute=20)
    for n in range(100):
        own.offer(message(n), 7.0)
    sent = drained(own)
    assert [at for at, _ in sent] == [7.0] * 20 + [67.0]
    assert sent[-1][1].records == tuple(f"r{n}" for n in range(20, 100))
    assert sent[-1][1].title == "80 signals (over the limit of 20 a minute)"


def test_what_is_too_old_is_one_summary_and_what_is_not_follows_as_it_is() -> None:
    own = lane(max_age_s=900, group_s=2.0)
    for n in range(500):
        own.offer(message(n), 0.001 * n, age_s=3600 - n)
    own.offer(message(500), 1.0, age_s=10)
    first, second = drained(own)
    assert first[1].title == "500 signals (older than 15 minutes)"
    assert (first[0], len(first[1].records)) == (0.0, 500)
    assert second == (1.0, message(500))


def test_one_that_is_too_old_is_said_to_be() -> None:
    own = lane(max_age_s=900)
    own.offer(message(1), 0.0, age_s=901)
    ((_, sent),) = drained(own)
    assert (sent.title, sent.id) == ("1 signal (older than 15 minutes)", "r1")


def test_what_grows_old_while_the_channel_is_down_is_summed_up() -> None:
    own = lane(max_age_s=900)
    for n in range(3):
        own.offer(message(n), 0.0)
    assert own.take(0.0) == message(0)
    own.hold(1000.0)
    own.delivered()
    ((_, sent),) = drained(own)
    assert sent.records == ("r1", "r2")


def test_a_sealed_one_leaves_as_it_is() -> None:
    own = lane(per_minute=2)
    for n in range(6):
        one = message(n, grouped=True)
        own.offer(sealed(one) if n == 3 else one, 0.0, age_s=0.0)
    assert [sent.records for _, sent in drained(own)] == [("r0", "r1", "r2"), ("r3",), ("r4", "r5")]


def test_delays_double_up_to_a_cap_and_obey_the_receiver() -> None:
    own = lane(attempts=12)
    own.offer(message(1), 0.0)
    delays = []
    for _ in range(11):
        now = own.next_at()
        assert own.take(now) == message(1)
        assert not own.failed(now, again=True)
        delays.append(own.next_at() - now)
    assert delays == [1.5, 3, 6, 12, 24, 48, 96, 192, 225, 225, 225]
    now = own.next_at()
    own.take(now)
    assert own.failed(now, again=True)
    assert own.next_at() == NEVER
    own = lane()
    own.offer(message(1), 0.0)
    own.take(0.0)
    own.failed(0.0, again=True, after_s=40.0)
    assert own.next_at() == 40.0
    assert own.take(39.9) is None


def test_what_no_attempt_can_help_is_given_up_and_the_next_one_leaves() -> None:
    own = lane()
    own.offer(message(1), 0.0)
    own.offer(message(2), 0.0)
    own.take(0.0)
    assert own.failed(0.0, again=False)
    assert own.take(0.0) == message(2)


def test_what_a_worker_before_sent_counts() -> None:
    own = Lane(Limits(per_minute=3), random.Random(), [-10.0, -30.0, -20.0])
    own.offer(message(1), 0.0)
    assert own.next_at() == 30.0


def test_no_minute_sees_more_than_the_tokens() -> None:
    bucket = Bucket(3, [-70.0])
    assert bucket.ready_at() == float("-inf")
    for at in (0.0, 1.0, 2.0):
        assert bucket.ready_at() <= at
        bucket.take(at)
    assert bucket.ready_at() == 60.0


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.25, 1.0, 5.0, 61.0]),  # seconds since the one before
        st.booleans(),  # grouped
        st.sampled_from([0.0, 0.0, 100.0]),  # age
        st.sampled_from(["ok", "ok", "ok", "again", "later", "never"]),  # what becomes of a try
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 4))
def test_each_message_leaves_once_in_order_and_within_the_limit(
    plan: list[tuple[float, bool, float, str]], per_minute: int
) -> None:
    limits = Limits(per_minute=per_minute, attempts=3, group_s=1.0, max_age_s=50.0)
    own, now, tries = Lane(limits, Half()), 0.0, [one[3] for one in plan]
    attempts: list[float] = []
    ended: list[Message] = []

    def run(until: float) -> None:
        while (at := own.next_at()) <= until and at < NEVER:
            taken = own.take(max(at, 0.0))
            assert taken is not None
            attempts.append(at)
            own.spend(at)
            what = tries.pop() if tries else "ok"
            if what == "ok":
                own.delivered()
                ended.append(taken)
            elif own.failed(at, again=what != "never", after_s=7.0 if what == "later" else 0.0):
                ended.append(taken)

    for n, (gap, grouped, age, _) in enumerate(plan):
        now += gap
        run(now)
        own.offer(message(n, grouped=grouped), now, age)
    run(NEVER)
    assert [r for one in ended for r in one.records] == [f"r{n}" for n in range(len(plan))]
    assert attempts == sorted(attempts)
    for first, last in zip(attempts, attempts[per_minute:], strict=False):
        assert last - first >= 60.0
    assert len(own) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 3.0, 20.0, 60.0]), max_size=80), st.integers(1, 5))
def test_a_digest_is_made_only_where_there_is_no_token_and_then_of_all_that_wait(
    gaps: list[float], per_minute: int
) -> None:
    own, now, sent = lane(per_minute=per_minute, max_age_s=1e9), 0.0, []
    came: dict[str, float] = {}
    for n, gap in enumerate(gaps):
        now += gap
        sent += drained(own, now)
        own.offer(message(n), now)
        came[f"r{n}"] = now
    sent += drained(own)
    for n, (at, one) in enumerate(sent):
        waited = at - came[one.records[0]]
        window = [earlier for earlier, _ in sent[:n] if earlier > came[one.records[0]] - 60.0]
        assert (waited > 0) == (len(window) >= per_minute)
        left_behind = [r for r in came if came[r] < at and r not in one.records]
        done = {r for _, earlier in sent[: n + 1] for r in earlier.records}
        assert set(left_behind) <= done


@given(st.lists(st.sampled_from(["gap", "stale", "signal"]), min_size=1, max_size=40))
def test_a_summary_tells_of_all_and_is_the_same_each_time(kinds: list[str]) -> None:
    some = [message(n, kind=kind, symbol=f"S{n}") for n, kind in enumerate(kinds)]
    one = summary(some, "grouped", "")
    assert one == summary(some, "grouped", "")
    assert one.record["kinds"] == dict(Counter(kinds))
    assert one.records == tuple(f"r{n}" for n in range(len(kinds)))
    assert len(one.text) < 2000
    assert from_json(one.as_json()) == one
    ids = [summary(some[:n], "grouped", "").id for n in range(1, len(some) + 1)]
    assert all(a != b for a, b in pairwise(ids))
