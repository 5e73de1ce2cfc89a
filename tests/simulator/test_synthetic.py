"""The market from a seed: laws that every symbol keeps, whoever looks at it and in what order."""

from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.config import SYMBOLS, SymbolSettings
from simulator.synthetic import LAG_US, SyntheticTape
from simulator.tape import SECOND_US, UNITS, Block

BEGIN = 1_767_614_400 * SECOND_US
BTC, ETH, SOL, BNB, DOGE = SYMBOLS


def tape_of(symbol: SymbolSettings, seed: int = 1, bookkeeping: float = 0.0) -> SyntheticTape:
    return SyntheticTape(symbol, seed=seed, begin_us=BEGIN, bookkeeping=bookkeeping)


def minute(tape: SyntheticTape, count: int = 1) -> list[Block]:
    return list(tape.blocks(BEGIN, BEGIN + count * 60 * SECOND_US))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), symbol=st.sampled_from(SYMBOLS))
def test_ids_times_and_grids_are_an_exchange_s(seed: int, symbol: SymbolSettings) -> None:
    tape = tape_of(symbol, seed)
    blocks = minute(tape, 2)
    ids = [i for b in blocks for i in b.ids]
    times = [t for b in blocks for t in b.times]
    events = [e for b in blocks for e in b.events]
    assert ids == list(range(symbol.first_id, symbol.first_id + len(ids)))
    assert times == sorted(times)
    assert events == sorted(events)
    assert all(0 < e - t <= LAG_US for e, t in zip(events, times, strict=True))
    assert all(b.begin_us <= t < b.end_us for b in blocks for t in b.times)
    tick, step = int(symbol.tick * UNITS), int(symbol.step * UNITS)
    assert all(p > 0 and p % tick == 0 for b in blocks for p in b.prices)
    assert all(q > 0 and q % step == 0 for b in blocks for q in b.quantities)


def test_aggregates_are_the_trades_of_one_order_at_one_price() -> None:
    tape = tape_of(BTC)
    end = BEGIN + 60 * SECOND_US
    trades = tape.trades(0, end, 10**6)
    aggregates = tape.aggregates(0, end, 10**6)
    by_id = {t.id: t for t in trades}
    assert [a.id for a in aggregates] == list(
        range(tape.first_aggregate_id, tape.first_aggregate_id + len(aggregates))
    )
    assert all(right.first_id == left.last_id + 1 for left, right in pairwise(aggregates))
    for a in aggregates:
        parts = [by_id[i] for i in range(a.first_id, a.last_id + 1)]
        assert {(t.time_us, t.price, t.buyer_is_maker) for t in parts} == {
            (a.time_us, a.price, a.buyer_is_maker)
        }
        assert sum(t.quantity for t in parts) == a.quantity


def test_most_neighbours_share_a_millisecond_and_some_orders_sweep_hundreds_of_fills() -> None:
    times = [t // 1000 for b in minute(tape_of(BTC), 20) for t in b.times]
    same = sum(a == b for a, b in pairwise(times)) / len(times)
    assert 0.5 < same < 0.85
    assert max(len(list(group)) for _, group in groupby(times)) > 50


@pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda s: s.symbol)
def test_the_rate_is_the_one_asked_for(symbol: SymbolSettings) -> None:
    minutes = 20 if symbol.rate > 1 else 2000
    tape = tape_of(symbol)
    count = tape.count_before(BEGIN + minutes * 60 * SECOND_US)
    assert count / minutes / 60 == pytest.approx(symbol.rate, rel=0.2)


def test_the_silent_symbol_has_minutes_without_a_trade() -> None:
    empty = [not len(b) for b in minute(tape_of(DOGE), 60)]
    assert 20 < sum(empty) < 60


def test_what_was_forgotten_is_made_again_the_same() -> None:
    seconds = 400
    forward, backward = tape_of(BTC), tape_of(BTC)
    expected = [forward.block(i) for i in range(seconds)]
    backward._cache._limit = 500  # a few seconds' worth
    assert [backward.block(i) for i in reversed(range(seconds))] == expected[::-1]


def test_another_seed_is_another_market() -> None:
    assert minute(tape_of(ETH, 1)) != minute(tape_of(ETH, 2))


def test_bookkeeping_trades_have_an_id_but_no_price_and_are_aggregates_of_their_own() -> None:
    tape = tape_of(SOL, bookkeeping=0.05)
    end = BEGIN + 300 * SECOND_US
    zero = [t for t in tape.trades(0, end, 10**6) if not t.price]
    invalid = [a for a in tape.aggregates(0, end, 10**6) if a.first_id == -1]
    assert len(zero) == len(invalid) > 5
    assert {(t.price, t.quantity) for t in zero} == {(0, 0)}
    assert {(a.price, a.quantity, a.last_id) for a in invalid} == {(0, 0, -1)}
    assert tape.price_before(zero[0].time_us + 1) > 0


@pytest.mark.parametrize("position", [0, 1, 977, 2500])
def test_a_position_finds_the_same_trade_as_counting_from_the_start(position: int) -> None:
    tape, end = tape_of(BNB), BEGIN + 3600 * SECOND_US
    every = tape.trades(0, end, 10**6)
    assert tape.trades(position, end, 3) == every[position : position + 3]
    assert tape.position_of(every[position].id) == position
    aggregates = tape.aggregates(0, end, 10**6)
    assert tape.aggregates(position // 3, end, 3) == aggregates[position // 3 : position // 3 + 3]
    at = every[position].time_us
    assert tape.count_before(at) == sum(t.time_us < at for t in every)
    assert tape.aggregates_before(at) == sum(a.time_us < at for a in aggregates)
