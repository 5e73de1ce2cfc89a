"""Kept klines."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.market.errors import SnapshotError
from core.market.intervals import interval
from core.market.kline import Kline
from strategies.history import History

MakeKlines = Callable[..., list[Kline]]
KEY = "binance:BTCUSDT"
UNITS = st.integers(-(2**63), 2**63 - 1)
SUMS = st.integers(0, 10**38 - 1)
ANY = st.builds(
    Kline,
    key=st.just(KEY),
    interval=st.just(interval("1M")),
    open_us=UNITS,
    close_us=UNITS,
    price_scale=st.integers(0, 9),
    quantity_scale=st.integers(0, 9),
    open_units=UNITS,
    high_units=UNITS,
    low_units=UNITS,
    close_units=UNITS,
    volume_units=SUMS,
    quote_volume_units=SUMS,
    trades=UNITS,
    taker_buy_volume_units=SUMS,
    taker_buy_quote_volume_units=SUMS,
    first_id=UNITS,
    last_id=UNITS,
    complete=st.booleans(),
    revision=st.integers(0, 2**31 - 1),
    seq=UNITS,
)


@given(kline=ANY)
@settings(max_examples=100, deadline=None)
def test_every_kline_comes_back_as_it_went_in(kline: Kline) -> None:
    history = History(KEY, interval("1M"), 3)
    history.add(kline)
    assert list(history) == [kline]
    again = History(KEY, interval("1M"), 3)
    again.restore(history.snapshot())
    assert list(again) == [kline]
    assert again.last_open_us == kline.open_us


def test_it_keeps_the_last_ones(klines: MakeKlines) -> None:
    given_klines = klines(range(1, 10))
    history = History(KEY, interval("1m"), 4)
    assert (len(history), list(history)) == (0, [])
    for kline in given_klines:
        history.add(kline)
    assert list(history) == given_klines[-4:]
    shorter = History(KEY, interval("1m"), 2)
    shorter.restore(history.snapshot())
    assert list(shorter) == given_klines[-2:]


def test_a_revision_takes_the_place_of_its_window(klines: MakeKlines) -> None:
    given_klines = klines(range(1, 6))
    history = History(KEY, interval("1m"), 3)
    for kline in given_klines:
        history.add(kline)
    revised = replace(given_klines[3], close_units=7, revision=1)
    assert history.replace(revised)
    assert list(history) == [given_klines[2], revised, given_klines[4]]
    assert not history.replace(given_klines[0])


def test_rows_of_another_layout_are_refused() -> None:
    history = History(KEY, interval("1m"), 3)
    layout, _ = history.snapshot()
    for damaged in (("kline v0", b""), (layout, b"x")):
        with pytest.raises(SnapshotError, match="kept klines"):
            history.restore(damaged)
