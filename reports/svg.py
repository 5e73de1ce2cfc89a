"""Figures of matplotlib → SVG that stands in a page: its colours are the page's, its text is text.

Same figure, same bytes: no dates, no dice in ids, no settings of the user.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

from core.market.errors import ServiceError
from reports.statistics import EXTRA

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Drawn in these, and named in the page: so one picture is right on light and on dark ground.
INK, SOFT, GRID, UP, DOWN, LINE, HOLD, PANEL = (f"#0{n}0{n}0{n}" for n in range(1, 9))
_NAMES = dict(
    zip(
        (INK, SOFT, GRID, UP, DOWN, LINE, HOLD, PANEL),
        ("ink", "soft", "grid", "up", "down", "line", "hold", "panel"),
        strict=True,
    )
)
_STYLE: dict[str, Any] = {
    "font.size": 8.5, "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.titlepad": 8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT, "axes.titlecolor": INK, "axes.facecolor": "none",
    "figure.facecolor": "none", "text.color": INK, "xtick.color": GRID, "ytick.color": GRID,
    "xtick.labelcolor": SOFT, "ytick.labelcolor": SOFT, "axes.grid": True, "axes.grid.axis": "y",
    "grid.color": GRID, "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.2,
    "legend.frameon": False, "legend.fontsize": 8.5, "path.simplify": True,
    "text.parse_math": False,
}  # fmt: skip


@contextmanager
def drawing(salt: str) -> Iterator[None]:
    """Draw with our looks, whatever the user's settings are; `salt` keeps ids of figures apart.

    Raises:
        ServiceError: matplotlib is not installed.

    """
    try:
        import matplotlib
        import matplotlib.style
    except ImportError:
        raise ServiceError("charts", "matplotlib is not installed", hint=EXTRA) from None
    own: Any = _STYLE | {
        "svg.fonttype": "none",
        "svg.hashsalt": f"cryptotools-{salt}",
        "timezone": "UTC",
    }
    with matplotlib.style.context("default"), matplotlib.rc_context(own):
        yield


def inline(figure: "Figure", label: str) -> str:
    """Return a figure as an ``<svg>`` element; `label` says in words what it shows."""
    stream = StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=empty, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", text).replace("xlink:href", "href")
    used = set(re.findall(r"#([\w.-]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", text)
    for colour, name in _NAMES.items():
        text = text.replace(colour, f"var(--{name})")
    text = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", text, count=2)
    # A hundredth of a point is not seen; what stands between tags is for people.
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{_quoted(label)}"', 1)


def _quoted(text: str) -> str:
    for char, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, name)
    return text
