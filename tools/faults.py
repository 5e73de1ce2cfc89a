"""Writes the table of faults in docs/guides/simulate-faults.md anew from the faults themselves."""

import re
from pathlib import Path

from simulator.faults.catalogue import table

PAGE = Path(__file__).parents[1] / "docs/guides/simulate-faults.md"
_BLOCK = re.compile(r"<!-- faults -->\n.*?<!-- /faults -->", re.DOTALL)
_ABOVE = {"after", "frames", "stream", "connection", "per"}


def rows() -> str:
    """Return the table; of the options only those that are not explained above it in general."""
    lines = ["| fault | what | options of its own | the real exchange |", "|---|---|---|---|"]
    for fault in table():
        own = [o["text"] for o in fault["options"] if o["name"] not in _ABOVE]
        told = " ".join(f"`{text}`" for text in own).replace("|", "\\|")
        about = fault["about"].replace("``", "`")
        lines.append(f"| `{fault['name']}` | {about} | {told} | {fault['fact']} |")
    return "\n".join(lines)


def drawn(page: str) -> str:
    """Return the page with its table as the faults have it."""
    block = f"<!-- faults -->\n{rows()}\n<!-- /faults -->"
    return _BLOCK.sub(lambda _: block, page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text("utf-8")), "utf-8")
