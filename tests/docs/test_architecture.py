"""The map says what the code does."""

import re
from pathlib import Path

from tools.diagrams import PAGE, drawn

ROOT = Path(__file__).parents[2]


def test_the_state_diagrams_are_those_of_the_tables() -> None:
    page = PAGE.read_text()
    assert page.count("```mermaid") == 2
    assert drawn(page) == page, "run `python -m tools.diagrams`"


def test_every_answer_to_a_fault_names_a_test_that_exists() -> None:
    page = PAGE.read_text().partition("## What happens when")[2].partition("\n## ")[0]
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) >= 20
    for path, name in named:
        text = (ROOT / path).read_text()
        assert not name or f"def {name}(" in text, (path, name)
