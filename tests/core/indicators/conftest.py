"""Series to run indicators over: hostile ones, always, and real ones where they are present."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pyarrow.feather as feather
import pytest
from numpy.typing import NDArray

Series = NDArray[np.float64]

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
NEAR = DATA / "kl-full12" / "usdm_NEARUSDT-1m-2026-06.csv.gz"
BTC = DATA / "kl-spot-2024-08" / "BTC_USDT-1m.feather"
REAL_ROWS = 10_000


def _hostile() -> dict[str, Series]:
    dice = np.random.default_rng(20240808)
    walk = 100 * np.exp(np.cumsum(dice.normal(size=1500) * 1e-3))
    jumps = np.round(walk, 2)
    jumps[300:600] *= 1000
    jumps[700] *= 100
    jumps[900:] /= 1000
    ticks = 1e-8 * np.cumsum(dice.integers(-1, 2, 1500))
    return {
        "constant": np.full(400, 0.1),
        "constant then moving": np.concatenate([np.full(300, 61837.63), np.round(walk, 2)]),
        "ticks of 1e-8": np.round(1.2e-5 + ticks, 8),
        "jumps": jumps,
        "60,000 with noise of 1e-4": 60_000 + dice.uniform(-1e-4, 1e-4, 1500),
        "rising only": np.arange(1.0, 400.0),
        "alternating": np.tile([1.0, 2.0], 200),
    }


HOSTILE = _hostile()


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> Series:
    return HOSTILE[request.param]


@pytest.fixture(scope="session")
def near() -> Series:
    if not NEAR.exists():
        pytest.skip("no recorded klines here")
    with gzip.open(NEAR, "rt", newline="") as lines:
        rows = csv.DictReader(lines)
        return np.array([float(row["close"]) for row, _ in zip(rows, range(REAL_ROWS))])  # noqa: B905 - the first rows only


@pytest.fixture(scope="session")
def btc() -> Series:
    if not BTC.exists():
        pytest.skip("no recorded klines here")
    closes = feather.read_table(BTC, columns=["close"])["close"].to_numpy()
    return np.asarray(closes[:REAL_ROWS], dtype=np.float64)


@pytest.fixture(params=[*HOSTILE, "near", "btc"])
def series(request: pytest.FixtureRequest) -> Series:
    """Return each hostile series and each real one in turn."""
    if request.param in HOSTILE:
        return HOSTILE[request.param]
    found: Series = request.getfixturevalue(request.param)
    return found
