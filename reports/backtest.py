"""The report of a back-test: as a page, and as plain values for JSON. No clock: same run, same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from core.market.decimals import plain
from core.market.records import fill_fields
from core.paper.trips import Trip
from dataflows.backtest_hash import DataFile
from reports import page
from reports.charts import (
    MOST_CANDLES,
    Candles,
    Line,
    Mark,
    What,
    equity_chart,
    heat_map,
    kline_chart,
)
from reports.page import Cell, cards, clock, facts, figure, number, panel, percent, span, table
from reports.results import SORTS, Details, Evaluated, Market, Result, ordered

_MOST_TRIPS = 200
_MOST_MARKS = 120
_MOST_ROWS = 20
_MOST_FILES = 12
_MOST_SECTIONS = 12


@dataclass(frozen=True, slots=True)
class Run:
    """What was run.

    Attributes:
        digest: The run's hash.
        files: What was read.
        settings: Those that matter, as plain values.
        code: Hashes of the code, by name.
        versions: Of what computed.
        refused: Combinations that a strategy does not take.
        sort: The figure by which results are ordered, a name of `SORTS`.
        top: Rows of the table of combinations.

    """

    digest: str
    files: tuple[DataFile, ...]
    settings: Mapping[str, object]
    code: Mapping[str, str]
    versions: Mapping[str, str]
    refused: tuple[tuple[str, str], ...] = ()
    sort: str = "sharpe"
    top: int = _MOST_ROWS


def as_dict(run: Run, found: Evaluated) -> dict[str, object]:
    """Return all of it for JSON: every combination's figures, every trade of the best."""
    return {
        "hash": run.digest,
        "sort": run.sort,
        "settings": dict(run.settings),
        "data": [asdict(file) for file in run.files],
        "read": found.files,
        "code": dict(run.code),
        "versions": dict(run.versions),
        "instruments": {key: _market_dict(market) for key, market in found.markets.items()},
        "results": [_result_dict(r) for r in ordered(found.results, run.sort)],
        "refused": [{"instance": name, "reason": why} for name, why in run.refused],
    }


def html(run: Run, found: Evaluated) -> str:
    """Return the report as one page."""
    results = ordered(found.results, run.sort)
    best = [result for result in results if result.details is not None]
    body = [*_head(run, found, best), *_compared(found, best)]
    swept = len(results) > len(best)
    if swept:
        body += _sweep(run, results)
    for n, result in enumerate(best[:_MOST_SECTIONS]):
        body += _section(n, result, found.markets[result.key], best_of=swept)
    if len(best) > _MOST_SECTIONS:
        body.append(_note(f"{len(best) - _MOST_SECTIONS} more are in the JSON (--json)."))
    body += _facts(run, found)
    names = ", ".join(dict.fromkeys(result.strategy for result in best))
    return page.page(f"Back-test: {names}", body)


# ---- the page ----


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
    yield cards(_figures(first))
    if (
        details is not None
        and details.series.close_us[-1] - details.series.close_us[0] < 30 * 86_400_000_000
    ):
        yield _note("Less than a month: figures of a year are what a year of the same would be.")


def _figures(result: Result) -> list[tuple[str, Cell]]:
    of = result.statistics
    return [
        ("return", _left(percent(of.total_return))),
        ("buy and hold", _left(percent(of.buy_and_hold))),
        ("Sharpe, of a year", _left(number(of.sharpe))),
        ("deepest drawdown", _left(percent(of.max_drawdown))),
        ("round trips", Cell(f"{of.trades:,}")),
        ("of them won", _left(percent(of.win_rate, signed=False))),
        ("fees", _left(number(float(of.fees)))),
    ]


