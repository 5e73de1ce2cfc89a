"""Consumers against a real server: at least once, in order, and never silent about what is gone."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.redis.embedded import EmbeddedServer, ensure, stop
from connectors.redis.keys import stream_key
from connectors.redis.writer import Writer
from core.market.errors import ConfigError, ServiceError
from core.market.trades import Trades
from subscribers.consumer import Batch, Consumer
from subscribers.dead import dead_entries, give_back
from subscribers.lag import groups_of
from subscribers.typed import TradeRecord

KEY, OTHER = "binance:BTCUSDT", "binance:ETHUSDT"
STREAM = stream_key(KEY, "trade")

Make = Callable[..., Consumer]
MakeTrades = Callable[..., Trades]
MakeWriter = Callable[..., Writer]


def drained(consumer: Consumer, *, ack: bool = True, quiet: float = 0.2) -> list[Batch]:
    """All that comes until nothing comes for a while."""
    found: list[Batch] = []
    while (batch := consumer.poll(quiet)) is not None:
        found.append(batch)
        if ack:
            batch.ack()
    return found


def seqs(batches: list[Batch]) -> list[int]:
    return [delivery.seq for batch in batches for delivery in batch.entries]


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.005)


def test_each_entry_comes_once_typed_and_in_order(
    consumer: Make, writer: MakeWriter, trades: MakeTrades
) -> None:
    writer().publish([trades(1, 1234)])
    one = consumer(batch=100)
    batches = drained(one)
    assert seqs(batches) == list(range(1, 1235))
    assert max(map(len, batches)) == 100
    record = batches[0].entries[0].record
    assert record == TradeRecord(
        KEY, 1, 1_723_161_600_001_500, Decimal("61837.64"), Decimal("0.02001"), "buy"
    )
    assert batches[0].entries[0].unique == (KEY, "trade", "", "", 1)
    assert [(lag.entries, lag.pending) for lag in one.lag()] == [(0, 0)]


def test_consumers_of_a_group_share_the_entries_and_groups_do_not(
    consumer: Make, server: EmbeddedServer, writer: MakeWriter, trades: MakeTrades
) -> None:
    out = writer()
    out.publish([trades(1, 100)])
    first, second = consumer("a", batch=10), consumer("b", batch=10)
    shared = [b for _ in range(5) for b in (first.poll(1.0), second.poll(1.0)) if b is not None]
    for batch in shared:
        batch.ack()
    assert sorted(seqs(shared)) == list(range(1, 101))
    with Consumer(server.url, "another", name="a") as other:
        assert seqs(drained(other)) == list(range(1, 101))


def test_what_was_not_acknowledged_comes_again_first_after_a_restart(
    consumer: Make, writer: MakeWriter, trades: MakeTrades
) -> None:
    writer().publish([trades(1, 30)])
    dies = consumer(batch=10)
    acked, lost = dies.poll(1.0), dies.poll(1.0)
    assert acked is not None
    assert lost is not None
    acked.ack()
    restarted = consumer(batch=10)
    batches = drained(restarted)
    assert seqs(batches) == list(range(11, 31))
    assert [d.deliveries for d in batches[0].entries] == [2] * 10
    assert [d.deliveries for d in batches[1].entries] == [1] * 10


def test_what_a_dead_consumer_left_is_taken_over(
    consumer: Make, writer: MakeWriter, trades: MakeTrades
) -> None:
    writer().publish([trades(1, 20)])
    dead = consumer("dead", batch=20)
    assert len(dead.poll(1.0) or ()) == 20
    heir = consumer("heir", min_idle=0.05)
    found: list[Batch] = []

    def is_all() -> bool:
        found.extend(drained(heir, quiet=0.05))
        return seqs(found) == list(range(1, 21))

    until(is_all)
    assert heir.lag()[0].pending == 0


def test_a_batch_that_is_still_worked_on_is_not_taken_over(
    consumer: Make, writer: MakeWriter, trades: MakeTrades
) -> None:
    writer().publish([trades(1, 20)])
    slow, other = consumer("slow"), consumer("other", min_idle=0.6)
    batch = slow.poll(1.0)
    assert batch is not None
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        batch.extend()
        assert other.poll(0.05) is None
    batch.ack()


def test_new_streams_are_read_from_their_first_entry(
    consumer: Make, writer: MakeWriter, trades: MakeTrades
) -> None:
    out = writer()
    out.publish([trades(1, 10)])
    one = consumer(start="new")
    assert one.poll(0.2) is None
    out.publish([trades(11, 12), trades(1, 5, OTHER)])
    found: list[Batch] = []

    def is_all() -> bool:
        found.extend(drained(one, quiet=0.1))
        return len(seqs(found)) >= 7

    until(is_all)
    by_key = Counter((d.key, d.seq) for b in found for d in b.entries)
    assert by_key == Counter([(KEY, 11), (KEY, 12), *((OTHER, n) for n in range(1, 6))])


def test_a_stream_that_came_while_no_consumer_ran_is_read_from_its_first_entry(
    consumer: Make, writer: MakeWriter, trades: MakeTrades
) -> None:
    out = writer()
    out.publish([trades(1, 10)])
    first = consumer(start="new")
    assert first.poll(0.1) is None
    out.publish([trades(1, 5, OTHER)])
    again = consumer(start="new")
    assert seqs(drained(again)) == list(range(1, 6))


def test_a_group_begins_behind_an_id(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    writer().publish([trades(1, 10)])
    rows: Any = client.xrange(STREAM)
    one = consumer(start=rows[3][0])
    assert one.lag()[0].entries == 6
    assert seqs(drained(one)) == list(range(5, 11))


def test_kinds_symbols_and_intervals_are_chosen(
    consumer: Make, writer: MakeWriter, trades: MakeTrades
) -> None:
    writer().publish([trades(1, 3), trades(4, 6, OTHER)])
    assert seqs(drained(consumer(symbols=["ethusdt"]))) == [4, 5, 6]
    with pytest.raises(ConfigError, match="there is no `trades`"):
        consumer(kinds=["trades"])


def test_trimmed_entries_are_told_with_their_number(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    out = writer()
    out.publish([trades(1, 50)])
    one = consumer(batch=20)
    first = one.poll(1.0)
    assert first is not None
    first.ack()
    client.xtrim(STREAM, maxlen=10, approximate=False)
    batches = drained(one)
    (missed,) = [m for b in batches for m in b.missed]
    assert (missed.name, missed.count) == (STREAM, 20)
    assert (missed.after.split("-")[1], missed.before.split("-")[1]) == ("20", "41")
    assert seqs(batches) == list(range(41, 51))


def test_what_was_trimmed_before_the_group_began_is_told_too(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    writer().publish([trades(1, 50)])
    client.xtrim(STREAM, maxlen=10, approximate=False)
    batches = drained(consumer())
    assert [m.count for b in batches for m in b.missed] == [40]
    assert seqs(batches) == list(range(41, 51))


def test_what_is_missing_is_told_again_if_the_consumer_dies_of_it(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    writer().publish([trades(1, 50)])
    one = consumer(batch=10)
    first = one.poll(1.0)
    assert first is not None
    first.ack()
    client.xtrim(STREAM, maxlen=10, approximate=False)
    for dies in (one, consumer(), consumer()):
        told = dies.poll(1.0)
        assert told is not None
        assert [m.count for m in told.missed] == [30]
        assert not told.entries


def test_entries_trimmed_while_they_were_held_are_told(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    writer().publish([trades(1, 30)])
    assert len(consumer(batch=20).poll(1.0) or ()) == 20
    client.xtrim(STREAM, maxlen=15, approximate=False)
    batches = drained(consumer())
    assert [m.count for b in batches for m in b.missed] == [15]
    assert seqs(batches) == list(range(16, 31))


def test_a_group_that_is_removed_is_made_again_and_nothing_is_lost(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    out = writer()
    out.publish([trades(1, 40)])
    one = consumer(batch=10)
    done, held = one.poll(1.0), one.poll(1.0)
    assert done is not None
    assert held is not None
    done.ack()
    client.xgroup_destroy(STREAM, "g")
    out.publish([trades(41, 50)])
    batches = drained(one)
    held.ack()
    assert set(range(11, 51)) <= set(seqs(batches))
    assert "made again" in caplog.text


def test_a_server_that_was_flushed_is_told_and_gone_on_with(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    writer().publish([trades(1, 40)])
    one = consumer()
    drained(one)
    client.flushall()
    writer().publish([trades(35, 60)])  # the numbers begin anew, below those that were read
    found: list[Batch] = []

    def is_all() -> bool:
        found.extend(drained(one, quiet=0.1))
        return seqs(found) == list(range(35, 61))

    until(is_all)
    assert [m.count for b in found for m in b.missed] == [None]


def test_a_handler_that_raises_is_given_the_batch_again(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, caplog: pytest.LogCaptureFixture
) -> None:
    writer().publish([trades(1, 20)])
    one = consumer(batch=10)
    seen: list[int] = []

    def handle(batch: Batch) -> None:
        seen.extend(d.seq for d in batch.entries)
        if len(seen) == 10:
            raise RuntimeError("once")
        if len(seen) == 30:
            one.stop()

    one.run(handle)
    assert seen == [*range(1, 11), *range(1, 11), *range(11, 21)]
    assert "once" in caplog.text


def test_an_entry_that_is_never_processed_is_given_up_and_takes_no_other_with_it(
    consumer: Make,
    writer: MakeWriter,
    trades: MakeTrades,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer().publish([trades(1, 20)])
    one = consumer(max_deliveries=4)
    done: list[int] = []
    failures = 0

    def handle(batch: Batch) -> None:
        nonlocal failures
        found = [d.seq for d in batch.entries]
        if 13 in found:
            failures += 1
            raise ValueError("13 is poison")
        done.extend(found)
        if len(done) == 19 and one.lag()[0].pending <= 1:
            one.stop()

    monkeypatch.setattr(one._stopping, "wait", lambda _seconds: False)  # no pauses
    guard = threading.Timer(20, one.stop)
    guard.start()
    one.run(handle)
    guard.cancel()
    again = consumer(max_deliveries=4)
    drained(again)
    assert sorted(done) == [n for n in range(1, 21) if n != 13]
    (dead,) = dead_entries(again._link)
    assert (dead.entry.fields["id"], dead.deliveries) == ("13", 5)
    assert give_back(again._link) == (1, 0)
    assert list(dead_entries(again._link)) == []
    found: list[Batch] = []
    heir = consumer("heir", min_idle=0.05)

    def is_back() -> bool:
        found.extend(drained(heir, quiet=0.05))
        return seqs(found) == [13]

    until(is_back)
    assert heir.lag()[0].pending == 0


def test_what_was_trimmed_cannot_be_given_back(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    writer().publish([trades(1, 5)])
    one = consumer()
    batch = one.poll(1.0)
    assert batch is not None
    batch.bury(batch.entries[0], "no good")
    batch.ack()
    client.xtrim(STREAM, maxlen=2, approximate=False)
    assert give_back(one._link) == (0, 1)
    assert [dead.reason for dead in dead_entries(one._link)] == ["no good"]


def test_lag_is_counted_in_entries_and_seconds(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    out = writer()
    out.publish([trades(1, 1000), trades(1, 10, OTHER)])
    one = consumer(batch=400, symbols=[KEY])
    batch = one.poll(1.0)
    assert batch is not None
    (lag,) = one.lag()
    assert (lag.entries, lag.pending, lag.consumers) == (600, 400, 1)
    assert lag.seconds == pytest.approx(0.9, abs=0.002)
    client.xtrim(STREAM, maxlen=100, approximate=False)
    assert one.lag()[0].entries == 100
    batch.ack()
    drained(one)
    (lag,) = one.lag()
    assert (lag.entries, lag.seconds, lag.pending) == (0, 0.0, 0)
    assert groups_of(one._link, [STREAM]) == ["g"]


def test_a_server_that_goes_away_is_waited_for(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, server: EmbeddedServer,
    folder: object, caplog: pytest.LogCaptureFixture, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    own = tmp_path_factory.mktemp("away")
    url = ensure(own).url
    with redis.Redis.from_url(url, decode_responses=True) as one_time:
        one_time.xadd(STREAM, {"id": "1"}, id="1-1")
        with Consumer(url, "g", name="a", min_idle=30) as one:
            held = one.poll(1.0)
            assert held is not None
            stop(own)
            assert one.poll(0.3) is None
            threading.Timer(0.5, ensure, [own]).start()
            held.ack()  # returns when it is back
            found: list[Batch] = []

            def is_back() -> bool:
                found.extend(drained(one, quiet=0.1))
                return seqs(found) == [2]

            one_time.xadd(STREAM, {"id": "2"}, id="2-2")
            until(is_back)
            assert "redis is away" in caplog.text
            assert "redis is back" in caplog.text
    stop(own)


def test_a_wrong_password_is_an_error_at_once(server: EmbeddedServer, client: redis.Redis) -> None:
    with (
        Consumer(server.url + "?username=nobody&password=x", "g") as one,
        pytest.raises(ServiceError),
    ):
        one.poll(1.0)


def test_a_consumer_without_a_name_leaves_the_group(
    consumer: Make, writer: MakeWriter, trades: MakeTrades, client: redis.Redis
) -> None:
    writer().publish([trades(1, 5)])
    passes = consumer(None)
    drained(passes)
    stays = consumer("b")
    stays.lag()
    passes.close()
    assert client.xinfo_consumers(STREAM, "g") == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "done", "done", "crash", "forget", "restart", "drop", "trim"]),
        st.integers(0, 2),
        st.integers(1, 40),
    ),
    max_size=25,
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_however_consumers_die_each_entry_is_processed_or_told_missing(
    server: EmbeddedServer,
    client: redis.Redis,
    trades: MakeTrades,
    steps: list[tuple[str, int, int]],
) -> None:
    client.flushall()
    names = [STREAM, stream_key(OTHER, "trade")]
    published, seen, missed = Counter[str](), Counter[tuple[str, int]](), 0
    trimmed = False
    live: dict[int, Consumer] = {}

    def of(n: int, amount: int) -> Consumer:
        if n not in live:
            name = f"c{n}"
            live[n] = Consumer(
                server.url, "g", name=name, batch=amount, min_idle=0.002, max_deliveries=0
            )
        return live[n]

    def take(batch: Batch | None, *, ack: bool) -> bool:
        nonlocal missed
        if batch is None:
            return False
        missed += sum(m.count or 10**9 for m in batch.missed)
        if ack:
            seen.update((d.name, d.seq) for d in batch.entries)
            batch.ack()
        return True

    def publish(n: int, amount: int) -> None:
        name = names[n % 2]
        for _ in range(amount):
            published[name] += 1
            at = published[name]
            client.xadd(name, {"id": str(at)}, id=f"{at}-{at}")

    for what, n, amount in steps:
        if what == "publish":
            publish(n, amount)
        elif what == "restart":
            gone = live.pop(n, None)
            if gone is not None:
                gone._link.close()  # as a process that is killed
        elif what == "drop" and published[names[n % 2]]:
            client.xgroup_destroy(names[n % 2], "g")
        elif what == "trim" and not trimmed:
            trimmed = True
            client.xtrim(names[n % 2], maxlen=amount, approximate=False)
        elif what == "forget":
            take(of(n, amount).poll(0.0), ack=False)
        elif what in {"done", "crash"}:
            take(of(n, amount).poll(0.0), ack=what == "done")
            if what == "crash":
                live.pop(n)._link.close()
    publish(0, 1)
    publish(1, 1)
    last = of(0, 10)
    every = {(name, n) for name in names for n in range(1, published[name] + 1)}
    end = time.monotonic() + 10

    def is_done() -> bool:
        left = [(lag.entries, lag.pending) for lag in last.lag()]
        return len(left) == 2 and not any(map(any, left))

    while take(last.poll(0.02), ack=True) or not is_done():
        assert time.monotonic() < end, (last.lag(), every - set(seen))
    assert set(seen) <= every
    assert len(every - set(seen)) <= missed
    if not trimmed:
        assert set(seen) == every
    for one in live.values():
        one.close()
