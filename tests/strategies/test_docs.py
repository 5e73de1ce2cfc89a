"""The guide's code runs, and the reference says what the code says."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from config.settings import load
from core.market.errors import StrategyError
from strategies.base import Strategy
from strategies.loading import GROUP
from strategies.registry import BUILT_IN, Registry
from strategies.spec import InstanceSpec
from tools.strategies import draw

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "guides" / "write-a-strategy.md").read_text()
REFERENCE = (DOCS / "reference" / "strategies.md").read_text()


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with the guide's files, each named in its first line."""
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        first = block.partition("\n")[0]
        if first.startswith("# "):
            path = tmp_path / first[2:]
            path.parent.mkdir(exist_ok=True)
            path.write_text(block)
    return tmp_path / "my_strategies"


def test_the_guides_files_load(folder: Path) -> None:
    registry = Registry()
    assert sorted(path.name for path in folder.iterdir()) == ["fast_slow.py", "rsi_midline.py"]
    assert registry.load(folder) == ()
    assert {"fast_slow", "rsi_midline"} <= set(registry.names())


@pytest.mark.usefixtures("folder")
def test_the_guides_other_python_runs() -> None:
    others = [block for block in blocks("python") if not block.startswith("# ")]
    assert len(others) == 1
    exec(compile(others[0], "write-a-strategy.md", "exec"), {})


def test_the_guides_settings_are_settings_and_its_strategies_can_be_made(
    folder: Path, tmp_path: Path
) -> None:
    registry = Registry()
    registry.load(folder)
    for block in [b for b in blocks("toml") if "[[strategies]]" in b]:
        path = tmp_path / "cryptotools.toml"
        path.write_text(block)
        registry.check(*load(path, env={}, dotenv=None).strategies)
    assert 'strategies_dir = "my_strategies"' in blocks("toml")[0]


def test_the_guides_entry_point_is_in_our_group() -> None:
    (block,) = [b for b in blocks("toml") if "entry-points" in b]
    assert list(tomllib.loads(block)["project"]["entry-points"]) == [GROUP]


def test_the_guides_error_is_the_real_one(folder: Path) -> None:
    registry = Registry()
    registry.load(folder)
    with pytest.raises(StrategyError) as caught:
        registry.check(InstanceSpec(name="fast_slow", params={"slwo": 30}))
    assert [f"{caught.value}\n"] == blocks("text")


def _range(about: dict[str, Any]) -> str:
    if about["type"] in ("boolean", "string"):
        return ""
    low = f"{about['minimum']}" if "minimum" in about else f"above {about['exclusiveMinimum']:g}"
    if "maximum" in about:
        comma = "" if "minimum" in about else ","
        return f"{low}{comma} to {about['maximum']:g}"
    return f"{low}, below {about['exclusiveMaximum']:g}"


def test_the_reference_lists_each_strategy_and_its_parameters() -> None:
    catalogue = Registry().catalogue()
    headings = re.findall(r"^## ([a-z_]+)$", REFERENCE, re.MULTILINE)
    assert headings == [entry["name"] for entry in catalogue]
    for entry in catalogue:
        section = REFERENCE.partition(f"## {entry['name']}\n")[2].partition("\n## ")[0]
        rows = [
            " | ".join(
                [
                    f"| `{name}`",
                    str(about["default"]).lower() or "none",
                    _range(about),
                    f"{about['description']} |",
                ]
            )
            for name, about in entry["parameters"]["properties"].items()
        ]
        assert [line for line in section.splitlines() if line.startswith("| `")] == [
            row.replace("|  |", "| |") for row in rows
        ]
        strategy = Registry().make(InstanceSpec(name=entry["name"]))
        first, matters = strategy.lookback + 1, strategy.convergence
        text = f"First signal after {first} klines; the start no longer matters after {matters}."
        assert text in section


def test_the_files_of_the_guide_to_inputs_load_and_look_at_what_they_say(tmp_path: Path) -> None:
    guide = (DOCS / "guides" / "strategy-inputs.md").read_text()
    files = re.findall(
        r"^```python\n# my_strategies/(\w+)\.py\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL
    )
    for name, text in files:
        (tmp_path / f"{name}.py").write_text(text)
    registry = Registry([])
    assert registry.load(tmp_path) == ()
    assert registry.names() == ("btc_filter", "large_trades", "trend_dip")
    assert registry.wants == {"trades"}
    spec = InstanceSpec(name="btc_filter", symbols=("ETHUSDT",), legs={"btc": "BTCUSDT"})
    registry.check(InstanceSpec(name="trend_dip"), InstanceSpec(name="large_trades"), spec)


@pytest.mark.parametrize("strategy", BUILT_IN, ids=lambda strategy: strategy.name)
def test_each_strategy_has_a_picture_of_what_it_says_now(strategy: type[Strategy]) -> None:
    picture = DOCS / "reference" / "pictures" / f"{strategy.name}.svg"
    assert f"![{strategy.name}](pictures/{strategy.name}.svg)" in REFERENCE
    assert picture.read_text() == draw(strategy), "python -m tools.strategies draws them again"
