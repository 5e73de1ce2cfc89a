"""docs/reference/indicators.md against the code."""

import re
from typing import Any

from bench.indicators import CASES, indicators
from core.indicators.registry import INDICATORS
from tests.core.indicators.oracles import ORACLES
from tools.indicators import PAGE, drawn, reference, shown

TEXT = PAGE.read_text("utf-8")


def test_the_table_is_that_of_the_code() -> None:
    assert drawn(TEXT, "indicators", reference()) == TEXT, "run `python -m tools.indicators`"
    for name, kind in INDICATORS.items():
        assert f"| `{name}` `{shown(kind)[0]}` |" in TEXT


def test_every_indicator_was_measured_and_none_is_off_by_more_than_claimed() -> None:
    block = TEXT.partition("<!-- measured -->")[2]
    found = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", block, re.MULTILINE)
    assert [name for name, *_ in found] == sorted(INDICATORS)
    for name, oracle, difference, speed in found:
        assert oracle == ORACLES[name].what
        assert float(difference) <= 1e-9
        assert float(speed) > 0
    assert re.search(r"^Measured 20\d\d-\d\d-\d\d on .*, \d+ cores, Python 3\.", block.strip())


def test_every_indicator_is_in_the_bench() -> None:
    assert sorted(CASES) == sorted(INDICATORS)


def test_the_example_runs() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(compile(block, "indicators.md", "exec"), {})


def test_what_is_claimed_of_quiet_markets_holds() -> None:
    (names,) = re.findall(r"has the indicator: 0 for (.*?)\. Diff", TEXT, re.DOTALL)
    still = {"open_us": 0.0, "high": 7.0, "low": 7.0, "close": 7.0, "volume": 0.0}
    for name in re.findall(r"`(\w+)`", names):
        made = shown(INDICATORS[name])[1]
        for _ in range(100):
            value: Any = made.update(*(still[field] for field in made.inputs or ("close",)))
        assert set(value if made.parts else (value,)) == {0.0}, name


def test_a_row_of_the_bench_tells_of_the_peers_in_the_same_run() -> None:
    (row,) = indicators(["rsi"])
    assert (row.name, row.budget, row.at_most) == ("Rsi(14) update", 1.0, True)
    assert re.fullmatch(
        r"talipp [\d.]+ us: [\d.]+ times \w+er; TA-Lib [\d.]+ us in batch", row.against
    )
