"""What `strategy test` finds: the built-in strategies are fine, each kind of mistake is caught."""

import random
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from core.indicators.ema import Ema
from core.indicators.sma import Sma
from core.market.errors import StrategyError
from core.market.intervals import interval
from core.market.kline import Kline
from core.market.signal import Signal
from core.market.trades import Trades
from dataflows import examine as examination
from dataflows.examine import Report, examine
from dataflows.examine_market import cut, items_of, lively, trades_of
from strategies.base import Strategy, StrategyParams
from strategies.registry import BUILT_IN, Registry
from strategies.spec import InstanceSpec
from strategies.templates import class_of, templates, written


class Fine(Strategy):
    """Says something every third kline."""

    state = ("seen",)

    def setup(self, params: StrategyParams) -> None:
        self.mean = self.use(Sma(3))
        self.seen = 0

    @property
    def convergence(self) -> int:
        return 5

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        if self.says(kline):
            yield self.long(kline, f"{self.mean.value:.9g}")

    def says(self, kline: Kline) -> bool:
        return kline.open_us // 60_000_000 % 3 == 0


class Dice(Fine):
    """Rolls dice."""

    def says(self, kline: Kline) -> bool:
        return random.random() < 0.5


class Clock(Fine):
    """Looks at a clock."""

    def says(self, kline: Kline) -> bool:
        return time.perf_counter_ns() % 3 == 0


COUNT = [0]


class Global(Fine):
    """Counts in a global."""

    def says(self, kline: Kline) -> bool:
        COUNT[0] += 1
        return COUNT[0] % 13 == 0


class Hidden(Fine):
    """Keeps a list that nobody saves."""

    def setup(self, params: StrategyParams) -> None:
        super().setup(params)
        self.closes: list[float] = []

    def says(self, kline: Kline) -> bool:
        self.closes.append(kline.close)
        return len(self.closes) > 10 and kline.close > self.closes[-10]


class Remembers(Fine):
    """Counts from its beginning on, and says that it does not matter."""

    def says(self, kline: Kline) -> bool:
        self.seen += 1
        return self.seen % 4 == 0


class Slow(Fine):
    """Needs more klines than it says."""

    def setup(self, params: StrategyParams) -> None:
        super().setup(params)
        self.slow = self.use(Ema(50))

    def says(self, kline: Kline) -> bool:
        assert self.slow.value is not None
        return round(self.slow.value * 1e6) % 2 == 0


ORACLE: dict[int, float] = {}


class Foresees(Fine):
    """Remembers of an earlier run what comes next."""

    def says(self, kline: Kline) -> bool:
        ORACLE[kline.open_us] = kline.close
        return ORACLE.get(kline.open_us + 60_000_000, 0.0) > kline.close


class Divides(Fine):
    """Cannot bear a price that stands still."""

    def says(self, kline: Kline) -> bool:
        return (kline.close - kline.open) / (kline.high - kline.low) > 0.5


class Raises(Fine):
    """Raises at once."""

    def says(self, kline: Kline) -> bool:
        raise KeyError("what")


class Batchy(Fine):
    """Looks at a batch of trades as a whole."""

    def on_trades(self, trades: Trades) -> Iterable[Signal]:
        if len(trades) > 2:
            yield self.flat(self.at(0), f"{len(trades)} trades at once")


class Bare(Fine):
    """Has a parameter that nobody explains."""

    class Params(StrategyParams):
        period: int = 3


class Silent(Fine):
    """Says nothing."""

    def says(self, kline: Kline) -> bool:
        return False


class Sluggish(Fine):
    """Takes its time."""

    def says(self, kline: Kline) -> bool:
        return sum(n * n for n in range(2000)) < 0


class Pair(Fine):
    """Looks at another symbol and at longer klines."""

    legs = ("other",)

    def setup(self, params: StrategyParams) -> None:
        super().setup(params)
        self.other = self.use(Sma(4), leg="other")
        self.far = self.use(Sma(2), leg="other", interval="5m")

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        yield self.long(kline, f"{self.mean.value:.9g} {self.other.value} {self.far.value}")