def _compared(found: Evaluated, best: Sequence[Result]) -> Iterator[str]:
    if len(best) < 2:
        return
    yield "<h2>Side by side</h2>"
    yield panel(_figures_table(best))
    for key, market in found.markets.items():
        own = [r for r in best if r.key == key and r.details is not None]
        # Beyond this, lines can no longer be told apart.
        lines = [_equity(r, r.strategy) for r in own[:5] if r.details is not None]
        if len(lines) > 1:
            hold = _hold(own[0])
            yield figure(
                equity_chart(lines, hold, title=f"Equity on {_symbol(key)}", name=f"all-{key}")
            )
    del market


def _sweep(run: Run, results: Sequence[Result]) -> Iterator[str]:
    yield f"<h2>{len(results):,} combinations</h2>"
    shown = results[: run.top]
    yield panel(_figures_table(shown, varied=True))
    if len(results) > len(shown):
        yield _note(
            f"The best {len(shown)} by {run.sort}; all {len(results):,} are in the JSON (--json)."
        )
    if run.refused:
        yield _note(
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
    title = (
        f"{run.sort}{', %' if is_share else ''}: {results[0].strategy} on {_symbol(results[0].key)}"
    )
    floats = [[None if v is None else float(v) for v in row] for row in values]
    yield figure(
        heat_map(
            (across, columns), (down, rows), floats, title=title, percent=is_share, name=f"heat-{n}"
        )
    )


def _section(n: int, result: Result, market: Market, *, best_of: bool) -> Iterator[str]:
    details = result.details
    if details is None:
        return
    best = " (its best combination)" if best_of and result.varied else ""
    yield f"<h2>{escape(result.strategy)} on {escape(_symbol(result.key))}, {escape(result.interval)}{best}</h2>"
    chips = "".join(
        f"<code>{escape(str(k))} {escape(str(v))}</code>" for k, v in result.params.items()
    )
    yield f'<p class="chips">{chips}</p>'
    if result.error:
        yield panel(
            "<h3>The strategy raised an error and was stopped</h3>",
            f"<pre>{escape(result.error)}</pre>",
            look="bad",
        )
    if n:  # those of the first one stand at the top
        yield cards(_figures(result))
    yield figure(
        equity_chart(
            [_equity(result, "equity")],
            _hold(result),
            title="Equity and drawdown",
            name=f"equity-{n}",
        )
    )
    yield from _pictures(n, result, market, details)
    yield f'<div class="pair">{"".join(panel(facts(rows)) for rows in _all_figures(result))}</div>'
    yield _trips(details)


def _pictures(n: int, result: Result, market: Market, details: Details) -> Iterator[str]:
    candles = _candles(market, result, details)
    marks = [*_fills(details), *_signals(details)]
    few = len(details.fills) <= _MOST_MARKS
    title = "Klines, signals and fills" if len(marks) <= _MOST_MARKS else "Klines and fills"
    shown = marks if len(marks) <= _MOST_MARKS else list(_fills(details)) if few else []
    note = "" if few else f"{len(details.fills):,} fills are too many to be drawn here: see below."
    yield figure(
        kline_chart(candles, shown, title=title if few else "Klines", name=f"klines-{n}"), note
    )
    if not few:
        yield figure(_last(candles, marks, n))
    ended = [trip for trip in details.trips if not trip.is_open]
    if not ended:
        return
    good, bad = max(ended, key=lambda t: t.gain), min(ended, key=lambda t: t.gain)
    for name, trip in (("Best", good), ("Worst", bad)) if good is not bad else (("Only", good),):
        part = _around(candles, trip)
        line = Line(
            "",
            np.array([trip.entry_us, trip.exit_us]),
            np.array([float(trip.entry), float(trip.exit)]),
        )
        title = f"{name} trade: {trip.side}, {percent(trip.gain).text}, {span(trip.exit_us - trip.entry_us)}"
        svg = kline_chart(part, marks, overlays=[line], title=title, name=f"{name}-{n}")
        yield figure(svg, f"{trip.why} → {trip.why_closed}")


def _last(candles: Candles, marks: Sequence[Mark], n: int) -> str:
    # Where they are too many to be drawn over all klines, over the last ones that had some.
    last_us = max(mark.time_us for mark in marks)
    end = int(np.searchsorted(candles.close_us, last_us)) + 10
    part = candles.part(end - MOST_CANDLES, end)
    title = f"The last {len(part)} klines with signals and fills"
    return kline_chart(part, marks, title=title, name=f"last-{n}")


def _trips(details: Details) -> str:
    trips = details.trips
    if not trips:
        return _note("No trade: no signal that counted was filled.")
    rows = [
        [
            Cell(trip.side),
            Cell(clock(trip.entry_us), ""),
            Cell(plain(trip.entry), "r"),
            Cell("open" if trip.is_open else clock(trip.exit_us)),
            Cell(plain(trip.exit), "r"),
            Cell(plain(trip.quantity), "r"),
            number(float(trip.fees)),
            Cell(number(float(trip.profit)).text, percent(trip.gain).look),
            percent(trip.gain),
            Cell(trip.why, "w"),
            Cell(trip.why_closed, "w"),
        ]
        for trip in trips[-_MOST_TRIPS:]
    ]
    columns = (
        "side",
        "entry",
        "price",
        "exit",
        "price",
        "quantity",
        "fees",
        "profit",
        "gain",
        "why",
        "why closed",
    )
    left = len(trips) - len(rows)
    note = (
        _note(f"The last {len(rows)} of {len(trips):,}; all are in the JSON (--json).")
        if left
        else ""
    )
    heading = f"<summary>{len(trips):,} trades</summary>"
    return panel(
        f"<details{' open' if len(trips) <= 30 else ''}>{heading}{note}{table(columns, rows)}</details>"
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
    note = _note(f"{more} more files are in the JSON (--json).") if more else ""
    yield panel("<h3>Data</h3>", table(("file", "bytes", "sha256"), files), note, *_quality(found))
    yield _note(
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


# ---- pieces ----


def _figures_table(results: Sequence[Result], *, varied: bool = False) -> str:
    columns = (
        "strategy",
        "symbol",
        "",
        "return",
        "of a year",
        "Sharpe",
        "Sortino",
        "drawdown",
        "trades",
        "won",
        "profit factor",
        "exposure",
        "fees",
    )
    rows = []
    for result in results:
        of = result.statistics
        own = ", ".join(f"{name} {value}" for name, value in result.varied.items())
        rows.append([
            Cell(result.strategy), Cell(_symbol(result.key)), Cell(own, "w" if varied and own else ""),
            percent(of.total_return), percent(of.annual_return), number(of.sharpe),
            number(of.sortino), percent(of.max_drawdown),
            Cell(f"{of.trades:,}", "r"), percent(of.win_rate, signed=False),
            number(of.profit_factor), percent(of.exposure, signed=False), number(float(of.fees)),
        ])  # fmt: skip
    if all(not result.varied for result in results):
        columns = columns[:2] + columns[3:]
        rows = [row[:2] + row[3:] for row in rows]
    return table(columns, rows, best=frozenset({0} if varied else ()))


def _all_figures(result: Result) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    of = result.statistics
    left = [
        ("equity in the end", number(float(of.equity)).text),
        ("profit after fees", number(float(of.profit)).text),
        ("return", percent(of.total_return).text),
        ("buy and hold, no fees", percent(of.buy_and_hold).text),
        ("annual return", percent(of.annual_return).text),
        ("annual volatility", percent(of.volatility, signed=False).text),
        ("Sharpe", number(of.sharpe).text),
        ("Sortino", number(of.sortino).text),
        ("Calmar", number(of.calmar).text),
        ("alpha against buy and hold", percent(of.alpha).text),
        ("beta", number(of.beta).text),
        ("ratios are of", f"{of.samples} returns per {of.sampling}"),
    ]
    right = [
        ("deepest drawdown", percent(of.max_drawdown).text),
        ("longest drawdown", span(of.drawdown_us)),
        ("round trips", f"{of.trades:,}" + (", one more is open" if of.open_trades else "")),
        ("won", percent(of.win_rate, signed=False).text),
        ("profit factor", number(of.profit_factor).text),
        ("average gain of those won", percent(of.average_win).text),
        ("average gain of the others", percent(of.average_loss).text),
        ("average time held", span(of.holding_us)),
        ("exposure", percent(of.exposure, signed=False).text),
        ("fees", number(float(of.fees)).text),
        ("signals", f"{result.said:,}, and {result.early:,} of the warm-up, which do not count"),
    ]
    return left, right


def _equity(result: Result, name: str) -> Line:
    assert result.details is not None
    series = result.details.series
    return Line(name, series.close_us, series.equity)


def _hold(result: Result) -> Line:
    assert result.details is not None
    series = result.details.series
    worth = series.price / series.price[0] * float(result.statistics.cash)
    return Line("buy and hold", series.close_us, worth)


def _candles(market: Market, result: Result, details: Details) -> Candles:
    klines = market.klines[result.interval]
    rows = slice(len(klines) - len(details.series.close_us), None)
    values = (np.array(getattr(klines, name))[rows] for name in ("open", "high", "low", "close"))
    return Candles(np.array(klines.close_us, dtype=np.int64)[rows], *values)


def _around(candles: Candles, trip: Trip) -> Candles:
    first, last = np.searchsorted(candles.close_us, [trip.entry_us, trip.exit_us]).tolist()
    beside = max(12, min(60, (last - first) // 3))
    return candles.part(first - beside, last + beside + 1)


def _fills(details: Details) -> Iterator[Mark]:
    for fill in details.fills:
        yield Mark(fill.time_us, float(fill.price), fill.side)


def _signals(details: Details) -> Iterator[Mark]:
    whats: dict[str, What] = {"long": "long", "short": "short", "flat": "flat"}
    for signal in details.signals:
        yield Mark(signal.close_us, float(signal.price), whats[signal.side.value])


def _between(details: Details) -> str:
    times = details.series.close_us
    return f"{clock(int(times[0]) + 1)} to {clock(int(times[-1]) + 1)}"


def _title(result: Result) -> str:
    own = ", ".join(f"{name} {value}" for name, value in result.varied.items())
    return f"{result.strategy} on {_symbol(result.key)}" + (f" with {own}" if own else "")


def _symbol(key: str) -> str:
    return key.partition(":")[2]


def _left(cell: Cell) -> Cell:
    return Cell(cell.text, cell.look.removeprefix("r").strip())


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items()) or "none"
    return "none" if value is None else str(value)


# ---- plain values ----


def _result_dict(result: Result) -> dict[str, object]:
    found: dict[str, Any] = {
        name: getattr(result, name)
        for name in ("key", "strategy", "instance", "interval", "params", "varied", "error")
    }
    found["signals"] = {"counted": result.said, "of_the_warm_up": result.early}
    found["statistics"] = result.statistics.as_dict()
    details = result.details
    if details is not None:
        found["trades"] = [_trip_dict(trip) for trip in details.trips]
        found["fills"] = [fill_fields(fill) for fill in details.fills]
        found["equity"] = {
            "close_ms": (details.series.close_us // 1000).tolist(),
            "equity": details.series.equity.tolist(),
        }
    return found


def _trip_dict(trip: Trip) -> dict[str, object]:
    return {
        "side": trip.side,
        "quantity": plain(trip.quantity),
        "entry_us": trip.entry_us,
        "entry": plain(trip.entry),
        "exit_us": trip.exit_us or None,
        "exit": plain(trip.exit),
        "fees": plain(trip.fees),
        "profit": plain(trip.profit),
        "gain": trip.gain,
        "why": trip.why,
        "why_closed": trip.why_closed,
    }


def _market_dict(market: Market) -> dict[str, object]:
    quality = {name: getattr(market.quality, name) for name in market.quality.__slots__}
    return {"klines": market.seen, "counted_from_us": market.begin_us or None, "quality": quality}
