"""What is predicted, how it is judged, and how drift is measured."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from core.market.intervals import interval
from strategies.ml.labels import Floats, Ints, Target, change, labels
from strategies.ml.metrics import auc, edges, psi, quality, shares, spearman

MINUTE = interval("1m")
MINUTE_US = 60_000_000
spearmanr = pytest.importorskip("scipy.stats").spearmanr

Numbers = st.lists(st.integers(0, 6), min_size=3, max_size=60)


def rows(count: int) -> tuple[Ints, Floats]:
    closes = np.array([100.0 + (7 * n) % 11 for n in range(count)])
    return np.arange(count, dtype=np.int64) * MINUTE_US, closes


def test_a_label_is_the_return_over_the_horizon() -> None:
    open_us, closes = rows(20)
    found, changes = labels(Target(kind="return", horizon=3), MINUTE, open_us, closes)
    assert found[:17].tolist() == pytest.approx(np.log(closes[3:] / closes[:-3]).tolist())
    assert np.isnan(found[17:]).all()
    signs, _ = labels(Target(horizon=3), MINUTE, open_us, closes)
    assert signs[:17].tolist() == (changes[:17] > 0).astype(float).tolist()


def test_what_comes_before_a_label_or_behind_it_does_not_touch_it() -> None:
    open_us, closes = rows(30)
    target = Target(kind="return", horizon=4)
    whole, _ = labels(target, MINUTE, open_us, closes)
    for n in range(25):
        others = closes.copy()
        untouched = np.isin(np.arange(30), [n, n + 4])
        others[~untouched] *= 1.7
        assert labels(target, MINUTE, open_us, others)[0][n] == whole[n]
        known, _ = labels(target, MINUTE, open_us[: n + 4], closes[: n + 4])
        assert np.isnan(known[n])  # its end has not come yet


def test_a_missing_kline_leaves_rows_without_label_instead_of_a_longer_horizon() -> None:
    open_us, closes = rows(10)
    there = np.arange(10) != 5
    found, _ = labels(Target(horizon=2), MINUTE, open_us[there], closes[there])
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 7, 8]


def test_returns_within_the_band_are_neither() -> None:
    target = Target(band=0.01)
    assert [target.label(x) for x in (0.02, 0.01, -0.01, -0.011)] == [1.0, None, None, 0.0]
    assert change(100.0, 110.0) == log(1.1)
    assert change(0.0, 1.0) is None


def test_a_month_ends_where_the_calendar_says() -> None:
    month = interval("1M")
    january = month.open_of(1_735_689_600_000_000)
    assert Target(horizon=2).ends(january, month) - january == (31 + 28) * 86_400_000_000


@settings(max_examples=60, deadline=None)
@given(said=Numbers, dice=st.integers(0, 2**20))
def test_areas_and_scores_are_scikit_learns(said: list[int], dice: int) -> None:
    truth = np.array([(dice >> (n % 20)) & 1 for n in range(len(said))], np.float64)
    numbers = np.array(said) / 6
    ours = auc(truth, numbers)
    if 0 < truth.sum() < len(truth):
        assert ours == pytest.approx(theirs.roc_auc_score(truth, numbers))
    else:
        assert ours is None
    found = quality(Target(), truth, truth - 0.5, numbers)
    assert found["brier"] == pytest.approx(theirs.brier_score_loss(truth, numbers, pos_label=1))
    assert found["accuracy"] == pytest.approx(((numbers > 0.5) == (truth > 0.5)).mean())


@settings(max_examples=60, deadline=None)
@given(one=Numbers, shift=st.integers(1, 5))
def test_the_rank_correlation_is_pearsons_of_ranks(one: list[int], shift: int) -> None:
    a = np.array(one, np.float64)
    b = np.roll(a, shift) + np.arange(len(a)) % 3
    ours = spearman(a, b)
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert ours == pytest.approx(spearmanr(a, b).statistic)
    else:
        assert ours is None


def test_drift_is_small_for_like_rows_and_great_for_others() -> None:
    dice = np.random.default_rng(3)
    inner = edges(dice.normal(size=5000))
    counts = [np.bincount(np.searchsorted(inner, dice.normal(m, 1, 500)), minlength=10).tolist()
              for m in (0.0, 1.0)]  # fmt: skip
    expected = shares([500] * 10)
    assert psi(expected, counts[0]) < 0.05
    assert psi(expected, counts[1]) > 0.5
    assert edges(np.zeros(100)) == [0.0]
    assert psi([0.5, 0.5], [0, 0]) > 0.25
    assert psi([0.2, 0.8], [5, 5]) == pytest.approx(0.3 * log(0.5 / 0.2) - 0.3 * log(0.5 / 0.8))
