"""Whether every row is accounted for: what came in, less what went out, less what is on its way.

    source   received - waiting            = accepted + duplicate + rejected
    lake     accepted + restored at a start = stored + waiting for their file

Read while rows move, so what is downstream is read first: a row that moves meanwhile is missing on
the far side, never counted twice. The remainder is therefore the truth plus the rows in flight, and
its smallest value over some minutes is the truth: 0, or rows were lost (above) or doubled (below).
A source, when asked, first shows what it counted of duplicates, so those are read behind it.
Within a cluster rows change processes, and no process can balance them alone.
"""

from collections.abc import Callable

from telemetry import metrics

Rows = Callable[[], int]


class Books:
    """What the sources and the lake's writers of this process say of themselves."""

    def __init__(self) -> None:
        self._sources: dict[str, Rows] = {}
        self._writers: dict[str, Rows] = {}

    def open_source(self, name: str, decided: Rows) -> None:
        """Take a source; it tells how many rows it received that wait for nothing any more."""
        self._sources[name] = decided

    def open_writer(self, name: str, pending: Rows) -> None:
        """Take a writer of the lake; it tells how many trades are in no file yet."""
        self._writers[name] = pending

    def unexplained(self) -> dict[str, int]:
        """Return the remainder of each of the books that are kept here."""
        found: dict[str, int] = {}
        total = metrics.total
        if self._writers:
            stored = total(metrics.STORED, kind="trades")
            stored += sum(pending() for pending in list(self._writers.values()))
            found["lake"] = -stored
        accepted = total(metrics.ACCEPTED)
        if self._writers:
            found["lake"] += accepted + total(metrics.RESTORED, kind="trades")
        if self._sources:
            decided = sum(ask() for ask in list(self._sources.values()))
            dropped = total(metrics.DUPLICATE) + total(metrics.REJECTED)
            found["source"] = decided - accepted - dropped
        return found

    def close(self) -> None:
        """Forget them."""
        self._sources.clear()
        self._writers.clear()


BOOKS = Books()
"""The process's own."""
