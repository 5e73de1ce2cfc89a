"""Predictions reach the instances that ask for them, and nobody else."""

from collections.abc import Callable, Iterable

import pytest

from core.market.events import StrategyErrored
from core.market.kline import Kline
from core.market.ml import Prediction
from core.market.signal import Signal
from strategies.base import Strategy
from strategies.host import StrategyHost
from strategies.params import StrategyParams
from strategies.registry import Registry
from strategies.spec import InstanceSpec

KEY = "binance:BTCUSDT"
MakeKlines = Callable[..., list[Kline]]


class Echo(Strategy):
    """Says what it was told of each kline."""

    state = ("value",)

    def setup(self, _params: StrategyParams) -> None:
        self.value: float | None = None

    def predicted(self, prediction: Prediction) -> None:
        if prediction.value == 13:
            raise ValueError("13 is unlucky")
        self.value = prediction.value

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        yield self.long(kline, "told", value=self.value)


def prediction(kline: Kline, value: float) -> Prediction:
    window = (kline.open_us, kline.close_us)
    return Prediction(kline.key, kline.interval, "up", "v", "d", *window, value)


@pytest.fixture
def host() -> StrategyHost:
    specs = (InstanceSpec(name="echo"), InstanceSpec(name="echo", instance="slow", interval="5m"))
    return StrategyHost(KEY, specs, Registry([Echo]))


def test_a_prediction_is_seen_before_its_kline_on_its_interval_only(
    host: StrategyHost, klines: MakeKlines
) -> None:
    for n, kline in enumerate(klines([1.0, 2.0, 3.0])):
        host.on_prediction(prediction(kline, n))
        (signal,) = host.on_kline(kline)
        assert isinstance(signal, Signal)
        assert signal.values == (("value", n),)
    (slow,) = host.on_kline(klines([1.0], name="5m")[0])
    assert isinstance(slow, Signal)
    assert slow.values == ()


def test_what_it_was_told_is_in_its_snapshot(host: StrategyHost, klines: MakeKlines) -> None:
    one, two = klines([1.0, 2.0])
    host.on_kline(one)
    host.on_prediction(prediction(two, 0.25))
    other = StrategyHost(KEY, (InstanceSpec(name="echo"),), Registry([Echo]))
    other.restore(host.snapshot())
    (signal,) = other.on_kline(two)
    assert isinstance(signal, Signal)
    assert signal.values == (("value", 0.25),)


def test_one_that_cannot_take_a_prediction_is_stopped_and_told(
    host: StrategyHost, klines: MakeKlines
) -> None:
    one, two = klines([1.0, 2.0])
    host.on_prediction(prediction(one, 13))
    (event,) = host.on_kline(one)
    assert isinstance(event, StrategyErrored)
    assert "13 is unlucky" in event.detail
    host.on_prediction(prediction(two, 1))
    assert host.on_kline(two) == []
