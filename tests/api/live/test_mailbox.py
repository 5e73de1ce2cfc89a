import orjson
from hypothesis import given
from hypothesis import strategies as st

from api.live import frames
from api.live.mailbox import TAPE, Mailbox, Path, Value

topics = st.sampled_from(["klines/A/1m", "klines/B/1m"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("forming"), topics, st.integers(0, 5)),
        st.tuples(st.just("close"), topics, st.integers(0, 5)),
        st.tuples(st.just("ticker"), st.sampled_from(["x", "y"]), st.integers(0, 99)),
        st.tuples(st.just("trades"), topics, st.integers(1, 120)),
        st.tuples(st.just("drain"), st.booleans(), st.just(0)),
    ),
    max_size=60,
)


@given(steps)
def test_the_newest_of_each_value_comes_and_no_bar_that_is_over(
    steps: list[tuple[str, str, int]],
) -> None:
    box = Mailbox()
    expected: dict[Path, Value] = {}
    for n, (what, whose, number) in enumerate(steps):
        value = Value(b"%d" % n, number if what == "forming" else -1)
        if what == "forming":
            box.put((whose,), value)
            expected[whose,] = value
        elif what == "close":
            box.close(whose, number)
            if (whose,) in expected and expected[whose,].opens_ms <= number:
                del expected[whose,]
        elif what == "ticker":
            box.put(("ticker", whose), value)
            expected["ticker", whose] = value
        elif what == "trades":
            box.trade(whose, [b"1"] * min(number, TAPE), number)
        else:
            klines = bool(whose)
            values, _ = box.drain(klines=klines)
            due = {p: v for p, v in expected.items() if klines or v.opens_ms < 0}
            assert values == due
            expected = {p: v for p, v in expected.items() if p not in due}
        assert len(box) <= 4 + 2 * TAPE
    assert box.drain()[0] == expected


@given(st.lists(st.one_of(st.integers(1, 130), st.none()), max_size=40))
def test_of_trades_the_last_come_and_the_others_are_counted(arrivals: list[int | None]) -> None:
    box = Mailbox()
    came, shown, skipped, first = 0, 0, 0, 0
    for count in [*arrivals, None]:
        if count is not None:
            newest = range(came + max(0, count - TAPE), came + count)
            box.trade("trades/A", [orjson.dumps(n) for n in newest], count)
            came += count
            continue
        _, tapes = box.drain()
        told = orjson.loads(frames.frame(1, 0, None, tapes=tapes))["tape"]
        if came == first:
            assert told == {}
            continue
        tape = told["trades/A"]
        assert tape["trades"] == list(range(max(first, came - len(tape["trades"])), came))
        assert len(tape["trades"]) <= TAPE
        assert tape["total"] == came
        shown, skipped, first = shown + len(tape["trades"]), skipped + tape["skipped"], came
        assert shown + skipped == came


def test_what_waits_is_bounded_whatever_there_is_to_see() -> None:
    box = Mailbox()
    for n in range(25_000):
        box.put(("ticker", str(n)), Value(b"1"))
    values, _ = box.drain()
    assert len(values) == 20_000
    assert ("ticker", "24999") in values


def test_topics_that_are_given_up_leave_nothing() -> None:
    box = Mailbox()
    box.put(("klines/A/1m",), Value(b"1", 5))
    box.put(("ticker", "A"), Value(b"2"))
    box.trade("trades/A", [b"1"], 1)
    box.trade("trades/B", [b"1"], 1)
    box.keep({("ticker", "A")}, {"trades/B"})
    values, tapes = box.drain()
    assert (set(values), set(tapes)) == ({("ticker", "A")}, {"trades/B"})


def test_a_frame_is_put_together_by_topic_key_and_instance() -> None:
    values = {
        ("klines/A/1m",): Value(b'{"close":"1.10"}', 0),
        ("ticker", "binance:A"): Value(b'{"price":"1"}'),
        ("equity", "binance:A", "rsi"): Value(b'{"equity":"5"}'),
        ("equity", "binance:A", "*"): Value(b'{"equity":"6"}'),
    }
    told = orjson.loads(frames.frame(7, 8, "1-2", values=values, reset=True))
    assert told == {
        "n": 7,
        "time_ms": 8,
        "cursor": "1-2",
        "reset": True,
        "events": [],
        "tape": {},
        "latest": {
            "klines/A/1m": {"close": "1.10"},
            "ticker": {"binance:A": {"price": "1"}},
            "equity": {"binance:A": {"rsi": {"equity": "5"}, "*": {"equity": "6"}}},
        },
    }
