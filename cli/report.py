"""A run's summary as a table for people."""

from cli.output import OUT, table
from cli.progress import human
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
    if summary.strategy_errors:
        rows.append(("strategies stopped", summary.strategy_errors))
    if not summary.balanced:
        rows.append(("[bold red]books[/]", "received is not accepted + duplicates + rejected"))
    OUT.print(table("", "", rows=rows))
