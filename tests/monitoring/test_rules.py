"""Alert rules: they fire when they must and only then, name what is exposed, and are explained."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.names import exposed, named

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "monitoring/prometheus"
PAGE = (ROOT / "docs/operations/alerts.md").read_text("utf-8")
LOADED: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))
CASES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules_test.yml").read_text("utf-8"))[
    "tests"
]

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool")


def rules() -> Iterator[dict[str, Any]]:
    for group in LOADED["groups"]:
        yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)


@needs_promtool
def test_the_rules_are_well_formed() -> None:
    done = promtool("check", "rules", str(FOLDER / "rules.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_each_alert_fires_when_it_must_and_only_then() -> None:
    done = promtool("test", "rules", str(FOLDER / "rules_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(("old", "new"), [("> 30\n", "> 3000\n"), ("== 0\n", ">= 0\n")])
def test_another_threshold_is_found(tmp_path: Path, old: str, new: str) -> None:
    for file in FOLDER.iterdir():
        shutil.copy(file, tmp_path)
    text = (tmp_path / "rules.yml").read_text("utf-8")
    assert old in text
    (tmp_path / "rules.yml").write_text(text.replace(old, new), "utf-8")
    assert promtool("test", "rules", str(tmp_path / "rules_test.yml")).returncode != 0


def test_each_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    for case in CASES:
        (asked,) = case["promql_expr_test"]
        assert f'"{case["name"].split()[0]}"' in asked["expr"]
        assert bool(asked["exp_samples"]) == case["name"].endswith("fires"), case["name"]
    wanted = {f"{name} {does}" for name in ALERTS for does in ("fires", "is quiet")}
    assert {case["name"] for case in CASES} == wanted


def test_alerts_say_how_bad_it_is_and_where_the_way_out_is_written() -> None:
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/operations/alerts.md#{name.lower()}"
        assert f"\n### {name}\n" in PAGE
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == set(ALERTS)


def test_rules_name_only_what_is_exposed() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert named(rule["expr"]) <= exposed() | recorded, rule
