"""The Grafana dashboard: it is the one that is described, and draws only what there is."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.names import exposed, named
from tools.grafana import FILE, text

BOARD: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]

# Grafana's own, which it replaces before it asks.
_FILLED = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*", "$key": ".*"}


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text("utf-8") == text(), "run python -m tools.grafana"


def test_panels_draw_something_that_is_exposed_and_say_what_it_means() -> None:
    for panel in PANELS:
        assert panel["targets"], panel["title"]
        assert panel["description"], panel["title"]
    for expression in EXPRESSIONS:
        assert named(expression), expression
        assert named(expression) <= exposed(), expression


def test_panels_do_not_cover_each_other() -> None:
    seen: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & seen, panel["title"]
        seen |= cells
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool")
def test_every_expression_can_be_read(tmp_path: Path) -> None:
    rules = []
    for n, expression in enumerate(EXPRESSIONS):
        filled = expression
        for name, value in _FILLED.items():
            filled = filled.replace(name, value)
        assert "$" not in filled
        rules.append({"record": f"panel:{n}", "expr": filled})
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
