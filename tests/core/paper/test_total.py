"""Equity of several instruments as one."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.market.paper import TOTAL, Equity
from core.paper.total import entry_of, join, quote_of
from tests.core.paper.stream import Item, kline, run, signal, told

ZERO = Decimal(0)


def row(key: str, time_us: int, equity: int, **other: int) -> Equity:
    amounts = {name: Decimal(other.get(name, 0)) for name in ("unrealised", "fees")}
    start = Decimal(other.get("start", 1000))
    realised = equity - start - amounts["unrealised"] + amounts["fees"]
    return Equity(
        key=key, time_us=time_us, seq=time_us, instance=TOTAL, strategy="", interval="1m",
        price=Decimal(1), position=ZERO, cash=Decimal(equity), equity=Decimal(equity),
        realised=realised, peak=Decimal(equity), fills=other.get("fills", 1), **amounts,
    )  # fmt: skip


def test_each_counts_with_its_last_row_until_the_next() -> None:
    one = [row("x:AUSDT", 1, 1000, fills=1), row("x:AUSDT", 3, 900, fees=5, fills=2)]
    two = [row("x:BUSDT", 2, 1100, unrealised=60), row("x:BUSDT", 3, 1300, fills=4)]
    first, second, third = join(one, two)
    assert told(first, "time_us capital equity drawdown") == (1, 1000, 1000, 0)
    assert told(second, "time_us capital equity peak") == (2, 2000, 2100, 2100)
    assert told(second, "unrealised realised") == (60, 40)
    assert told(third, "time_us equity fees fills") == (3, 2200, 5, 6)


def test_one_that_joins_brings_cash_and_no_profit() -> None:
    one = [row("x:AUSDT", 1, 1200), row("x:AUSDT", 2, 1100)]
    *_, last = join(one, [row("x:BUSDT", 3, 5000, start=5000)])
    assert told(last, "equity peak drawdown") == (6100, 6200, -100)


def test_nothing_gives_nothing() -> None:
    assert list(join()) == list(join([], [])) == []


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3000)), max_size=12))
def test_the_last_row_of_a_series_alone_is_its_own_standing(steps: list[tuple[int, int]]) -> None:
    at, rows = 0, []
    for wait, equity in steps:
        at += wait
        rows.append(row("x:AUSDT", at, equity))
    standings = list(join(rows))
    assert [s.equity for s in standings] == [r.equity for r in rows]
    highest = Decimal(1000)
    for standing in standings:
        highest = max(highest, standing.equity)
        assert standing.peak == highest
        assert standing.drawdown == standing.equity - highest


def test_an_instruments_total_joined_alone_is_what_it_said_itself() -> None:
    items: list[Item] = [kline(0, 10_000), signal(0, "long"), kline(1, 10_000, 12_000)]
    items += [signal(1, "short", "b"), kline(2, 11_000, 9_000), kline(3, 9_000, 14_000)]
    rows = [r for r in run(items) if isinstance(r, Equity) and r.instance == TOTAL]
    for own, joined in zip(rows, join(rows), strict=True):
        assert told(own, "equity peak drawdown") == told(joined, "equity peak drawdown")


def test_the_entry_is_the_fills_price() -> None:
    items: list[Item] = [kline(0, 10_000), signal(0, "short"), kline(1, 700, 900)]
    bought, *rows = run(items)
    assert {entry_of(r) for r in rows if isinstance(r, Equity)} == {bought.price}
    assert entry_of(row("x:AUSDT", 1, 5)) == 0


@pytest.mark.parametrize(
    ("symbol", "quote"),
    [("BTCUSDT", "USDT"), ("BTCTUSD", "TUSD"), ("USDCUSDT", "USDT"), ("ETHBTC", "BTC"),
     ("BTCUSDT_260626", "USDT"), ("USDT", "USDT"), ("NONSENSE", "NONSENSE")],
)  # fmt: skip
def test_quote_assets(symbol: str, quote: str) -> None:
    assert quote_of(f"binance:{symbol}") == quote
