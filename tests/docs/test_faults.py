"""docs/guides/simulate-faults.md against the code."""

import re
from pathlib import Path

import pytest

from simulator.faults import FAULTS, parse_fault
from simulator.faults.catalogue import options
from simulator.scenarios import scenario
from tools.faults import PAGE, drawn

TEXT = PAGE.read_text("utf-8")


def test_the_table_of_faults_is_that_of_the_code() -> None:
    assert drawn(TEXT) == TEXT, "run `python -m tools.faults`"
    assert all(f"| `{name}` |" in TEXT for name in FAULTS)


def test_every_option_is_in_the_table_or_explained_above_it() -> None:
    above = TEXT.partition("## All faults")[0]
    for kind in FAULTS.values():
        (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{kind.kind}` |")]
        for name in options(kind):
            assert f"`{name}=" in row or f"| `{name}`" in above, (kind.kind, name)


def test_the_scenario_shown_can_be_read(tmp_path: Path) -> None:
    shown = re.search(r"<!-- example: (\S+) -->\n```toml\n(.*?)```", TEXT, re.DOTALL)
    assert shown is not None
    path = tmp_path / shown[1]
    path.write_text(shown[2])
    read = scenario(path)
    assert (read.settings.speed, len(read.settings.faults)) == (20.0, 3)
    assert read.settings.limits.messages == 3


@pytest.mark.parametrize("text", re.findall(r"--fault (\S+?)(?:`| |$)", TEXT, re.MULTILINE))
def test_every_fault_shown_can_be_read(text: str) -> None:
    parse_fault(text)


@pytest.mark.parametrize("name", re.findall(r"simulate -s ([\w-]+)(?!\S)", TEXT))
def test_every_scenario_named_exists(name: str) -> None:
    assert scenario(name).about
