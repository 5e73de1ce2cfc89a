"""What strategies may look at beside final klines of their own interval, and how it is aligned."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.indicators.ema import Ema
from core.indicators.sma import Sma
from core.market.errors import StrategyError
from core.market.events import Event, Gap, StrategyErrored
from core.market.intervals import MINUTE_US, interval
from core.market.kline import Kline, Status
from core.market.signal import Signal
from core.market.trades import Trades
from strategies.base import Strategy, StrategyParams
from strategies.history import in_order
from strategies.host import StrategyHost
from strategies.registry import Registry
from strategies.spec import InstanceSpec, Wanted

MakeKlines = Callable[..., list[Kline]]
KEY = "binance:BTCUSDT"

drawn = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Trend(Strategy):
    """Speaks of every kline, with what it knows of the longer ones."""

    def setup(self, params: StrategyParams) -> None:
        self.near = self.use(Sma(3))
        self.far = self.use(Ema(4), interval="5m")

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        yield self.long(kline, f"{self.near.value:.9f} {self.far.value:.9f}")


class Downward(Strategy):
    """Looks at klines that are shorter than its own."""

    def setup(self, params: StrategyParams) -> None:
        self.use(Sma(3), interval="1m")

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return []


class Large(Strategy):
    """Long at each trade of more than 100 in all that came since the last one."""

    state = ("sum",)

    def setup(self, params: StrategyParams) -> None:
        self.sum = 0
        self.mean = self.keep(Ema(5))

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return []

    def on_trades(self, trades: Trades) -> Iterable[Signal]:
        for row, (quantity, price) in enumerate(
            zip(trades.quantity.tolist(), trades.price.tolist(), strict=True)
        ):
            self.sum += quantity
            self.mean.update(float(price))
            if price == 666:
                raise RuntimeError("unlucky")
            if self.sum > 100:
                yield self.long(self.at(row), f"{self.sum}", mean=self.mean.value)
                self.sum = 0


class Peeks(Strategy):
    """Says what its mean would be."""

    def setup(self, params: StrategyParams) -> None:
        self.mean = self.use(Sma(3))

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return []

    def on_forming(self, kline: Kline) -> Iterable[Signal]:
        yield self.flat(kline, f"{self.mean.peek(kline.close)}")


class Careful(Strategy):
    """Flat when data is missing."""

    def setup(self, params: StrategyParams) -> None:
        self.mean = self.use(Sma(2))

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        return []

    def on_quality(self, event: Event, kline: Kline) -> Iterable[Signal]:
        if isinstance(event, Gap):
            yield self.flat(kline, f"trades {event.first_id} to {event.last_id} are missing")


REGISTRY = Registry([Trend, Downward, Large, Peeks, Careful])


def spec(name: str, **more: Any) -> InstanceSpec:  # noqa: ANN401 - fields of the model
    return InstanceSpec.model_validate({"name": name, **more})


def host(*specs: InstanceSpec) -> StrategyHost:
    return StrategyHost(KEY, specs, REGISTRY)


def again(of: StrategyHost, *specs: InstanceSpec) -> StrategyHost:
    found = host(*specs)
    found.restore(pickle.loads(pickle.dumps(of.snapshot())))
    return found


def both(klines: MakeKlines, closes: list[float]) -> list[Kline]:
    """1m and 5m klines of the same market, as the flow gives them."""
    small = klines(closes)
    return list(in_order([klines(closes[4::5], name="5m"), small]))


def reasons(said: Iterable[object]) -> list[tuple[int, str]]:
    return [(s.open_us, s.reason) for s in said if isinstance(s, Signal)]


def run(of: StrategyHost, given_klines: Iterable[Kline]) -> list[object]:
    return [said for kline in given_klines for said in of.on_kline(kline)]


def test_a_longer_kline_that_ends_together_with_its_own_is_in_it_before(
    klines: MakeKlines, walk: list[float]
) -> None:
    closes = walk[:60]
    near, far = Sma(3), Ema(4)
    expected = []
    for i, close in enumerate(closes):
        if i % 5 == 4:
            far.update(close)
        near.update(close)
        if far.value is not None and near.value is not None:
            expected.append((i * MINUTE_US, f"{near.value:.9f} {far.value:.9f}"))
    assert reasons(run(host(spec("trend")), both(klines, closes))) == expected
    assert expected[0][0] == 19 * MINUTE_US  # when the fourth 5m kline ends


@given(at=st.integers(0, 480), restart=st.booleans(), known=st.booleans())
@drawn
def test_one_with_longer_klines_can_be_added_at_any_time(
    klines: MakeKlines, walk: list[float], at: int, restart: bool, known: bool
) -> None:
    closes = walk[:600]
    rows = both(klines, closes)
    seam_us = at * MINUTE_US
    before = [k for k in rows if k.close_us < seam_us]
    expected = [s for s in reasons(run(host(spec("trend")), rows)) if s[0] >= seam_us]
    other = spec("trend", instance="other", params={})
    added = host(other) if known else host()
    run(added, before)
    fetched = [k for k in before if k.open_us >= seam_us - 400 * MINUTE_US]
    added.want(Wanted(command="c", spec=spec("trend")), fetched, seam_us)
    if restart:
        added = again(added, *([other] if known else []))
        assert added.warmed == ()
    after = [s for s in run(added, rows[len(before) :]) if isinstance(s, Signal)]
    assert reasons(s for s in after if s.instance == "trend") == expected


def test_klines_that_are_shorter_or_its_own_are_refused() -> None:
    for own in ("1m", "5m"):
        with pytest.raises(StrategyError, match="looks at klines of 1m, which must be longer"):
            host(spec("downward", interval=own))


def test_an_interval_that_does_not_exist_is_refused_in_words() -> None:
    class Odd(Strategy):
        """Looks at klines that nobody has."""

        def setup(self, params: StrategyParams) -> None:
            self.use(Sma(3), interval="7m")

        def on_kline(self, kline: Kline) -> Iterable[Signal]:
            return []

    with pytest.raises(StrategyError, match="7m"):
        Odd()


# ---- trades ----


def trades_of(rows: list[tuple[int, int, int]], first_id: int = 0) -> Trades:
    """Rows of (time_us, price, quantity)."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Trades(
        key=KEY,
        price_scale=0,
        quantity_scale=0,
        id=np.arange(first_id, first_id + len(rows), dtype=np.int64),
        time_us=columns[:, 0],
        price=columns[:, 1],
        quantity=columns[:, 2],
        buyer_is_maker=np.zeros(len(rows), dtype=np.bool_),
    )


