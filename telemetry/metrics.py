"""Every counter of the project, in one place; Bytewax's own web server exports them.

The books balance per instrument: received = accepted + duplicate + rejected. At the end of a run
accepted = stored, in rows of trades.
"""

from prometheus_client import REGISTRY, Counter, Gauge

RECEIVED = Counter("cryptotools_trades_received", "Trade rows that a source read.", ["key"])
ACCEPTED = Counter("cryptotools_trades_accepted", "Trade rows that entered the flow.", ["key"])
DUPLICATE = Counter("cryptotools_trades_duplicate", "Trade rows already seen.", ["key"])
REJECTED = Counter("cryptotools_trades_rejected", "Trade rows that cannot be trades.", ["key"])
REPAIRED = Counter("cryptotools_trades_repaired", "Accepted rows that came by REST.", ["key"])
QUARANTINED = Counter("cryptotools_quarantined", "Inputs that could not be used.", ["key"])
GAPS = Counter("cryptotools_gaps", "Holes in the trade ids: opened, repaired or permanent.",
               ["key", "state"])  # fmt: skip
KLINES = Counter("cryptotools_klines", "Final klines emitted.", ["key", "interval"])
KLINE_MISMATCHES = Counter(
    "cryptotools_kline_mismatches", "Final klines that differ from the exchange's.", ["key"]
)
SIGNALS = Counter("cryptotools_signals", "Signals emitted.", ["strategy"])
STRATEGY_ERRORS = Counter("cryptotools_strategy_errors", "Instances stopped by an error.",
                          ["strategy"])  # fmt: skip
PAPER_FILLS = Counter("cryptotools_paper_fills", "Fills of paper accounts.", ["strategy"])
PAPER_NOTICES = Counter(
    "cryptotools_paper_notices", "Orders that buy nothing (unfilled), accounts closed (bankrupt).",
    ["kind", "strategy"],
)  # fmt: skip
FEATURE_ROWS = Counter("cryptotools_feature_rows", "Rows of features emitted.", ["features"])
PREDICTIONS = Counter("cryptotools_predictions", "Predictions: said, none (see why) or shadow.",
                      ["model", "state"])  # fmt: skip
MODEL_QUALITY = Gauge(
    "cryptotools_model_quality", "How good a version's predictions were of late.",
    ["key", "model", "version", "metric"],
)  # fmt: skip
MODEL_DRIFT = Gauge(
    "cryptotools_model_psi", "Population stability index of a feature: above 0.25 it drifted.",
    ["key", "model", "version", "feature"],
)  # fmt: skip
RECONNECTS = Counter("cryptotools_reconnects", "Links lost.", ["key"])
CLOCK_SKEW = Gauge("cryptotools_clock_skew_seconds", "The exchange's clock minus ours.")
STORED = Counter("cryptotools_rows_stored", "Rows in closed lake files.", ["kind"])
PUBLISHED = Counter("cryptotools_entries_published", "Entries added to Redis.", ["kind"])
PUBLISH_DUPLICATES = Counter(
    "cryptotools_entries_duplicate", "Entries that Redis already held.", ["kind"]
)
BACKLOG = Gauge("cryptotools_redis_backlog_rows", "Rows that Redis has not taken yet.", ["writer"])
AWAY_SINCE = Gauge(
    "cryptotools_redis_away_since_seconds", "Since when Redis takes none; 0: it does.", ["writer"]
)
BLOCKED = Gauge(
    "cryptotools_redis_blocked", "1: the backlog is full and the flow waits.", ["writer"]
)


def values(gauge: Gauge) -> dict[str, float]:
    """Return a gauge's values by their only label."""
    (family,) = gauge.collect()
    return {label: s.value for s in family.samples for label in s.labels.values()}


def total(counter: Counter, **labels: str) -> int:
    """Return the sum of a counter over all its children that have these label values."""
    (family,) = counter.collect()
    return int(
        sum(
            sample.value
            for sample in family.samples
            if sample.name.endswith("_total") and labels.items() <= sample.labels.items()
        )
    )


def snapshot() -> dict[str, float]:
    """Return every counter of the project as ``name{label=value,…}``: for `--json` and tests."""
    return {
        _series(sample.name, sample.labels): sample.value
        for family in REGISTRY.collect()
        if family.name.startswith("cryptotools_")
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def _series(name: str, labels: dict[str, str]) -> str:
    inner = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
    return f"{name}{{{inner}}}" if inner else name


class RowBooks:
    """Turns a session's running totals into increments of the counters above."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}

    def show(self, totals: dict[str, tuple[int, int, int]]) -> None:
        """Take (received, duplicate, rejected) rows by key, as counted since the start."""
        for key, (received, duplicate, rejected) in totals.items():
            old = self._seen.get(key, (0, 0, 0))
            if (received, duplicate, rejected) != old:
                RECEIVED.labels(key).inc(max(0, received - old[0]))
                DUPLICATE.labels(key).inc(duplicate - old[1])
                REJECTED.labels(key).inc(rejected - old[2])
                self._seen[key] = (received, duplicate, rejected)
