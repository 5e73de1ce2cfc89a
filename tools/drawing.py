"""Pictures of strategies as SVG files: klines with lines, bands, markers and panes.

The same data gives the same bytes. Text stays text.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from core.market.errors import ConfigError

Values = Sequence[float | None]

INK, FAINT, PAPER = "#24292f", "#d8dee4", "#ffffff"
UP, DOWN, FLAT = "#1a7f64", "#c2413b", "#6e7781"
ACCENTS = ("#2f6feb", "#b3661b", "#8250df", "#0b7285")
"""Readable on light and dark paper, and apart for who sees no red or green: markers differ in shape
as well.
"""

_SHAPES = {"long": ("^", UP), "short": ("v", DOWN), "flat": ("s", FLAT)}
_SALT = "cryptotools"


@dataclass(frozen=True, slots=True)
class Candles:
    """Klines in columns: start of each in microseconds, and four prices."""

    open_us: Sequence[int]
    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line over klines; None where it is not known."""

    name: str
    values: Values
    color: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """What lies between two lines."""

    lower: Values
    upper: Values


@dataclass(frozen=True, slots=True)
class Marker:
    """A signal or a fill at the kline of that number."""

    at: int
    side: Literal["long", "short", "flat"]
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Pane:
    """A chart below the klines: lines and levels, or bars."""

    name: str
    lines: Sequence[Line] = ()
    levels: Sequence[float] = ()
    bars: Values = ()
    marked: Sequence[int] = field(default=())
    """Numbers of the bars that stand out."""


def kline_chart(
    candles: Candles,
    *,
    lines: Sequence[Line] = (),
    bands: Sequence[Band] = (),
    markers: Sequence[Marker] = (),
    panes: Sequence[Pane] = (),
    size: tuple[float, float] = (8.6, 3.4),
    label: str = "klines with signals",
) -> str:
    """Return klines with what was seen and said of them.

    Args:
        candles: In the order of time.
        lines: Over the price, each with a value per kline.
        bands: Behind the price.
        markers: Triangles up for long, down for short, squares for flat.
        panes: Below, on the same axis of time.
        size: In inches, without the panes.
        label: What a screen reader says.

    """
    heights = [size[1], *(1.15 for _ in panes)]
    figure, axes = _figure((size[0], sum(heights)), heights)
    price = axes[0]
    for band in bands:
        _shade(price, band)
    _candles(price, candles)
    _lines(price, lines)
    _markers(price, candles, markers)
    for pane, ax in zip(panes, axes[1:], strict=True):
        _pane(ax, pane)
    _time_axis(axes[-1], candles.open_us)
    for ax in axes:
        ax.set_xlim(-1.5, len(candles.open_us) + 0.5)
    return _svg(figure, label)


def _library() -> Any:  # noqa: ANN401 - a module without types
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        why = "charts need matplotlib, which is not installed"
        raise ConfigError("backtest", why, hint="pip install 'cryptotools[backtest]'") from None
    mpl.rcParams.update(
        {"svg.hashsalt": _SALT, "svg.fonttype": "none", "font.family": "sans-serif",
         "font.sans-serif": ["system-ui", "Segoe UI", "Helvetica", "Arial", "DejaVu Sans"],
         "font.size": 8, "axes.unicode_minus": False}
    )  # fmt: skip
    return Figure


def _figure(size: tuple[float, float], heights: Sequence[float]) -> tuple[Any, list[Any]]:
    figure = _library()(figsize=size, layout="constrained")
    figure.patch.set_alpha(0.0)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    axes: list[Any] = []
    for n in range(len(heights)):
        ax = figure.add_subplot(grid[n], sharex=axes[0] if axes else None)
        _style(ax)
        ax.tick_params(labelbottom=n == len(heights) - 1)
        axes.append(ax)
    return figure, axes


def _style(ax: Any) -> None:  # noqa: ANN401 - a class without types
    ax.patch.set_alpha(0.0)
    for name, spine in ax.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(FAINT)
    ax.yaxis.tick_right()
    ax.tick_params(colors=INK, length=0, labelsize=8)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.yaxis.get_major_formatter().set_useOffset(False)
    ax.yaxis.get_major_formatter().set_scientific(False)