def pieces(rows: Trades, cuts: list[int]) -> Iterator[Trades]:
    edges = [0, *sorted(c % (len(rows) + 1) for c in cuts), len(rows)]
    for a, b in pairwise(edges):
        if b > a:
            yield rows.take(slice(a, b))


ROWS = st.lists(st.integers(1, 70), min_size=1, max_size=60)


@given(quantities=ROWS, cuts=st.lists(st.integers(0, 100)), bad=st.integers(-1, 59))
@drawn
def test_what_is_said_to_trades_does_not_depend_on_how_they_are_batched(
    klines: MakeKlines, quantities: list[int], cuts: list[int], bad: int
) -> None:
    rows = trades_of([(n, 666 if n == bad else 10 + n, q) for n, q in enumerate(quantities)])
    first = klines([5.0])

    def said(batches: Iterable[Trades], *, restart: bool) -> list[object]:
        hosted = host(spec("large"))
        out: list[object] = [*run(hosted, first)]
        for batch in batches:
            out += [s for s in hosted.on_trades(batch) if not isinstance(s, Trades)]
            hosted = again(hosted, spec("large")) if restart else hosted
        return [*out, *run(hosted, klines([5.0], first=1))]

    whole = said([rows], restart=False)
    assert said(pieces(rows, cuts), restart=False) == whole
    assert said(pieces(rows, cuts), restart=True) == whole
    told = [s for s in whole if isinstance(s, StrategyErrored)]
    assert len(told) == (0 <= bad < len(quantities))


