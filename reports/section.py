"""One account in a report: its curves, what it did on the klines, its figures, its trades."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from core.market.decimals import plain
from core.paper.trips import Trip
from reports.charts import MOST_CANDLES, equity_chart, kline_chart
from reports.columns import Candles, Line, Mark, What
from reports.page import Cell, cards, clock, facts, figure, number, panel, percent, span, table
from reports.results import Details, Market, Result

_MOST_TRIPS = 200
_MOST_MARKS = 120
_MOST_SHOWN = 30


def figures_of(result: Result) -> list[tuple[str, Cell]]:
    """Return the figures that stand out."""
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


def equity_of(result: Result, name: str) -> Line:
    """Return an account's equity as a line; it must have details."""
    assert result.details is not None
    series = result.details.series
    return Line(name, series.close_us, series.equity)


def hold_of(result: Result) -> Line:
    """Return what buy and hold of the same cash would be worth."""
    assert result.details is not None
    series = result.details.series
    worth = series.price / series.price[0] * float(result.statistics.cash)
    return Line("buy and hold", series.close_us, worth)


def symbol_of(key: str) -> str:
    """Return the symbol of a key."""
    return key.partition(":")[2]


def _left(cell: Cell) -> Cell:
    return Cell(cell.text, cell.look.removeprefix("r").strip())


def remark(text: str) -> str:
    """Return a small paragraph; `text` is escaped."""
    return f'<p class="note">{escape(text)}</p>'


def section(n: int, result: Result, market: Market, *, best_of: bool) -> Iterator[str]:
    """Yield the markup of the `n`-th account; nothing where it has no details."""
    details = result.details
    if details is None:
        return
    best = " (its best combination)" if best_of and result.varied else ""
    title = f"{result.strategy} on {symbol_of(result.key)}, {result.interval}{best}"
    yield f"<h2>{escape(title)}</h2>"
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
        yield cards(figures_of(result))
    yield figure(
        equity_chart(
            [equity_of(result, "equity")],
            hold_of(result),
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
        held = span(trip.exit_us - trip.entry_us)
        title = f"{name} trade: {trip.side}, {percent(trip.gain).text}, {held}"
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
        return remark("No trade: no signal that counted was filled.")
    rows = [
        [
            Cell(trip.side),
            Cell(clock(trip.entry_us), ""),
            Cell(f"{trip.entry:.9g}", "r"),
            Cell("open" if trip.is_open else clock(trip.exit_us)),
            Cell(f"{trip.exit:.9g}", "r"),
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
        remark(f"The last {len(rows)} of {len(trips):,}; all are in the JSON (--json).")
        if left
        else ""
    )
    heading = f"<summary>{len(trips):,} trades</summary>"
    shown = " open" if len(trips) <= _MOST_SHOWN else ""
    return panel(f"<details{shown}>{heading}{note}{table(columns, rows)}</details>")


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
