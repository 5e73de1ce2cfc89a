"""The README's promises that a test can hold."""

import re
from pathlib import Path

import pytest

from config.settings import load
from strategies.base import Strategy

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_settings_shown_can_be_loaded(tmp_path: Path) -> None:
    (shown,) = blocks("toml")
    (tmp_path / "my_strategies").mkdir()
    path = tmp_path / "cryptotools.toml"
    path.write_text(shown)
    settings = load(path, env={}, dotenv=None)
    assert settings.klines.intervals == ("1m", "15m", "1h", "1d")


def test_the_strategy_shown_is_one_in_ten_lines_of_code() -> None:
    shown = next(block for block in blocks("python") if "class Dip" in block)
    space: dict[str, object] = {}
    exec(shown, space)
    made = space["Dip"]
    assert isinstance(made, type)
    assert issubclass(made, Strategy)
    assert made().lookback == 6
    assert len([line for line in shown.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_every_make_target_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for name in set(re.findall(r"make ([a-z-]+)", README)):
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
