"""Every value after every update equals an oracle's to 1e-9, on hostile and on recorded klines."""

from typing import Any

import numpy as np
import pytest
import talib

from core.indicators.registry import INDICATORS
from core.indicators.session_vwap import SessionVwap
from tests.core.indicators.oracles import ORACLES, PEERS, Oracle, largest_error, run
from tests.core.indicators.series import HOSTILE, REAL, Klines, named

RELATIVE = 1e-9

CASES = [
    pytest.param(name, oracle, given, id=f"{name}{given} {oracle.what}")
    for name, oracle in [*ORACLES.items(), *PEERS.items()]
    for given in oracle.parameters
]


def test_every_indicator_has_an_oracle() -> None:
    assert sorted(ORACLES) == sorted(INDICATORS)


@pytest.mark.parametrize("series", [*HOSTILE, *REAL])
@pytest.mark.parametrize(("name", "oracle", "given"), CASES)
def test_every_value_equals_the_oracles(
    name: str, oracle: Oracle, given: tuple[Any, ...], series: str
) -> None:
    klines = named(series)
    if klines is None:
        pytest.skip("no recorded klines here")
    if series in REAL and given != oracle.parameters[0]:
        # The usual parameters see all of it.
        klines = {field: column[:3000] for field, column in klines.items()}
    if series not in oracle.but:
        assert largest_error(oracle, name, klines, given) <= RELATIVE


@pytest.mark.parametrize("name", ["parabolic_sar", "supertrend"])
def test_the_line_is_on_the_side_its_trend_says(name: str, klines: Klines) -> None:
    line, trend = run(INDICATORS[name](), klines)[30:].T
    assert set(trend) <= {1.0, -1.0}
    if name == "parabolic_sar":
        low, high = klines["low"][30:], klines["high"][30:]
        assert (line[trend > 0] <= low[trend > 0] * (1 + 1e-14)).all()
        assert (line[trend < 0] >= high[trend < 0] * (1 - 1e-14)).all()


def test_the_price_of_a_day_is_talibs_when_all_is_traded_at_the_typical_price() -> None:
    klines = dict(HOSTILE["jumps"])
    typical = (klines["high"] + klines["low"] + klines["close"]) / 3.0
    day = slice(206, 411)  # those of the second day, seven minutes each
    klines["quote_volume"] = typical * klines["volume"]
    ours = run(SessionVwap(), klines)[day, 0]
    first = int(np.argmax(klines["volume"][day] > 0))
    theirs = talib.VWAP(*(klines[n][day] for n in ("high", "low", "close", "volume")))
    assert np.ptp(klines["open_us"][day] // 86_400_000_000) == 0
    assert np.allclose(ours[first:], theirs[first:], rtol=RELATIVE, atol=0)
