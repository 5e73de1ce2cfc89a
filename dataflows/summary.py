"""What a run did, in figures: read from the counters, for people and for scripts."""

from dataclasses import asdict, dataclass

from prometheus_client import Counter

from telemetry import metrics
from telemetry.progress import PROGRESS


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of this process. received = accepted + duplicates + rejected, in trades.

    `rows` are those of the input, whatever they are: trades, klines, frames. `stored` are trades
    in closed files of the lake, which at the end are those accepted; None where none is written.
    """

    rows: int
    received: int
    accepted: int
    stored: int | None
    duplicates: int
    rejected: int
    repaired: int
    quarantined: int
    gaps_opened: int
    gaps_repaired: int
    gaps: int
    klines: dict[str, int]
    kline_mismatches: int
    signals: dict[str, int]
    strategy_errors: int
    paper_fills: dict[str, int]
    seconds: float

    @property
    def balanced(self) -> bool:
        """Whether the books balance."""
        entered = self.received == self.accepted + self.duplicates + self.rejected
        return entered and self.all_stored

    @property
    def all_stored(self) -> bool:
        """Whether each trade accepted is in the lake, where one is written."""
        return self.stored is None or self.stored == self.accepted

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {**asdict(self), "balanced": self.balanced}


def summarize(seconds: float, *, lake: bool = False) -> Summary:
    """Return the totals as they stand; `lake` says whether the run wrote one.

    Of a run that went on from a snapshot `stored` has also rows that were pending in it.
    """
    total = metrics.total
    return Summary(
        rows=PROGRESS.rows or total(metrics.RECEIVED),
        received=total(metrics.RECEIVED),
        accepted=total(metrics.ACCEPTED),
        stored=total(metrics.STORED, kind="trades") if lake else None,
        duplicates=total(metrics.DUPLICATE),
        rejected=total(metrics.REJECTED),
        repaired=total(metrics.REPAIRED),
        quarantined=total(metrics.QUARANTINED),
        gaps_opened=total(metrics.GAPS, state="opened"),
        gaps_repaired=total(metrics.GAPS, state="repaired"),
        gaps=total(metrics.GAPS, state="permanent"),
        klines=_by(metrics.KLINES, "interval"),
        kline_mismatches=total(metrics.KLINE_MISMATCHES),
        signals=_by(metrics.SIGNALS, "strategy"),
        strategy_errors=total(metrics.STRATEGY_ERRORS),
        paper_fills=_by(metrics.PAPER_FILLS, "strategy"),
        seconds=round(seconds, 3),
    )


def _by(counter: Counter, label: str) -> dict[str, int]:
    values: dict[str, int] = {}
    for family in counter.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                name = sample.labels[label]
                values[name] = values.get(name, 0) + int(sample.value)
    return values
