"""Files of a small market, made by the simulator, and where recorded data may be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.shutdown import STOP

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def _unstopped() -> Iterator[None]:
    STOP.clear()
    yield
    STOP.clear()


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("recorded market data is not here")
    return DATA
