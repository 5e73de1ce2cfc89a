"""The pictures of a report: klines with what was said and done, equity and drawdown, a heat map."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.market.intervals import DAY_US
from reports.columns import Candles, Line, Mark, thin
from reports.statistics import Floats, Times, drawdowns
from reports.svg import DOWN, GRID, HOLD, INK, LINE, PANEL, SOFT, UP, drawing, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CANDLES = 160
_WIDTH = 9.6

# Never by colour alone: each has a shape of its own.
_MARKS: dict[str, tuple[str, str, str, str]] = {
    "buy": ("^", UP, UP, "bought"),
    "sell": ("v", DOWN, DOWN, "sold"),
    "long": ("^", "none", UP, "signal long"),
    "short": ("v", "none", DOWN, "signal short"),
    "flat": ("s", "none", SOFT, "signal flat"),
}


def kline_chart(
    candles: Candles,
    marks: Sequence[Mark] = (),
    *,
    overlays: Sequence[Line] = (),
    title: str = "",
    name: str = "klines",
) -> str:
    """Return klines as SVG: candles where they are few, hollow when they rose; else their closes.

    Args:
        candles: At least one.
        marks: Signals and fills; those before or behind the klines are left out.
        overlays: Lines in the same price.
        title: Shown above.
        name: Sets this figure's ids apart from those of others in the page.

    """
    with drawing(name):
        figure, (axes,) = _figure(3.1, [1])
        if len(candles) <= MOST_CANDLES:
            _candles(axes, candles)
        else:
            times, closes = thin(candles.close_us, candles.close)
            axes.plot(_days(_windows(candles, times)), closes, color=INK, linewidth=0.8)
        for line in overlays:
            times, values = thin(_windows(candles, line.time_us), line.values)
            dashes: Any = {"linewidth": 1, "linestyle": (0, (4, 2))}
            axes.plot(_days(times), values, color=LINE, **dashes)
        _marks(axes, candles, marks)
        axes.set_title(title)
        _dates(axes)
        _prices(axes)
        return inline(figure, title or "klines")


def equity_chart(
    lines: Sequence[Line], hold: Line | None = None, *, title: str = "", name: str = "equity"
) -> str:
    """Return equity over time as SVG, and below it how far each is under its peak.

    Args:
        lines: One or several accounts.
        hold: What buy and hold would be worth.
        title: Shown above.
        name: As in `kline_chart`.

    """
    with drawing(name):
        figure, (above, below) = _figure(4.0, [2.4, 1])
        drawn = [*lines, *([] if hold is None else [hold])]
        for n, line in enumerate(drawn):
            look = _look(n, line is hold)
            times, values = thin(line.time_us, line.values)
            above.plot(_days(times), values, label=line.name, **look)
            times, values = thin(line.time_us, drawdowns(line.values) * 100)
            below.plot(_days(times), values, **{**look, "linewidth": 0.9})
            if len(lines) == 1 and line is not hold:
                below.fill_between(_days(times), values, 0, color=DOWN, alpha=0.18, linewidth=0)
        above.set_title(title)
        above.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, borderaxespad=0.2)
        if title:
            above.set_title(title, pad=22)
        below.set_ylabel("drawdown, %")
        above.tick_params(labelbottom=False)
        _dates(below)
        above.set_xlim(below.get_xlim())
        _prices(above)
        return inline(figure, title or "equity and drawdown")


def heat_map(
    columns: tuple[str, Sequence[object]],
    rows: tuple[str, Sequence[object]],
    values: Sequence[Sequence[float | None]],
    *,
    title: str = "",
    percent: bool = False,
    name: str = "heat",
) -> str:
    """Return a figure over two parameters as SVG: the stronger the colour, the further from 0.

    Args:
        columns: Name of a parameter and its values, left to right.
        rows: Likewise, top to bottom.
        values: Of each row, of each column; None: there is none.
        title: Shown above.
        percent: Whether values are fractions to be shown in percent.
        name: As in `kline_chart`.

    """
    with drawing(name):
        count = len(rows[1])
        figure, (axes,) = _figure(min(8.0, 1.1 + 0.33 * count), [1])
        known = [abs(v) for row in values for v in row if v is not None]
        most = max(known, default=0.0) or 1.0
        wide = len(columns[1])
        for y, row in enumerate(values):
            for x, value in enumerate(row):
                _cell(axes, x, y, value, most, percent=percent, text=wide <= 20)
        axes.set_xlim(-0.5, wide - 0.5)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_xticks(range(wide), [str(v) for v in columns[1]])
        axes.set_yticks(range(count), [str(v) for v in rows[1]])
        axes.set_xlabel(columns[0])
        axes.set_ylabel(rows[0])
        axes.grid(visible=False)
        axes.set_title(title)
        return inline(figure, title or f"{columns[0]} and {rows[0]}")


def _figure(height: float, ratios: list[float]) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    grid: Any = figure.subplots(len(ratios), 1, height_ratios=ratios, squeeze=False)
    return figure, list(grid[:, 0])


def _look(n: int, is_hold: bool) -> dict[str, Any]:
    if is_hold:
        return {"color": HOLD, "linestyle": (0, (3, 2)), "linewidth": 1}
    styles: list[tuple[str, Any]] = [
        (LINE, "-"), (UP, (0, (7, 1.5))), (DOWN, "-"), (INK, (0, (6, 1, 1, 1))), (SOFT, "-"),
    ]  # fmt: skip
    color, style = styles[n % len(styles)]
    return {"color": color, "linestyle": style, "linewidth": 1.3}


def _candles(axes: "Axes", candles: Candles) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    at = _days(_windows(candles, candles.close_us))
    step = float(np.median(np.diff(at))) if len(at) > 1 else 1.0
    half = 0.32 * step
    for rose, colour in ((True, UP), (False, DOWN)):
        rows = np.flatnonzero((candles.close >= candles.open) == rose)
        lower = np.minimum(candles.open, candles.close)[rows]
        upper = np.maximum(candles.open, candles.close)[rows]
        x, low, high = at[rows], candles.low[rows], candles.high[rows]
        wicks = [((a, b), (a, c)) for a, b, c in zip(x, low, lower, strict=True)]
        wicks += [((a, b), (a, c)) for a, b, c in zip(x, upper, high, strict=True)]
        axes.add_collection(LineCollection(wicks, colors=colour, linewidths=0.8))
        bodies = [
            ((a - half, b), (a - half, c), (a + half, c), (a + half, b))
            for a, b, c in zip(x, lower, upper, strict=True)
        ]
        fill = PANEL if rose else colour
        axes.add_collection(
            PolyCollection(bodies, facecolors=fill, edgecolors=colour, linewidths=0.8)
        )
    axes.set_xlim(at[0] - step, at[-1] + step)
    axes.autoscale_view(scalex=False)


def _windows(candles: Candles, time_us: Times) -> Times:
    # Everything stands at the start of the kline in which it was: a fill on the kline behind that
    # of its signal, though the two are a microsecond apart.
    rows = np.searchsorted(candles.close_us, time_us).clip(0, len(candles) - 1)
    length = int(np.median(np.diff(candles.close_us))) if len(candles) > 1 else 0
    starts: Times = candles.close_us[rows] + 1 - length
    return starts


def _marks(axes: "Axes", candles: Candles, marks: Sequence[Mark]) -> None:
    first, last = int(candles.close_us[0]), int(candles.close_us[-1])
    length = (last - first) // max(1, len(candles) - 1)
    span = float(candles.high.max() - candles.low.min()) or 1.0
    for what, (shape, face, edge, label) in _MARKS.items():
        own = [m for m in marks if m.what == what and first - length <= m.time_us <= last]
        if not own:
            continue
        # Signals stand off the klines, so that fills at their prices are seen beside them.
        away = {"long": -0.06, "short": 0.06, "flat": 0.06}.get(what, 0.0) * span
        axes.scatter(
            _days(_windows(candles, np.array([m.time_us for m in own], dtype=np.int64))),
            [m.price + away for m in own],
            marker=shape,
            s=22 if face == "none" else 26,
            facecolors=face,
            edgecolors=edge,
            linewidths=0.9,
            label=label,
            zorder=3,
        )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1.0), ncols=5, borderaxespad=0.2)


def _cell(
    axes: "Axes", x: int, y: int, value: float | None, most: float, *, percent: bool, text: bool
) -> None:
    from matplotlib.patches import Rectangle

    colour = GRID if value is None else UP if value >= 0 else DOWN
    strength = 0.25 if value is None else 0.06 + 0.5 * min(1.0, abs(value) / most)
    place = (x - 0.48, y - 0.46)
    axes.add_patch(Rectangle(place, 0.96, 0.92, facecolor=colour, alpha=strength, linewidth=0))
    if text:
        shown = "n/a" if value is None else f"{value * 100:+.1f}" if percent else f"{value:+.2f}"
        axes.text(x, y, shown, ha="center", va="center", fontsize=7.5)


def _days(time_us: Times) -> Floats:
    days: Floats = np.asarray(time_us) / DAY_US
    return days


def _dates(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    ticks: Any = AutoDateLocator  # matplotlib has no types for it
    labels: Any = ConciseDateFormatter
    locator = ticks(tz="UTC", minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(labels(locator, tz="UTC"))
    axes.margins(x=0.01)


def _prices(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
