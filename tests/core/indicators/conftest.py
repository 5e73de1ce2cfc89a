"""Klines to run indicators over; see `series`."""

import pytest

from tests.core.indicators.series import HOSTILE, REAL, Klines, named


@pytest.fixture(params=[*HOSTILE, *REAL])
def klines(request: pytest.FixtureRequest) -> Klines:
    """Return each hostile table and each real one in turn."""
    found = named(request.param)
    if found is None:
        pytest.skip("no recorded klines here")
    return found
