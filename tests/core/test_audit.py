"""The audit of our klines by the exchange's own, where rows are trades and where they are not."""

from dataclasses import replace
from typing import Any

import pytest

from core.audit import KlineAudit, difference
from core.market.intervals import interval
from core.market.kline import Kline

KLINE = Kline(
    "binance:BTCUSDT", interval("1m"), 0, 59_999_999, 2, 3,
    open_units=100, high_units=110, low_units=90, close_units=105, volume_units=7,
    quote_volume_units=700, trades=3, taker_buy_volume_units=2, taker_buy_quote_volume_units=200,
    first_id=10, last_id=12,
)  # fmt: skip


def kline(key: str, **more: Any) -> Kline:  # noqa: ANN401 - a kline's fields
    return replace(KLINE, key=key, **more)


@pytest.mark.parametrize(
    ("key", "said"),
    [("binance:BTCUSDT", "trades 4!=3, last_id 13!=12"), ("binance-usdm:BTCUSDT", "")],
)
def test_trades_are_counted_where_ids_count_them(key: str, said: str) -> None:
    audit = KlineAudit()
    assert audit.ours(kline(key, trades=4, last_id=13)) == ""
    assert audit.theirs(kline(key)) == said
    assert audit.compared == 1


def test_sums_are_compared_everywhere() -> None:
    for key in ("binance:BTCUSDT", "binance-usdm:BTCUSDT"):
        audit = KlineAudit()
        audit.theirs(kline(key))
        assert audit.ours(kline(key, volume_units=8)) == "volume 0.008!=0.007"


def test_a_recount_of_our_own_compares_counts_whatever_the_market() -> None:
    key = "binance-usdm:BTCUSDT"
    assert difference(kline(key, trades=4), kline(key)) == "trades 4!=3"
