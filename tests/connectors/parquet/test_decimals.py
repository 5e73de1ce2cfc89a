from decimal import Decimal, localcontext

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.parquet.decimals import from_sums, to_decimals, to_sums, to_units
from core.market.errors import DecimalError

LIMIT = 10**18 - 1
UNITS = st.lists(st.integers(-LIMIT, LIMIT) | st.sampled_from([0, 1, -1, LIMIT, -LIMIT]))


@given(units=UNITS, scale=st.integers(0, 9))
def test_units_become_the_decimals_they_stand_for(units: list[int], scale: int) -> None:
    array = to_decimals(np.array(units, np.int64), scale)

    array.validate(full=True)
    assert array.type == pa.decimal128(18, scale)
    assert array.to_pylist() == [Decimal(u).scaleb(-scale) for u in units]


@given(units=UNITS, cut=st.integers(0, 5))
def test_decimals_become_units_again_wherever_a_batch_was_sliced(
    units: list[int], cut: int
) -> None:
    array = to_decimals(np.array(units, np.int64), 2).slice(cut)

    assert to_units(array).tolist() == units[cut:]


@given(
    values=st.lists(
        st.tuples(st.integers(-(10**37), 10**37), st.integers(0, 18)).filter(
            lambda v: abs(v[0]) * 10 ** (18 - v[1]) < 10**38
        )
    )
)
def test_sums_of_38_digits_are_exact_both_ways(values: list[tuple[int, int]]) -> None:
    array = to_sums(values)

    array.validate(full=True)
    with localcontext(prec=60):
        assert array.to_pylist() == [Decimal(u).scaleb(-s) for u, s in values]
    assert from_sums(array) == [u * 10 ** (18 - s) for u, s in values]


def test_a_sum_with_zeros_beyond_18_places_is_held() -> None:
    assert from_sums(to_sums([(1_500, 20)])) == [15]


@pytest.mark.parametrize(("units", "scale"), [(10**20, 0), (15, 19), (-(10**38), 18)])
def test_a_sum_that_38_digits_cannot_hold_is_refused(units: int, scale: int) -> None:
    with pytest.raises(DecimalError, match=f"{units}e-{scale}"):
        to_sums([(units, scale)])
