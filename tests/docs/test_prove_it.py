"""docs/guides/prove-it.md against the code."""

from pathlib import Path

import typer
from typer.main import get_command

from cli.commands import certify, gaps, verify, verify_parity
from core.ledger import State
from dataflows.parity_check import RunFile, Told

PAGE = (Path(__file__).parents[2] / "docs/guides/prove-it.md").read_text("utf-8")


def test_every_state_and_every_field_of_a_runs_file_is_documented() -> None:
    assert all(f"| `{state.value}` |" in PAGE for state in State)
    assert all(f"| `{name}` |" in PAGE for name in RunFile.model_fields)
    assert all(f"`{name}`" in PAGE for name in Told.model_fields)


def test_every_command_is_documented_by_its_name() -> None:
    app = typer.Typer()
    for module in (certify, gaps, verify, verify_parity):
        module.register(app)
    names = getattr(get_command(app), "commands", {})
    assert set(names) == {"certify", "gaps", "verify", "verify-parity"}
    assert all(f"`cryptotools {name}" in PAGE for name in names)
