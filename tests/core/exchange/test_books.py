"""The session's books at every moment: received = held + handed out + duplicate + rejected."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exchange.plan import Plan
from core.exchange.session import Session
from core.market.events import Frame
from core.market.trades import Trades

SHARD = "binance:shard-0"
SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Books:
    """A session whose rows are counted as they leave it."""

    def __init__(self) -> None:
        self.session = Session(Plan(symbols=SYMBOLS))
        self.handed = self.at = 0
        self.feed("open", "")

    def feed(self, kind: str, payload: str) -> None:
        self.at += 1000
        self.session.feed(Frame(SHARD, self.at, kind, 1, payload))
        self.session.requests()

    def trade(self, symbol: str, number: int, price: str = "1.5") -> None:
        data = {"e": "trade", "E": self.at, "s": symbol, "t": number, "p": price, "q": "1",
                "T": self.at, "m": True, "M": True}  # fmt: skip
        self.feed("frame", orjson.dumps({"stream": "x", "data": data}).decode())

    def command(self, **body: object) -> None:
        self.feed("command", orjson.dumps({"entry": "", **body}).decode())

    def take(self) -> None:
        items = (item for _, item in self.session.items())
        self.handed += sum(len(item) for item in items if isinstance(item, Trades))

    def balance(self) -> int:
        totals = self.session.totals().values()
        decided = sum(received for received, _, _ in totals) - self.session.held()
        return decided - self.handed - sum(again + bad for _, again, bad in totals)


def test_rows_behind_a_hole_wait_and_those_of_a_symbol_given_up_are_no_loss() -> None:
    own = Books()
    for number in (1, 2, 5, 6, 6):
        own.trade("BTCUSDT", number)
    assert (own.session.held(), own.balance()) == (4, 0)
    own.take()
    assert (own.session.held(), own.handed, own.balance()) == (2, 2, 0)
    own.trade("ETHUSDT", 1)
    own.command(unsubscribe=["BTCUSDT", "ETHUSDT"])
    assert own.session.totals()["binance:BTCUSDT"] == (5, 1, 0)
    assert own.balance() == 0  # what the tapes still said waits as well
    own.take()
    assert own.balance() == 0
    own.command(subscribe={"BTCUSDT": [2, 5]})
    own.trade("BTCUSDT", 9)
    own.take()
    assert own.session.totals()["binance:BTCUSDT"] == (6, 1, 0)
    assert own.balance() == 0


_STEP = st.one_of(
    st.tuples(st.just("trade"), st.sampled_from(SYMBOLS), st.integers(1, 12)),
    st.tuples(st.just("take"), st.just(""), st.just(0)),
    st.tuples(st.sampled_from(("leave", "join")), st.sampled_from(SYMBOLS), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_STEP, max_size=40))
def test_the_books_balance_whatever_comes(steps: list[tuple[str, str, int]]) -> None:
    own = Books()
    for what, symbol, number in steps:
        if what == "trade":
            own.trade(symbol, number, "9" * 30 if number == 7 else "1.5")
        elif what == "leave":
            own.command(unsubscribe=[symbol])
        elif what == "join":
            own.command(subscribe={symbol: [2, 5]})
        else:
            own.take()
    own.take()
    assert own.balance() == 0
