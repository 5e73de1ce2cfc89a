"""Trades as tests need them, and the lake as bytes."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.market import decimals
from core.market.trades import Trades

DAY_US = 86_400_000_000
SHARED = Path(__file__).parents[4] / "shared" / "data" / "ws-spot-2024-08"

MakeTrades = Callable[..., Trades]


def make(
    rows: list[tuple[int, int, int]],
    *,
    key: str = "binance:BTCUSDT",
    first: int = 100,
    scales: tuple[int, int] = (2, 5),
    aggregate: bool = False,
    repaired: bool = False,
) -> Trades:
    """Return trades of (time_us, price, quantity) rows with ids that follow one another."""
    ids = np.arange(first, first + len(rows), dtype=np.int64)
    time_us, price, quantity = np.array(rows, np.int64).reshape(-1, 3).T
    return Trades(
        key,
        *scales,
        id=ids,
        time_us=time_us,
        price=price,
        quantity=quantity,
        buyer_is_maker=ids % 3 == 0,
        first_id=ids * 2 if aggregate else None,
        last_id=ids * 2 + 1 if aggregate else None,
        repaired=repaired,
    )


@pytest.fixture(scope="session")
def trades() -> MakeTrades:
    """Return the function that makes trades."""
    return make


def contents(root: Path) -> dict[str, bytes]:
    """Return the visible files of a lake by their path in it."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.parquet"))}


@pytest.fixture(scope="session")
def files() -> Callable[[Path], dict[str, bytes]]:
    """Return the function that reads a lake's files."""
    return contents


@pytest.fixture(scope="session")
def recorded() -> Trades:
    """Return 19,904 trades of BTCUSDT as the exchange sent them."""
    if not SHARED.exists():
        pytest.skip("the recorded data is not here")
    rows = []
    for path in sorted(SHARED.glob("*.gz")):
        with gzip.open(path, "rt") as lines:
            frames = [json.loads(line.split(" ", 1)[1]) for line in lines]
        said = [frame.get("data", {}) for frame in frames]
        rows += [tuple(d[f] for f in "tTpqm") for d in said if d.get("e") == "trade"]
    rows.sort()
    prices, quantities = ([decimals.parse(row[n]) for row in rows] for n in (2, 3))
    return Trades(
        "binance:BTCUSDT",
        2,
        5,
        id=np.array([r[0] for r in rows], np.int64),
        time_us=np.array([r[1] * 1000 for r in rows], np.int64),
        price=np.array([decimals.rescale(*p, 2) for p in prices], np.int64),
        quantity=np.array([decimals.rescale(*q, 5) for q in quantities], np.int64),
        buyer_is_maker=np.array([r[4] for r in rows], np.bool_),
    )
