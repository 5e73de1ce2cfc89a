"""A run's summary as a table for people."""

from rich.markup import escape

from cli.output import OUT, table
from cli.progress import human
from connectors.archive.facts import FileFacts
from dataflows.summary import Summary


def print_summary(summary: Summary) -> None:
    """Print the totals of a run."""
    rate = summary.rows / summary.seconds if summary.seconds else 0.0
    klines = ", ".join(f"{count} of {name}" for name, count in summary.klines.items()) or "none"
    signals = ", ".join(f"{count} {name}" for name, count in summary.signals.items()) or "none"
    rows: list[tuple[object, ...]] = [
        ("rows", f"{summary.rows} in {summary.seconds:.2f} s ({human(rate)}/s)"),
        ("trades", f"{summary.received} received, {summary.accepted} accepted"),
        ("duplicates", summary.duplicates),
        ("rejected", summary.rejected),
        ("repaired", f"{summary.repaired} rows in {summary.gaps_repaired} gaps"),
        ("gaps left", summary.gaps),
        ("quarantined", summary.quarantined),
        ("klines", klines),
        ("differ from the exchange's", summary.kline_mismatches),
        ("signals", signals),
    ]
    if summary.paper_fills:
        fills = ", ".join(f"{count} {name}" for name, count in summary.paper_fills.items())
        rows.append(("paper fills", fills))
    if summary.strategy_errors:
        rows.append(("strategies stopped", summary.strategy_errors))
    if summary.stored is not None:
        rows.insert(2, ("stored", f"{summary.stored} trades"))
    if not summary.all_stored:
        rows.append(("[bold red]books[/]", "stored is not accepted"))
    elif not summary.balanced:
        rows.append(("[bold red]books[/]", "received is not accepted + duplicates + rejected"))
    OUT.print(table("", "", rows=rows))


def print_files(files: list[FileFacts]) -> None:
    """Print an account of each file: what was in it, and what was wrong with it."""
    if files:
        rows: list[tuple[object, ...]] = [
            (escape(f.path.name), f.kind, f.rows, f.refused, f.checksum, escape(_oddities(f)))
            for f in files
        ]
        OUT.print(table("file", "kind", "rows", "refused", "checksum", "", rows=rows, right=(2, 3)))


def _oddities(file: FileFacts) -> str:
    told = [file.torn] if file.torn else []
    if file.repeated:
        told.append(f"{file.repeated} repeated klines")
    if not file.ordered:
        told.append("was out of order")
    return ", ".join(told)
