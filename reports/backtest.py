"""The report of a back-test as one page. It has no clock and no dice: same run, same bytes."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from reports import page
from reports.charts import equity_chart, heat_map
from reports.page import Cell, cards, clock, facts, figure, number, panel, percent, table
from reports.results import SORTS, Details, Evaluated, Result, ordered
from reports.run import Run
from reports.section import equity_of, figures_of, hold_of, remark, section, symbol_of

_MOST_FILES = 12
_MOST_SECTIONS = 12


def html(run: Run, found: Evaluated) -> str:
    """Return the report as one page."""
    results = ordered(found.results, run.sort)
    best = [result for result in results if result.details is not None]
    body = [*_head(run, found, best), *_compared(found, best)]
    swept = len(results) > len(best)
    if swept:
        body += _sweep(run, results)
    for n, result in enumerate(best[:_MOST_SECTIONS]):
        body += section(n, result, found.markets[result.key], best_of=swept)
    if len(best) > _MOST_SECTIONS:
        body.append(remark(f"{len(best) - _MOST_SECTIONS} more are in the JSON (--json)."))
    body += _facts(run, found)
    names = ", ".join(dict.fromkeys(result.strategy for result in best))
    return page.page(f"Back-test: {names}", body)


_MONTH_US = 30 * 86_400_000_000


def _head(run: Run, found: Evaluated, best: Sequence[Result]) -> Iterator[str]:
    symbols = ", ".join(found.markets)
    names = ", ".join(dict.fromkeys(result.strategy for result in best))
    intervals = ", ".join(dict.fromkeys(result.interval for result in best))
    details = best[0].details
    times = "" if details is None else _between(details)
    yield f"<h1>Back-test of {escape(names)}</h1>"
    yield (
        f'<p class="soft">{escape(symbols)} · klines of {escape(intervals)} · {times} UTC · '
        f"run <code>{escape(run.digest[:16])}</code></p>"
    )
    first = best[0]
    if len(best) > 1 or len(found.results) > 1:
        yield f'<p class="soft">Best by {escape(run.sort)}: {escape(_title(first))}</p>'
    yield cards(figures_of(first))
    if details is not None and np.ptp(details.series.close_us) < _MONTH_US:
        yield remark("Less than a month: figures of a year are what a year of the same would be.")


def _compared(found: Evaluated, best: Sequence[Result]) -> Iterator[str]:
    if len(best) < 2:
        return
    yield "<h2>Side by side</h2>"
    yield panel(_figures_table(best))
    for key in found.markets:
        own = [r for r in best if r.key == key and r.details is not None]
        # Beyond this, lines can no longer be told apart.
        lines = [equity_of(r, r.strategy) for r in own[:5] if r.details is not None]
        if len(lines) > 1:
            hold = hold_of(own[0])
            yield figure(
                equity_chart(lines, hold, title=f"Equity on {symbol_of(key)}", name=f"all-{key}")
            )


def _sweep(run: Run, results: Sequence[Result]) -> Iterator[str]:
    yield f"<h2>{len(results):,} combinations</h2>"
    shown = results[: run.top]
    yield panel(_figures_table(shown, varied=True))
    if len(results) > len(shown):
        yield remark(
            f"The best {len(shown)} by {run.sort}; all {len(results):,} are in the JSON (--json)."
        )
    if run.refused:
        yield remark(
            f"{len(run.refused)} combinations left out, because the strategy does not take them: "
            f"{run.refused[0][0]}: {run.refused[0][1]}"
        )
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in sorted(results, key=lambda r: r.place):
        groups.setdefault((result.key, result.strategy), []).append(result)
    for n, own in enumerate(list(groups.values())[:6]):
        yield from _heat(run, n, own)


def _heat(run: Run, n: int, results: Sequence[Result]) -> Iterator[str]:
    names = list(results[0].varied)
    if len(names) != 2:
        return
    axes = [list(dict.fromkeys(result.varied[name] for result in results)) for name in names]
    if max(map(len, axes)) > 60 or min(map(len, axes)) < 2:
        return
    rows, columns = (axes[0], axes[1]) if len(axes[0]) < len(axes[1]) else (axes[1], axes[0])
    across = names[0] if columns is axes[0] else names[1]
    down = names[1] if across == names[0] else names[0]
    measure, _ = SORTS[run.sort]
    known = {(r.varied[down], r.varied[across]): getattr(r.statistics, measure) for r in results}
    values = [[known.get((y, x)) for x in columns] for y in rows]
    is_share = measure in {"total_return", "max_drawdown", "win_rate", "volatility"}
    unit = ", %" if is_share else ""
    title = f"{run.sort}{unit}: {results[0].strategy} on {symbol_of(results[0].key)}"
    floats = [[None if v is None else float(v) for v in row] for row in values]
    yield figure(
        heat_map(
            (across, columns), (down, rows), floats, title=title, percent=is_share, name=f"heat-{n}"
        )
    )


def _facts(run: Run, found: Evaluated) -> Iterator[str]:
    yield "<h2>This run</h2>"
    rows = [("run hash", run.digest)]
    rows += [(name, _said(value)) for name, value in run.settings.items()]
    rows += [(f"version of {name}", text) for name, text in run.versions.items()]
    rows += [(f"code of {name}", text[:16]) for name, text in run.code.items()]
    yield panel("<h3>What was run</h3>", facts(rows))
    files = [
        [Cell(file.name, "w"), Cell(f"{file.size:,}", "r"), Cell(file.sha256[:16])]
        for file in run.files[:_MOST_FILES]
    ]
    more = len(run.files) - len(files)
    note = remark(f"{more} more files are in the JSON (--json).") if more else ""
    yield panel("<h3>Data</h3>", table(("file", "bytes", "sha256"), files), note, *_quality(found))
    yield remark(
        "A signal is filled at the next price after it. Signals of the warm-up do not count. "
        "Nothing here is advice, and no order was placed."
    )


def _quality(found: Evaluated) -> Iterator[str]:
    rows = [
        [
            Cell(key),
            Cell(f"{sum(market.seen.values()):,}", "r"),
            Cell(clock(market.begin_us) if market.begin_us else "never"),
            Cell(f"{market.quality.rows:,}", "r"),
            Cell(f"{market.quality.incomplete:,}", "r"),
            Cell(f"{market.quality.gaps + market.quality.missing_klines:,}", "r"),
            Cell(f"{market.quality.quarantined:,}", "r"),
        ]
        for key, market in found.markets.items()
    ]
    yield "<h3 style='margin-top:16px'>Quality</h3>"
    yield table(
        (
            "instrument",
            "klines",
            "counted from",
            "trades",
            "incomplete klines",
            "gaps",
            "quarantined",
        ),
        rows,
    )
    told = [text for market in found.markets.values() for text in market.quality.told]
    if told:
        items = "".join(f"<li>{escape(text)}</li>" for text in told[:20])
        yield f'<ul class="note">{items}</ul>'


_HEADS = (
    "strategy", "symbol", "parameters", "return", "of a year", "Sharpe", "Sortino", "drawdown",
    "trades", "won", "profit factor", "exposure", "fees",
)  # fmt: skip


def _figures_table(results: Sequence[Result], *, varied: bool = False) -> str:
    rows = [_figures_row(result) for result in results]
    heads = list(_HEADS)
    if not any(result.varied for result in results):
        del heads[2]
        for row in rows:
            del row[2]
    return table(heads, rows, best=frozenset({0} if varied else ()))


def _figures_row(result: Result) -> list[Cell]:
    of = result.statistics
    own = ", ".join(f"{name} {value}" for name, value in result.varied.items())
    return [
        Cell(result.strategy), Cell(symbol_of(result.key)), Cell(own, "w" if own else ""),
        percent(of.total_return), percent(of.annual_return), number(of.sharpe),
        number(of.sortino), percent(of.max_drawdown), Cell(f"{of.trades:,}", "r"),
        percent(of.win_rate, signed=False), number(of.profit_factor),
        percent(of.exposure, signed=False), number(float(of.fees)),
    ]  # fmt: skip


def _between(details: Details) -> str:
    times = details.series.close_us
    return f"{clock(int(times[0]) + 1)} to {clock(int(times[-1]) + 1)}"


def _title(result: Result) -> str:
    own = ", ".join(f"{name} {value}" for name, value in result.varied.items())
    return f"{result.strategy} on {symbol_of(result.key)}" + (f" with {own}" if own else "")


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items()) or "none"
    return "none" if value is None else str(value)
