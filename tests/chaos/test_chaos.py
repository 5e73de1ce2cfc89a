"""A few seeds of `make chaos`, and what its judge would say of a broken flow."""

from pathlib import Path

import pytest

from tests.chaos.check import Verdict, check
from tests.chaos.run import carried_out
from tests.chaos.script import script_of


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 9])
def test_faults_and_kills_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    with carried_out(script_of(seed, disk=False), tmp_path) as left:
        verdict = check(left)
    assert verdict.good, verdict.notes
    assert verdict.trades > 10_000
    assert verdict.repaired > 0
    assert verdict.klines > 10


def test_a_script_is_a_function_of_its_seed() -> None:
    assert script_of(7) == script_of(7)
    assert len({script_of(seed) for seed in range(50)}) == 50


@pytest.mark.parametrize(
    ("found", "lost", "doubled", "different"),
    [
        ([1, 2, 3], 0, 0, 0),
        ([1, 3], 1, 0, 0),
        ([1, 2, 2, 3], 0, 1, 0),
        ([1, 2, 4], 1, 0, 1),
        ([2, 1, 3], 0, 0, 1),
    ],
)
def test_the_judge_counts(found: list[int], lost: int, doubled: int, different: int) -> None:
    verdict = Verdict(trades=3)
    verdict.compare("numbers", found, [1, 2, 3])
    assert (verdict.lost, verdict.doubled, verdict.different) == (lost, doubled, different)
    assert verdict.good is (found == [1, 2, 3])
