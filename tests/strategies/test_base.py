"""What the base class does for, and refuses to, a strategy."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from core.indicators.atr import Atr
from core.indicators.base import Scalar
from core.indicators.session_vwap import SessionVwap
from core.indicators.sma import Sma
from core.market.errors import StrategyError
from core.market.kline import Kline
from core.market.signal import Signal
from strategies.base import Strategy, StrategyParams

MakeKlines = Callable[..., list[Kline]]


class Counts(Strategy):
    """Says how many klines it saw."""

    state = ("seen",)

    def setup(self, params: StrategyParams) -> None:
        self.seen: Any = 0

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        self.seen += 1
        yield self.long(kline, f"kline {self.seen}", seen=self.seen, unknown=None)


def test_the_name_is_the_class_name_in_snake_case_unless_given() -> None:
    named = {
        "RSIReversal": "rsi_reversal",
        "MacdCross2": "macd_cross2",
        "A": "a",
        "OnEMA": "on_ema",
    }
    for cls, name in named.items():
        assert vars(type(cls, (Counts,), {}))["name"] == name
    assert vars(type("Other", (Counts,), {"name": "chosen"}))["name"] == "chosen"


def test_without_indicators_it_is_called_from_the_first_kline(klines: MakeKlines) -> None:
    strategy = Counts()
    said = [s for k in klines([1.0, 2.0]) for s in strategy.feed(k)]
    assert [(s.reason, s.values) for s in said] == [
        ("kline 1", (("seen", 1.0),)),
        ("kline 2", (("seen", 2.0),)),
    ]
    assert (strategy.lookback, strategy.instance) == (1, "counts")


class Sources(Strategy):
    """Uses two indicators on different sources."""

    def setup(self, params: StrategyParams) -> None:
        self.price = self.use(Sma(2))
        self.volume = self.use(Sma(3), source="volume")
        self.trades = self.use(Sma(1), source="trades")

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return [self.flat(kline, f"{self.price.value} {self.volume.value} {self.trades.value}")]


def test_each_indicator_is_fed_with_its_source_and_all_must_know(klines: MakeKlines) -> None:
    strategy = Sources()
    fed = klines([1.0, 2.0, 4.0])
    said = [s for k in fed for s in strategy.feed(k)]
    volume = sum(k.volume_units for k in fed) / 3 / 1000
    assert [s.reason for s in said] == [f"3.0 {volume} 3.0"]
    assert (strategy.lookback, strategy.convergence) == (3, 4)


class Several(Strategy):
    """Uses indicators of one number and of several."""

    def setup(self, params: StrategyParams) -> None:
        self.mean = self.use(Sma(1))
        self.atr = self.use(Atr(1))
        self.high = self.use(Sma(1), source="high")
        self.vwap = self.use(SessionVwap())

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        values = (self.mean.value, self.atr.value, self.high.value, self.vwap.value)
        return [self.flat(kline, " ".join(map(str, values)))]


def test_an_indicator_with_inputs_takes_them_from_the_kline(klines: MakeKlines) -> None:
    strategy = Several()
    fed = klines([1.0, 2.0, 4.0])
    said = [s.reason for k in fed for s in strategy.feed(k)]
    last = fed[-1]
    atr = max(last.high, 2.0) - min(last.low, 2.0)
    vwap = sum(k.quote_volume for k in fed) / sum(k.volume for k in fed)
    assert said[-1] == f"4.0 {atr} {last.high} {vwap}"
    assert (len(said), strategy.lookback) == (2, 2)


class _Read:
    """A kline that notes what is read of it."""

    def __init__(self, kline: Kline) -> None:
        self.kline = kline
        self.names: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.names.append(name)
        return getattr(self.kline, name)


def test_what_several_indicators_take_is_read_once(klines: MakeKlines) -> None:
    kline: Any = _Read(klines([1.0])[0])
    strategy = Several()
    strategy.feed(kline)
    wanted = {*Atr.inputs, *SessionVwap.inputs}
    assert sorted(kline.names) == sorted(wanted)


class Sourced(Sources):
    def setup(self, params: StrategyParams) -> None:
        self.use(Atr(2), source="close")


class _Strange(Sma):
    __slots__ = ()

    inputs = ("hihg",)


class Strange(Sources):
    def setup(self, params: StrategyParams) -> None:
        self.use(_Strange(2))


class _Open(Scalar):
    """One number, but of its own choice."""

    __slots__ = ("last",)

    name = "open"
    inputs = ("open",)
    parameters = ()
    lookback = convergence = 1

    def update(self, open: float) -> float:  # noqa: A002 - the kline's name for it
        return self._say(open)

    def peek(self, open: float) -> float:  # noqa: A002 - the kline's name for it
        return open

    def reset(self) -> None:
        self.value = self.previous = None

    def _state(self) -> tuple[float, ...]:
        return ()

    def _load(self, state: tuple[float, ...]) -> None:
        assert not state


class OnOpen(Strategy):
    """Uses it."""

    def setup(self, params: StrategyParams) -> None:
        self.open = self.use(_Open())
        self.open.reset()

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return [self.flat(kline, f"{self.open.value}")]


def test_an_indicator_may_take_one_number_of_its_own_choice(klines: MakeKlines) -> None:
    (said,) = OnOpen().feed(klines([3.0])[0])
    assert said.reason == f"{klines([3.0])[0].open}"


class Misspelt(Sources):
    def setup(self, params: StrategyParams) -> None:
        self.use(Sma(2), source="closs")  # type: ignore[arg-type]  # the point of the test


class Twice(Sources):
    def setup(self, params: StrategyParams) -> None:
        mean = self.use(Sma(2))
        self.use(mean, source="open")


class Unset(Sources):
    state = ("armed",)


class Lists(Counts):
    def setup(self, params: StrategyParams) -> None:
        self.seen = [0]


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (Misspelt, "strategy `misspelt`: klines have no `closs`\nhint: did you mean `close`?"),
        (Twice, "strategy `twice`: uses the same sma(2) twice"),
        (
            Sourced,
            "strategy `sourced`: atr(2) takes high, low, close, not a source `close`\n"
            "hint: leave the source out",
        ),
        (Strange, "strategy `strange`: klines have no `hihg`\nhint: did you mean `high`?"),
        (Unset, "strategy `unset`: keeps `armed`, which setup does not set"),
        (Lists, "strategy `lists`: keeps `seen` as a `list`\nhint: keep numbers, strings"),
    ],
)
def test_a_wrong_setup_is_refused_in_words(strategy: type[Strategy], text: str) -> None:
    with pytest.raises(StrategyError) as caught:
        strategy()
    assert str(caught.value).startswith(text)


class Forgets(Counts):
    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        self.last = kline.close
        return []


class KeepsAList(Counts):
    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        self.seen = [kline.close]
        return []


class GivesText(Counts):
    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return ["long"]  # type: ignore[list-item]  # the point of the test


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (
            Forgets,
            "sets `last` after setup, which a restart would lose\n"
            'hint: declare it in the class: state = ("seen", "last",)',
        ),
        (KeepsAList, "keeps `seen` as a `list`"),
        (GivesText, "on_kline gave a `str`\nhint: give what long, short and flat return"),
    ],
)
def test_what_a_restart_would_lose_or_nobody_understands_is_refused(
    strategy: type[Strategy], text: str, klines: MakeKlines
) -> None:
    with pytest.raises(StrategyError) as caught:
        strategy().feed(klines([1.0])[0])
    assert text in str(caught.value)


class SaysNothing(Counts):
    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return None  # type: ignore[return-value]  # what a function without a return gives


def test_returning_nothing_means_no_signal(klines: MakeKlines) -> None:
    assert SaysNothing().feed(klines([1.0])[0]) == []


def test_numpy_numbers_in_the_state_are_saved_as_plain_ones() -> None:
    strategy = Counts()
    strategy.seen = np.float64(1.5)
    kept = strategy.snapshot()[3]
    assert isinstance(kept, tuple)
    assert (kept, type(kept[0])) == ((1.5,), float)


def test_parameters_are_frozen() -> None:
    class Params(StrategyParams):
        period: int = 3

    with pytest.raises(ValueError, match="frozen"):
        Params().period = 4  # type: ignore[misc]  # the point of the test
