"""A database of your own, each record once: here SQLite, and two habits that hold for any other.

    python examples/database_worker.py --url redis://localhost:6379/0 --file records.sqlite

The primary key is what makes a record unique, so what comes again changes nothing; and a batch is
acknowledged after COMMIT, so nothing is lost. For PostgreSQL there is `cryptotools sink postgres`.
"""

import argparse
import sqlite3
import sys
from pathlib import Path

import orjson

from subscribers.consumer import Batch, Consumer

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    key TEXT, kind TEXT, interval TEXT, lane TEXT, seq INTEGER, fields TEXT NOT NULL,
    PRIMARY KEY (key, kind, interval, lane, seq)
) WITHOUT ROWID
"""


class Worker:
    """Stores batches."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file)
        self._database.execute(SCHEMA)

    def __call__(self, batch: Batch) -> None:
        """Store a batch; it is acknowledged when this returns."""
        for missed in batch.missed:
            sys.stderr.write(f"{missed}\n")
        rows = [(*d.unique, orjson.dumps(d.fields).decode()) for d in batch.entries]
        with self._database:  # one transaction
            self._database.executemany("INSERT OR IGNORE INTO records VALUES (?,?,?,?,?,?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def main() -> None:
    """Run until Ctrl-C, or until nothing is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", required=True, help="address of Redis")
    parser.add_argument("--file", type=Path, default=Path("records.sqlite"))
    parser.add_argument("--once", action="store_true", help="end when nothing is left")
    told = parser.parse_args()
    worker = Worker(told.file)
    with Consumer(told.url, "sqlite", name="one", batch=1000) as consumer:
        until = (lambda one: not any(lag.entries for lag in one.lag())) if told.once else None
        try:
            consumer.run(worker, until=until)
        finally:
            worker.close()


if __name__ == "__main__":
    main()
