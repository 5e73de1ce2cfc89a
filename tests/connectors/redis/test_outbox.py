"""The outbox against a model of a server that crashes and forgets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.redis.codec import Target
from connectors.redis.outbox import Outbox

TRADE = Target("trade")
KEYS = ("a", "b")
HOLD = 3.0

steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 5)),
        st.tuples(st.just("send"), st.integers(1, 4)),
        st.tuples(st.just("lose_reply"), st.integers(1, 4)),
        st.tuples(st.just("crash"), st.integers(0, 3)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 4)),
    ),
    max_size=40,
)


class Server:
    """Has what it was told, durably only after `HOLD`; drops numbers not above its newest."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, float]]] = {key: [] for key in KEYS}

    def take(self, key: str, numbers: list[int], at: float) -> None:
        for n in numbers:
            if not self.rows[key] or n > self.rows[key][-1][0]:
                self.rows[key].append((n, at))

    def lose_power(self, at: float, forgotten: int) -> None:
        for rows in self.rows.values():
            for _ in range(forgotten):
                if rows and rows[-1][1] + HOLD > at:
                    rows.pop()


class World:
    """An outbox, its server, and what was put in."""

    def __init__(self) -> None:
        self.box, self.server, self.now = Outbox(), Server(), 0.0
        self.put: dict[str, int] = dict.fromkeys(KEYS, 0)

    def add(self, count: int) -> None:
        for key in KEYS:
            first = self.put[key] + 1
            self.box.add(key, TRADE, [str(n) for n in range(first, first + count)])
            self.put[key] += count

    def send(self, count: int, *, reply: bool = True) -> None:
        for key, items in self.box.next_calls(count, 100).items():
            self.server.take(key, [int(row) for _, row in items], self.now)
            if reply:
                self.box.taken(key, items, self.now, hold=True)
        if reply:
            self.box.forget(self.now - HOLD)

    def do(self, what: str, count: int) -> None:
        if what == "add":
            self.add(count)
        elif what == "send":
            self.send(count)
        elif what == "lose_reply":
            self.send(count, reply=False)
            self.box.resend()
        elif what == "crash":
            self.server.lose_power(self.now, count)
            self.box.resend()
        elif what == "restart":
            state, self.box = self.box.snapshot(), Outbox()
            self.box.restore(state)
        else:
            self.now += count


@settings(max_examples=200, deadline=None)
@given(steps)
def test_nothing_is_lost_doubled_or_reordered(todo: list[tuple[str, int]]) -> None:
    world = World()
    for what, count in todo:
        world.do(what, count)
        box = world.box
        assert len(box) == len(box.snapshot()) >= box.unsent >= 0
    while world.box.unsent:
        world.send(3)
    for key in KEYS:
        assert [n for n, _ in world.server.rows[key]] == list(range(1, world.put[key] + 1))
    world.now += HOLD
    world.box.forget(world.now - HOLD)
    assert len(world.box) == 0


def test_one_round_is_bounded() -> None:
    box = Outbox()
    for key in "abc":
        box.add(key, TRADE, [str(n) for n in range(10)])
    assert {key: len(items) for key, items in box.next_calls(4, 8).items()} == {"a": 4, "b": 4}
