"""Blocks of lines: exact whatever the numbers, and one bad line stays one bad line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.archive import opening, refusals, trades
from connectors.archive.layout import Layout
from connectors.archive.names import detect
from connectors.archive.opening import Block, blocks
from connectors.archive.table import Parser, reduce, refine
from connectors.archive.trades import Scale, read_trades
from core.market.errors import FileError
from core.market.events import Quarantined
from core.market.trades import Trades

Write = Callable[..., Path]
NAME = "BTCUSDT-trades-2025-01-31.csv"
DAY = 1_738_281_600_000
LAYOUT = Layout(6, {"id": 0, "price": 1, "quantity": 2, "time": 4, "maker": 5}, expected="6 to 7")


def line(n: int, price: str = "1", quantity: str = "2") -> str:
    return f"{n},{price},{quantity},0,{DAY + n},true"


def block(lines: list[str]) -> Block:
    return Block("".join(f"{text}\n" for text in lines).encode(), 1, len(lines))


def read(path: Path) -> tuple[list[tuple[int, str, str]], list[Quarantined]]:
    items = list(read_trades(detect(path)))
    found = [r for item in items if isinstance(item, Trades) for r in item.rows()]
    return [(r[0], r[2], r[3]) for r in found], [i for i in items if isinstance(i, Quarantined)]


garbage = st.sampled_from(
    ["x", "1,2,3", '{"code":-1}', "9,NaN,1,0,1738281600000,true", "9,-1,1,0,1738281600000,true",
     "9,1,1,0,17,true", "9,1,1,0,1738281600000,perhaps", ",,,,,", "9,1e99,1,0,1738281600000,true",
     "9,1,\x00,0,1738281600000,true", '"9","1","1","0","1738281600000","true"']
)  # fmt: skip
numbers = st.one_of(
    st.decimals(0, 10**9, places=8).map(lambda d: format(d, "f")),
    st.integers(0, 10**17).map(str),
    st.sampled_from(["0.000000001", "1e-05", "2.5E3", "12345678901.5", ".5", "7."]),
)


@given(
    prices=st.lists(numbers, min_size=1, max_size=8),
    bad=st.lists(garbage, max_size=3),
    data=st.data(),
)
def test_bad_lines_change_nothing_about_the_good_ones(
    prices: list[str], bad: list[str], data: st.DataObject
) -> None:
    lines = [line(n, price) for n, price in enumerate(prices)]
    whole, none = Parser(LAYOUT).parse(block(lines))
    assert not none
    for text in bad:
        lines.insert(data.draw(st.integers(0, len(lines))), text)
    table, found = Parser(LAYOUT).parse(block(lines))
    assert [number for number, _, _ in found] == [
        n for n, text in enumerate(lines, start=1) if text in bad
    ]
    finer = 10 ** (9 - whole.places), 10 ** (9 - table.places)
    one = refine(whole.columns["price"], finer[0]).tolist()
    assert one == refine(table.columns["price"], finer[1]).tolist()


@given(st.lists(st.integers(0, 10**30), min_size=1, max_size=6), st.integers(0, 12))
def test_the_coarsest_unit_holds_every_number(units: list[int], places: int) -> None:
    column = np.array(units, object)
    (reduced,), left = reduce([column], places)
    assert [int(u) * 10 ** (places - left) for u in reduced] == units
    assert left == 0 or any(int(u) % 10 for u in reduced)


def test_quantities_beyond_64_bits_at_eight_places_are_exact(write: Write) -> None:
    # Tokens of little worth trade in tens of billions.
    found, bad = read(write(NAME, line(1, quantity="123456789012.50"), line(2, "0.00000001")))
    assert found == [(1, "1", "123456789012.5"), (2, "0.00000001", "2")]
    assert not bad


def test_a_row_that_needs_more_than_18_digits_beside_the_others_is_named(write: Write) -> None:
    found, (bad,) = read(write(NAME, line(1, "123456789012345678"), line(2, "0.5")))
    assert found == [(2, "0.5", "2")]
    assert "more than 18 digits" in bad.reason
    assert bad.source == f"{NAME}:1"


def test_a_scale_never_grows_past_the_digits_of_an_earlier_row() -> None:
    scale = Scale()
    first, bad = scale.fit(np.array([10**17]), 0)
    assert not bad.any()
    units, bad = scale.fit(np.array([5, 50, 500]), 2)  # 0.05, 0.5, 5
    assert bad.tolist() == [True, True, False]
    assert (scale.places, first.tolist(), int(units[2])) == (0, [10**17], 5)


def test_a_later_row_must_fit_at_the_scale_that_earlier_ones_need() -> None:
    scale = Scale()
    scale.fit(np.array([5]), 1)  # 0.5
    units, bad = scale.fit(np.array([10**17, 7]), 0)
    assert bad.tolist() == [True, False]
    assert int(units[1]) == 70


def test_blank_lines_alone_do_not_move_line_numbers(write: Write) -> None:
    found, (bad,) = read(write(NAME, line(1), "", "", line(-4), line(2)))
    assert [row[0] for row in found] == [1, 2]
    assert bad.source == f"{NAME}:4"


def test_so_many_bad_lines_are_named_and_the_rest_are_a_number(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "LIMIT", 3)
    found, bad = read(write(NAME, line(1), *["x"] * 10, line(2)))
    assert len(found) == 2
    assert [item.source.rpartition(":")[2] for item in bad] == ["2", "3", "4", "11"]
    assert "7 more lines" in bad[-1].reason
    assert [item.seq for item in bad] == sorted({item.seq for item in bad})


@given(st.lists(st.sampled_from(["a", "bb", "", "c" * 40]), max_size=30), st.integers(1, 50))
def test_blocks_are_whole_lines_with_their_numbers(lines: list[str], size: int) -> None:
    parts = "\n".join(lines).encode()
    whole, rest = opening._whole_lines([parts[:size], parts[size:]], end=False)
    assert whole + b"".join(rest) == parts
    assert not whole or whole.endswith(b"\n")
    assert b"\n" not in b"".join(rest)


def test_a_file_in_many_blocks_is_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_READ_BYTES", 64)
    path = write(f"{NAME}.gz", *(line(n) for n in range(500)))
    found = list(blocks(path, size=100))
    assert len(found) > 50
    at = 1
    for one in found:
        assert (one.first_line, one.data.count(b"\n")) == (at, one.count)
        at = one.next_line
    assert at == 501


def test_rows_of_a_long_file_are_sorted_within_windows(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trades, "WINDOW_ROWS", 100)
    monkeypatch.setattr(blocks, "__defaults__", (None, 1 << 10))
    order = [n ^ 31 for n in range(1024)]  # each at most 31 rows from its place
    found, _ = read(write(NAME, *(line(n) for n in order)))
    assert [row[0] for row in found] == list(range(1024))


def test_what_is_no_text_in_lines_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_LINE_BYTES", 1000)
    path = tmp_path / NAME
    path.write_bytes(b"0" * 1_000_000)
    with pytest.raises(FileError, match="no text in lines"):
        list(blocks(path, size=100))


@pytest.mark.parametrize("ending", [".zip", ".csv.gz"])
def test_what_is_no_packed_file_is_refused_or_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"BTCUSDT-trades-2025-01-31{ending}"
    path.write_bytes(b"this is not packed")
    if ending == ".zip":
        with pytest.raises(FileError, match="no whole zip file"):
            detect(path)
    else:
        (said,) = read_trades(detect(path))
        assert isinstance(said, Quarantined)
        assert "cut off or damaged" in said.reason
