"""Pieces of a page: escaped text, tables, and its looks. One file, no network, no script."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple

# Blue and orange: told apart with any colour vision. Contrast of text is at least 5 to 1.
CSS = """
:root{color-scheme:light dark;--ground:#f4f6f8;--panel:#fff;--ink:#17202a;--soft:#55606c;
--grid:#d9dfe5;--up:#08559a;--down:#9e3f00;--line:#6b3fa8;--hold:#77808a;--mark:#e8f0f8}
@media (prefers-color-scheme:dark){:root{--ground:#0e1319;--panel:#161d26;--ink:#e4eaf0;
--soft:#9aa7b4;--grid:#2b3643;--up:#5ab4f5;--down:#f59342;--line:#c3a2f7;--hold:#8a96a3;
--mark:#1d2a38}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1160px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:25px;line-height:1.25;margin:0 0 4px}h2{font-size:19px;margin:38px 0 10px}
h3{font-size:15px;margin:0 0 8px}p{margin:6px 0}a{color:var(--up)}
.soft,figcaption,.note{color:var(--soft);font-size:13px}
.panel{background:var(--panel);border:1px solid var(--grid);border-radius:8px;padding:14px 16px;
margin:12px 0;overflow-x:auto}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:10px;margin:14px 0}
.card{background:var(--panel);border:1px solid var(--grid);border-radius:8px;padding:9px 12px}
.card b{display:block;font-size:19px;font-variant-numeric:tabular-nums;white-space:nowrap}
.card span{color:var(--soft);font-size:12.5px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:0 14px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--soft);border-bottom:1px solid var(--grid)}
th,td{padding:4px 11px 4px 0;vertical-align:top;white-space:nowrap}
td.w{white-space:normal;min-width:150px}tbody tr+tr td{border-top:1px solid var(--grid)}
.r{text-align:right}.up{color:var(--up)}.down{color:var(--down)}
tr.best td{background:var(--mark)}figure{margin:0}
svg{display:block;width:100%;min-width:660px;height:auto}
svg text{font-family:inherit!important}code{font:12.5px ui-monospace,monospace;
overflow-wrap:anywhere}pre{white-space:pre-wrap;font:12.5px ui-monospace,monospace;margin:0}
.chips{margin:4px 0 0}.chips code{display:inline-block;background:var(--mark);border-radius:5px;
padding:1px 7px;margin:2px 6px 2px 0}
summary{cursor:pointer;font-weight:600}.bad{border-left:4px solid var(--down)}
@media (max-width:600px){main{padding:16px 12px 32px}.panel{padding:10px}h1{font-size:21px}}
@media print{:root{color-scheme:light;--ground:#fff;--panel:#fff;--ink:#17202a;--soft:#55606c;
--grid:#d9dfe5;--up:#08559a;--down:#9e3f00;--line:#6b3fa8;--hold:#77808a;--mark:#e8f0f8}
main{max-width:none;padding:0}.panel,.card{break-inside:avoid}svg{min-width:0}}
"""


class Cell(NamedTuple):
    """A table's cell: text that is escaped, and how it stands.

    Attributes:
        look: Classes: ``r`` to the right, ``up`` and ``down`` coloured, ``w`` may wrap.

    """

    text: str
    look: str = ""


def _cell(tag: str, cell: Cell) -> str:
    look = f' class="{cell.look.strip()}"' if cell.look.strip() else ""
    return f"<{tag}{look}>{escape(cell.text)}</{tag}>"


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page; `body` is markup, `title` is text."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, best: frozenset[int] = frozenset()
) -> str:
    """Return a table; a column stands to the right where its first row does.

    Args:
        columns: Names; none: no head.
        rows: Cells.
        best: Numbers of rows that are marked.

    """
    listed = list(rows)
    lines = [[_cell("td", cell) for cell in row] for row in listed]
    looks = [cell.look.partition(" ")[0] for cell in listed[0]] if listed else [""] * len(columns)
    head = "".join(
        _cell("th", Cell(name, "r" if look == "r" else ""))
        for name, look in zip(columns, looks, strict=False)
    )
    body = "\n".join(
        f"<tr{' class=best' if n in best else ''}>{''.join(line)}</tr>"
        for n, line in enumerate(lines)
    )
    return (
        "<table>"
        + (f"<thead><tr>{head}</tr></thead>" if columns else "")
        + f"<tbody>{body}</tbody></table>"
    )


def panel(*markup: str, look: str = "") -> str:
    """Return markup on a ground of its own."""
    return f'<div class="panel{" " + look if look else ""}">{"".join(markup)}</div>'


def figure(svg: str, caption: str = "") -> str:
    """Return a picture on a ground of its own; `caption` is text."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return panel(f"<figure>{svg}{below}</figure>")


def cards(figures: Iterable[tuple[str, Cell]]) -> str:
    """Return figures that stand out, each with its name."""
    inner = "".join(
        f'<div class="card"><b class="{cell.look}">{escape(cell.text)}</b>'
        f"<span>{escape(name)}</span></div>"
        for name, cell in figures
    )
    return f'<div class="cards">{inner}</div>'


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and texts as a table."""
    return table((), [[Cell(name), Cell(text, "w")] for name, text in rows])


# ---- figures as people read them ----


def percent(value: float | None, *, signed: bool = True) -> Cell:
    """Return a fraction in percent.

    >>> percent(0.1234), percent(None)
    (Cell(text='+12.34 %', look='r up'), Cell(text='n/a', look='r'))
    """
    if value is None:
        return Cell("n/a", "r")
    look = "" if not signed else " up" if value > 0 else " down" if value < 0 else ""
    sign = "+" if signed else ""
    shown = f"{value * 100:{sign},.2f}" if abs(value) < 100 else f"{value * 100:{sign},.0f}"
    return Cell(f"{shown} %", f"r{look}")


def number(value: float | None, places: int = 2) -> Cell:
    """Return a number.

    >>> number(-1.5).text, number(1234.5).text
    ('-1.50', '1,234.50')
    """
    if value is None:
        return Cell("n/a", "r")
    return Cell(f"{value:,.{places}f}", "r")


def span(us: int) -> str:
    """Return a length of time.

    >>> span(90_000_000), span(7_500_000_000), span(200_000_000_000)
    ('1 min 30 s', '2 h 5 min', '2 d 7 h')
    """
    left = us // 1_000_000
    found: list[str] = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (found and len(found) < 2):
            found.append(f"{count} {name}")
        if len(found) == 2:
            break
    return " ".join(part for part in found if not part.startswith("0 ")) or "0 s"


def clock(us: int, *, seconds: bool = False) -> str:
    """Return a time in UTC.

    >>> clock(1_738_281_600_000_000)
    '2025-01-31 00:00'
    """
    found = datetime.fromtimestamp(us // 1_000_000, UTC)
    return found.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
