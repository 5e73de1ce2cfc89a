"""Volume spikes on crafted series, and against an independent reading of the rule."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import talib

from core.market.kline import Kline
from strategies.base import Strategy
from strategies.volume_spike import VolumeSpike

MakeKlines = Callable[..., list[Kline]]
Run = Callable[[Strategy, list[Kline]], list[tuple[int, str]]]
PARAMS = {"period": 3, "factor": 2.0, "hold": 2}


def given(klines: MakeKlines, closes: list[float], volumes: list[int]) -> list[Kline]:
    rows = klines(closes)
    return [replace(k, volume_units=v) for k, v in zip(rows, volumes, strict=True)]


def test_long_at_a_spike_upward_and_flat_some_klines_later(klines: MakeKlines, said: Run) -> None:
    rows = given(klines, [1, 2, 3, 4, 5, 6, 7, 8], [10, 10, 10, 30, 10, 10, 10, 10])
    assert said(VolumeSpike(PARAMS), rows) == [(3, "long"), (5, "flat")]


def test_another_spike_holds_it_longer(klines: MakeKlines, said: Run) -> None:
    rows = given(klines, [1, 2, 3, 4, 5, 6, 7, 8], [10, 10, 10, 30, 90, 10, 10, 10])
    assert said(VolumeSpike(PARAMS), rows) == [(3, "long"), (4, "long"), (6, "flat")]


def test_a_spike_downward_ends_it_or_is_short(klines: MakeKlines, said: Run) -> None:
    rows = given(klines, [1, 2, 3, 4, 3, 2, 1, 1], [10, 10, 10, 30, 90, 10, 10, 10])
    assert said(VolumeSpike(PARAMS), rows) == [(3, "long"), (4, "flat")]
    both = VolumeSpike({**PARAMS, "short": True})
    assert said(both, rows) == [(3, "long"), (4, "short"), (6, "flat")]


def test_volume_without_a_direction_or_after_nothing_is_no_spike(
    klines: MakeKlines, said: Run
) -> None:
    still = given(klines, [1, 1, 1, 1, 1], [10, 10, 10, 30, 10])
    assert said(VolumeSpike(PARAMS), still) == []
    first = given(klines, [1, 2, 3, 4, 5], [0, 0, 0, 30, 0])
    assert said(VolumeSpike(PARAMS), first) == []


def test_the_reason_has_the_numbers(klines: MakeKlines) -> None:
    rows = given(klines, [1, 2, 3, 4], [10, 20, 30, 50])
    (signal,) = [s for strategy in [VolumeSpike(PARAMS)] for k in rows for s in strategy.feed(k)]
    assert signal.reason == "volume 2.5 times the usual, upward"
    assert dict(signal.values) == pytest.approx({"usual": 0.02, "times": 2.5})


def test_spikes_are_where_the_volume_exceeds_talibs_mean(
    klines: MakeKlines, said: Run, closes: list[float]
) -> None:
    rows = klines(closes)
    volume = np.array([k.volume for k in rows])
    mean = talib.SMA(volume, 8)
    left, expected = 0, []
    for i in range(8, len(rows)):
        ends = left == 1
        left = max(0, left - 1)
        if volume[i] > 1.7 * mean[i - 1] and rows[i].close != rows[i].open:
            up = rows[i].close > rows[i].open
            expected.append((i, "long" if up else "flat"))
            left = 5 if up else 0
        elif ends:
            expected.append((i, "flat"))
    assert said(VolumeSpike({"period": 8, "factor": 1.7, "hold": 5}), rows) == expected
    assert len(expected) > 50
