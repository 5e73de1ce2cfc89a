"""Weighted histograms and their quantiles."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from telemetry.catalogue import QUICK, Catalogue
from telemetry.histogram import OTHER, RowHistogram, Spread, quantile

BOUNDS = (1.0, 2.0, 5.0)


def test_a_batch_counts_for_all_of_its_rows() -> None:
    spread = Spread(BOUNDS)
    spread.observe(1.0, 3)
    spread.observe(1.5, 2)
    spread.observe(9.0)
    spread.observe(-4.0)
    assert spread.read() == ((4, 2, 0, 1), 15.0)


def test_it_is_exposed_as_prometheus_exposes_its_own() -> None:
    registry = CollectorRegistry()
    own = RowHistogram("x_seconds", "Of x.", "stage", BOUNDS, registry)
    own.labels("a").observe(1.5, 4)
    text = generate_latest(registry).decode()
    assert 'x_seconds_bucket{le="1.0",stage="a"} 0.0' in text
    assert 'x_seconds_bucket{le="2.0",stage="a"} 4.0' in text
    assert 'x_seconds_bucket{le="+Inf",stage="a"} 4.0' in text
    assert 'x_seconds_count{stage="a"} 4.0' in text
    assert 'x_seconds_sum{stage="a"} 6.0' in text
    with pytest.raises(ValueError, match="Duplicated"):
        RowHistogram("x_seconds", "Again.", "stage", BOUNDS, registry)


def test_labels_are_bounded() -> None:
    own = RowHistogram("x", "", "strategy", BOUNDS, most=2)
    for n in range(5):
        own.labels(f"s{n}").observe(1.0)
    assert own.read() == {"s0": (1, 0, 0, 0), "s1": (1, 0, 0, 0), OTHER: (3, 0, 0, 0)}


def test_several_threads_lose_nothing() -> None:
    spread = Spread(BOUNDS)

    def work() -> None:
        for _ in range(2000):
            spread.observe(1.5, 2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spread.read() == ((0, 16_000, 0, 0), 24_000.0)


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile((0, 0, 0, 0), BOUNDS, 0.5) is None
    assert quantile((0, 0, 0, 7), BOUNDS, 0.5) == 5.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 6.0), min_size=1, max_size=50), st.sampled_from((0.5, 0.95, 0.99)))
def test_a_quantile_is_in_the_bucket_of_the_true_one(values: list[float], q: float) -> None:
    spread = Spread(BOUNDS)
    for value in values:
        spread.observe(value)
    found = quantile(spread.read()[0], BOUNDS, q)
    assert found is not None
    rank = next(n for n in range(len(values)) if n + 1 >= q * len(values))
    true = min(sorted(values)[rank], BOUNDS[-1])
    edges = (0.0, *BOUNDS)
    at = next(n for n, bound in enumerate(BOUNDS) if true <= bound)
    assert edges[at] <= found <= edges[at + 1]


def test_a_catalogue_knows_what_it_made() -> None:
    own = Catalogue(CollectorRegistry())
    own.counter("a", "A.", ["x"])
    own.gauge("b", "B.")
    own.histogram("c_seconds", "C.", bounds=QUICK)
    own.row_histogram("d_seconds", "D.", "y")
    found = {one.name: (one.kind, one.labels) for one in own}
    assert found == {
        "a_total": ("counter", ("x",)),
        "b": ("gauge", ()),
        "c_seconds": ("histogram", ()),
        "d_seconds": ("histogram", ("y",)),
    }
    assert next(one.series for one in own) == ("a_total",)
