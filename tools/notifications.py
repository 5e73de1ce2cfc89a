"""Writes the table of severities in docs/guides/notifications.md anew from the code's own."""

import re
from pathlib import Path

from subscribers.notify.kinds import EXCEPTIONS, KINDS

PAGE = Path(__file__).parents[1] / "docs/guides/notifications.md"
_BLOCK = re.compile(r"<!-- severities -->\n.*?<!-- /severities -->", re.DOTALL)


def rows() -> str:
    """Return the table, the gravest first."""
    lines = ["| kind | severity | default text |", "|---|---|---|"]
    for severity in ("critical", "warning", "info"):
        for name, kind in KINDS.items():
            if kind.severity == severity:
                others = [f", {to} when {state}" for (of, state), to in EXCEPTIONS.items()
                          if of == name]  # fmt: skip
                lines.append(f"| `{name}` | {severity}{''.join(others)} | {kind.text} |")
    return "\n".join(lines)


def drawn(page: str) -> str:
    """Return the page with its table as the code has it."""
    block = f"<!-- severities -->\n{rows()}\n<!-- /severities -->"
    return _BLOCK.sub(lambda _: block, page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text("utf-8")), "utf-8")