def test_a_signal_stands_behind_its_trade_and_has_its_time_and_price(klines: MakeKlines) -> None:
    hosted = host(spec("large", interval="5m"))
    rows = trades_of([(70_000_000, 7, 60), (70_000_001, 8, 50), (70_000_002, 9, 1)], first_id=5)
    before, signal, after = hosted.on_trades(rows)
    assert isinstance(before, Trades)
    assert isinstance(signal, Signal)
    assert isinstance(after, Trades)
    assert (before.id.tolist(), after.id.tolist()) == ([5, 6], [7])
    assert (signal.open_us, signal.close_us, signal.price) == (0, 70_000_001, "8")
    assert (str(signal.interval), signal.reason) == ("5m", "110")
    assert signal.values == ()  # its mean has no value yet


def test_a_signal_that_is_at_no_trade_stops_the_strategy(klines: MakeKlines) -> None:
    class Lost(Large):
        """Speaks of a kline when asked about trades."""

        def on_kline(self, kline: Kline) -> Iterable[Signal]:
            object.__setattr__(self, "seen", kline)
            return []

        def on_trades(self, trades: Trades) -> Iterable[Signal]:
            yield self.long(self.seen, "then")  # type: ignore[attr-defined]  # set above

    hosted = StrategyHost(KEY, [spec("lost")], Registry([Lost]))
    run(hosted, klines([5.0]))
    hosted.on_trades(trades_of([(60_000_001, 5, 1)]))
    (told,) = run(hosted, klines([5.0], first=1))
    assert isinstance(told, StrategyErrored)
    assert "self.long(self.at(row), reason)" in told.detail


# ---- forming klines, and the quality of data ----


def test_a_forming_kline_is_shown_once_there_are_values_and_changes_nothing(
    klines: MakeKlines,
) -> None:
    rows = klines([1.0, 2.0, 3.0, 9.0])
    forming = replace(rows[3], status=Status.FORMING)
    hosted = host(spec("peeks"))
    run(hosted, rows[:2])
    assert hosted.on_forming(forming, 180_000_001) == []
    run(hosted, rows[2:3])
    before = hosted.snapshot()
    (signal,) = hosted.on_forming(forming, 183_000_000)
    assert isinstance(signal, Signal)
    assert signal.reason == str((2 + 3 + 9) / 3)
    assert (signal.open_us, signal.close_us) == (rows[3].open_us, 183_000_000)
    (again_,) = hosted.on_forming(forming, 183_000_000)
    assert isinstance(again_, Signal)
    assert (again_.reason, again_.seq) == (signal.reason, signal.seq + 1)
    assert hosted.snapshot()[4] == before[4]  # the kept klines


def test_an_event_about_the_data_is_told_with_the_last_kline(klines: MakeKlines) -> None:
    rows = klines([1.0, 2.0])
    gap = Gap(KEY, 125_000_000, 1, 7, 9, "not there")
    hosted = host(spec("careful"))
    assert hosted.on_event(gap) == []
    run(hosted, rows)
    (signal,) = hosted.on_event(gap)
    assert isinstance(signal, Signal)
    assert (signal.open_us, signal.price) == (rows[1].open_us, "2")
    assert signal.reason == "trades 7 to 9 are missing"
    assert signal.seq >> 20 == 125_000


def test_the_registry_knows_what_is_wanted() -> None:
    assert REGISTRY.wants == {"trades", "forming", "quality"}
    assert Registry([Trend]).wants == frozenset()
    assert interval("5m").holds(interval("1m"))
