"""The newest kline, signal and equity of every symbol as a table that keeps itself up to date.

    python examples/dashboard_worker.py --url redis://localhost:6379/0

Who only wants the newest values needs no consumer group: it reads what is there, then follows.
"""

import argparse
from decimal import Decimal

from rich.console import Console
from rich.live import Live
from rich.table import Table

from connectors.redis.reader import Entry, Reader
from core.market.decimals import plain
from core.market.paper import TOTAL, Equity
from subscribers.typed import KlineRecord, SignalRecord, typed

KINDS = ("kline", "forming", "signal", "equity")


class Board:
    """What is known of each symbol; one row each, whatever comes."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, str]] = {}

    def take(self, entry: Entry) -> None:
        """Take an entry."""
        record = typed(entry)
        row = self._rows.setdefault(record.key, {})
        if isinstance(record, KlineRecord) and record.interval == "1m":
            change = (record.close / record.open - 1) * 100 if record.open else Decimal(0)
            row |= {"price": plain(record.close), "minute": f"{change:+.2f} %"}
            row["trades"] = str(record.trades)
        elif isinstance(record, SignalRecord):
            row["signal"] = f"{record.side} by {record.instance}: {record.reason}"
        elif isinstance(record, Equity) and record.instance == TOTAL:
            row["equity"] = f"{record.equity:.2f}"

    def table(self) -> Table:
        """Return it as a table."""
        columns = ("price", "minute", "trades", "equity", "signal")
        table = Table("symbol", *columns, box=None)
        for key, row in sorted(self._rows.items()):
            table.add_row(key.partition(":")[2], *(row.get(name, "") for name in columns))
        return table


def main() -> None:
    """Run until Ctrl-C, or show it once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", required=True, help="address of Redis")
    parser.add_argument("--once", action="store_true", help="show it once")
    told = parser.parse_args()
    reader, board, console = Reader(told.url), Board(), Console()
    names = reader.discover(KINDS)
    since = {name: reader.last_id(name) for name in names}
    for name in names:
        for entry in reader.newest([name], 20):
            board.take(entry)
    if told.once:
        console.print(board.table())
        return
    with Live(board.table(), console=console, auto_refresh=False) as live:
        for entries in reader.follow(since):
            for entry in entries:
                board.take(entry)
            live.update(board.table(), refresh=True)


if __name__ == "__main__":
    main()