def _candles(ax: Any, candles: Candles) -> None:  # noqa: ANN401 - likewise
    rows = list(zip(candles.open, candles.high, candles.low, candles.close, strict=True))
    for color, wanted in ((UP, True), (DOWN, False)):
        at = [n for n, (o, _, _, c) in enumerate(rows) if (c >= o) == wanted]
        if not at:
            continue
        ax.vlines(at, [rows[n][2] for n in at], [rows[n][1] for n in at], color=color, lw=0.7)
        base = [min(rows[n][0], rows[n][3]) for n in at]
        height = [abs(rows[n][0] - rows[n][3]) for n in at]
        least = (max(candles.high) - min(candles.low)) / 500 or 1e-9
        _boxes(ax, at, base, [max(x, least) for x in height], color)


def _boxes(ax: Any, at: list[int], base: list[float], height: list[float], color: str) -> None:  # noqa: ANN401 - likewise
    from matplotlib.collections import PolyCollection

    corners = [
        ((n - 0.34, b), (n + 0.34, b), (n + 0.34, b + h), (n - 0.34, b + h))
        for n, b, h in zip(at, base, height, strict=True)
    ]
    ax.add_collection(PolyCollection(corners, facecolors=color, edgecolors="none"))
    ax.autoscale_view()


def _lines(ax: Any, lines: Sequence[Line]) -> None:  # noqa: ANN401 - likewise
    for n, line in enumerate(lines):
        values = [float("nan") if x is None else x for x in line.values]
        color = line.color or ACCENTS[n % len(ACCENTS)]
        style = (0, (4, 2)) if line.dashed else "solid"
        ax.plot(range(len(values)), values, color=color, lw=1.2, ls=style, label=line.name)
    if any(line.name for line in lines):
        ax.legend(loc="upper left", frameon=False, fontsize=8, ncols=4, labelcolor=INK,
                  handlelength=1.6, borderaxespad=0.2)  # fmt: skip


def _shade(ax: Any, band: Band) -> None:  # noqa: ANN401 - likewise
    lower, upper = (
        [float("nan") if x is None else x for x in values] for values in (band.lower, band.upper)
    )
    ax.fill_between(range(len(lower)), lower, upper, color=ACCENTS[0], alpha=0.10, lw=0)


def _markers(ax: Any, candles: Candles, markers: Sequence[Marker]) -> None:  # noqa: ANN401 - likewise
    if not markers:
        return
    room = (max(candles.high) - min(candles.low)) * 0.045 or 1e-9
    for side, (shape, color) in _SHAPES.items():
        chosen = [m for m in markers if m.side == side]
        below = side == "long"
        places = [candles.low[m.at] - room if below else candles.high[m.at] + room for m in chosen]
        if chosen:
            size = 24 if side == "flat" else 46
            ax.scatter([m.at for m in chosen], places, marker=shape, s=size, color=color,
                       edgecolors=PAPER, linewidths=0.6, zorder=5)  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(low - room, high + room)


def _pane(ax: Any, pane: Pane) -> None:  # noqa: ANN401 - likewise
    ax.set_ylabel(pane.name, color=INK, fontsize=8)
    if pane.bars:
        marked = set(pane.marked)
        colors = [ACCENTS[1] if n in marked else FLAT for n in range(len(pane.bars))]
        heights = [0.0 if x is None else x for x in pane.bars]
        _bars(ax, heights, colors)
    for level in pane.levels:
        ax.axhline(level, color=INK, lw=0.7, ls=(0, (2, 3)))
    _lines(ax, pane.lines)
    if any(line.name for line in pane.lines):
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.28 * (high - low))  # for the names


def _bars(ax: Any, heights: Sequence[float], colors: Sequence[str]) -> None:  # noqa: ANN401 - likewise
    for color in sorted(set(colors)):
        at = [n for n, own in enumerate(colors) if own == color]
        _boxes(ax, at, [min(0.0, heights[n]) for n in at], [abs(heights[n]) for n in at], color)


def _time_axis(ax: Any, times_us: Sequence[int]) -> None:  # noqa: ANN401 - likewise
    count = len(times_us)
    if not count:
        return
    span_us = times_us[-1] - times_us[0]
    pattern = "%H:%M" if span_us < 86_400_000_000 else "%d %b" if span_us > 5e11 else "%d %b %H:%M"
    step = max(1, count // 7)
    at = list(range(step // 2, count, step))
    texts = [datetime.fromtimestamp(times_us[n] / 1e6, UTC).strftime(pattern) for n in at]
    ax.set_xticks(at, texts)


def _svg(figure: Any, label: str) -> str:  # noqa: ANN401 - likewise
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].strip()
    spoken = f'<svg role="img" aria-label="{label}"'
    head, _, rest = text.replace("<svg", spoken, 1).partition(">")
    paper = f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>'
    return f"{head}>{paper}{rest}\n"