BAD: dict[type[Strategy], tuple[str, str]] = {
    Dice: ("the same twice", "a clock, dice"),
    Clock: ("the same twice", "a clock, dice"),
    Global: ("the same twice", "not its own"),
    Hidden: ("restarts", "neither an indicator nor named in `state`"),
    Remembers: ("warm-up", "override it, or keep less"),
    Slow: ("warm-up", "but its convergence is 5"),
    Divides: ("hostile markets", "ZeroDivisionError"),
    Raises: ("runs", "KeyError: 'what'"),
    Batchy: ("batches", "a batch as a whole"),
}

MILD: dict[type[Strategy], tuple[str, str]] = {
    Bare: ("parameters", "without description: period"),
    Silent: ("signals", "it said nothing"),
    Sluggish: ("speed", "us per kline"),
}


def found(kind: type[Strategy], **fields: object) -> Report:
    spec = InstanceSpec.model_validate({"name": kind.name, **fields})
    return examine(spec, Registry([kind]))


@pytest.mark.parametrize("kind", [Fine, *(s for s in BUILT_IN if s.name != "ml")])
def test_what_is_fine_passes(kind: type[Strategy]) -> None:
    report = found(kind)
    assert report.failed == ()
    assert report.signals > 20
    assert {one.verdict for one in report.findings if one.check != "speed"} == {"pass"}


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.name)
def test_a_mistake_is_found_and_explained(kind: type[Strategy]) -> None:
    check, words = BAD[kind]
    report = found(kind)
    told = {one.check: one.detail for one in report.failed}
    assert words in told.get(check, ""), report


@pytest.mark.parametrize("kind", MILD, ids=lambda kind: kind.name)
def test_what_is_no_mistake_is_only_warned_of(kind: type[Strategy]) -> None:
    check, words = MILD[kind]
    report = found(kind)
    assert report.failed == ()
    (finding,) = [one for one in report.findings if one.check == check]
    assert (finding.verdict, words in finding.detail) == ("warn", True)


def test_one_that_knows_the_future_from_elsewhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # The other checks run the same market twice, and so teach it.
    monkeypatch.setattr(examination._Examination, "_twice", lambda _: "")
    ORACLE.clear()
    found(Foresees)
    told = {one.check: one.detail for one in found(Foresees).failed}
    assert "beside what it is given" in told["no look-ahead"]


def test_several_symbols_and_longer_klines_are_made_up_too() -> None:
    report = found(Pair, symbols=["ETHUSDT"], legs={"other": "BTCUSDT"})
    assert report.failed == ()
    assert report.signals > 1000


def test_the_innermost_place_of_an_error_is_named() -> None:
    (finding,) = found(Raises).failed
    assert Path(__file__).name in finding.detail
    assert ", in says" in finding.detail


def test_recorded_klines_are_taken_instead() -> None:
    own = interval("5m")
    trades = trades_of("binance:XRPUSDT", own, lively, 3, 400)
    rows = [k for k in items_of(trades, own, [], frozenset()) if isinstance(k, Kline)]
    spec = InstanceSpec(name="fine", interval="5m", symbols=("XRPUSDT",))
    report = examine(spec, Registry([Fine]), klines=rows)
    assert report.failed == ()
    assert report.klines == len(rows) == 399
    few = examine(spec, Registry([Fine]), klines=rows[:6])
    assert "too few" in {one.check: one.detail for one in few.failed}["warm-up"]
    pair = spec.model_copy(update={"name": "pair", "interval": "1m", "legs": {"other": "BTCUSDT"}})
    with pytest.raises(StrategyError, match="made-up markets only"):
        examine(pair, Registry([Pair]), klines=rows)


def test_the_market_is_the_same_each_time_and_can_be_cut() -> None:
    own = interval("1m")
    one, two = (trades_of("binance:BTCUSDT", own, lively, 5, 50) for _ in range(2))
    assert one.rows() == two.rows()
    items = items_of(one, own, [], frozenset({"trades"}))
    single = [item for item in cut(items, 1) if isinstance(item, Trades)]
    assert {len(item) for item in single} == {1}
    assert len(single) == len(one)
    klines = [item for item in items if isinstance(item, Kline)]
    assert replace(klines[3], seq=0).trades == 6


@pytest.mark.parametrize("template", templates())
def test_every_template_is_a_strategy_that_passes(template: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(written(template, "my_own"))
    registry = Registry([])
    assert registry.load(tmp_path) == ()
    assert registry.find("my_own").__name__ == class_of("my_own") == "MyOwn"
    report = examine(InstanceSpec(name="my_own"), registry)
    assert report.failed == ()
    assert report.signals > 20
