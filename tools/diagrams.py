"""Writes the state diagrams of ARCHITECTURE.md anew from the tables in the code."""

import re
from pathlib import Path

from core.exchange.states import STREAM_TRANSITIONS, TRANSITIONS, diagram

PAGE = Path(__file__).parents[1] / "ARCHITECTURE.md"
DIAGRAMS = {"links": diagram(TRANSITIONS), "streams": diagram(STREAM_TRANSITIONS)}


def drawn(page: str) -> str:
    """Return the page with its diagrams as the tables have them."""
    for name, text in DIAGRAMS.items():
        block = f"<!-- {name} -->\n```mermaid\n{text}\n```"
        page = re.sub(rf"<!-- {name} -->\n```mermaid\n.*?\n```", block, page, flags=re.DOTALL)
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
