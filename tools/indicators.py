"""Writes the tables in docs/reference/indicators.md anew: from the classes, and by measuring.

python -m tools.indicators            the table of what there is
python -m tools.indicators measure    that, and accuracy and speed on this machine
"""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from bench.indicators import CASES, indicators
from cli.commands.bench import machine
from core.indicators.base import Indicator
from core.indicators.registry import INDICATORS
from tests.core.indicators.oracles import ORACLES, largest_error
from tests.core.indicators.series import HOSTILE, REAL, named

PAGE = Path(__file__).parents[1] / "docs/reference/indicators.md"

_REQUIRED = 20
"""What a parameter without a default is shown with."""


def shown(kind: type[Indicator[Any]]) -> tuple[str, Indicator[Any]]:
    """Return how a class is made, with names and defaults, and an instance made so."""
    texts, given = [], {}
    for parameter in inspect.signature(kind).parameters.values():
        default = parameter.default
        required = default is inspect.Parameter.empty
        given[parameter.name] = _REQUIRED if required else default
        texts.append(parameter.name if required else f"{parameter.name}={default}")
    return f"{kind.__name__}({', '.join(texts)})", kind(**given)


def variant(kind: type[Indicator[Any]]) -> str:
    """Return what the docstring says on the variant, in one line."""
    text = inspect.getdoc(kind) or ""
    (found,) = re.findall(r"^Variant: (.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return _cell(" ".join(str(found).split()))


def rule(kind: type[Indicator[Any]]) -> str:
    """Return the first line of the docstring."""
    return _cell((inspect.getdoc(kind) or "").partition("\n")[0])


def _cell(text: str) -> str:
    text = text.replace("``", "`").replace("|", "\\|")
    return text[:1].upper() + text[1:]


def reference() -> str:
    """Return the table of what there is."""
    lines = [
        "| indicator | takes | value | lookback | convergence | rule | variant |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, kind in sorted(INDICATORS.items()):
        text, made = shown(kind)
        takes = ", ".join(f"`{x}`" for x in kind.inputs) or "any"
        value = ", ".join(f"`{x}`" for x in kind.parts) or "a float"
        settles = f"{made.convergence:,}" + ("" if kind.settles else " *")
        lines.append(
            f"| `{name}` `{text}` | {takes} | {value} | {made.lookback:,} | {settles} "
            f"| {rule(kind)} | {variant(kind)} |"
        )
    return "\n".join(lines)


def measured() -> str:
    """Return the table of accuracy and speed, measured now."""
    facts = machine()
    present = [name for name in [*HOSTILE, *REAL] if named(name) is not None]
    recorded = sum(name in REAL for name in present)
    lines = [
        f"Measured {facts['date'][:10]} on {facts['cpu']}, {facts['cores']} cores, Python "
        f"{facts['python']}; {len(HOSTILE)} hostile series and {recorded} of recorded minutes.",
        "",
        "| indicator | oracle | largest difference | µs per update | in the same run |",
        "|---|---|---|---|---|",
    ]
    for name, row in zip(sorted(INDICATORS), indicators(sorted(INDICATORS)), strict=True):
        compared = [series for series in present if series not in ORACLES[name].but]
        worst = max(_difference(name, series) for series in compared)
        lines.append(
            f"| `{name}` | {ORACLES[name].what} | {worst:.0e} | {row.value:.2f} | {row.against} |"
        )
    return "\n".join(lines)


def _difference(name: str, series: str) -> float:
    klines, oracle = named(series), ORACLES[name]
    assert klines is not None
    return max(largest_error(oracle, name, klines, given) for given in oracle.parameters)


def drawn(page: str, name: str, block: str) -> str:
    """Return the page with the block of that name replaced."""
    whole = f"<!-- {name} -->\n{block}\n<!-- /{name} -->"
    return re.sub(rf"<!-- {name} -->\n.*?<!-- /{name} -->", lambda _: whole, page, flags=re.DOTALL)


if __name__ == "__main__":
    assert sorted(CASES) == sorted(INDICATORS)
    text = drawn(PAGE.read_text("utf-8"), "indicators", reference())
    if "measure" in sys.argv[1:]:
        text = drawn(text, "measured", measured())
    PAGE.write_text(text, "utf-8")
