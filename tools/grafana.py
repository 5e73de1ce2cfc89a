"""Writes monitoring/grafana/cryptotools.json, the dashboard, from the list below.

python -m tools.grafana
"""

import json
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "monitoring/grafana/cryptotools.json"

_WIDTH = 24
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_FLOW = 'job=~"$job", instance=~"$instance"'
_KEY = f'{_FLOW}, key=~"$key"'
_API = 'job="cryptotools-api"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture of some series.

    Attributes:
        title: What is seen.
        unit: As Grafana calls it.
        queries: Expressions and what their lines are called.
        about: What it means, and what is good.
        kind: As Grafana calls it.
        width: Of 24.
        bad_above: A value that is drawn as bad.

    """

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str
    _: KW_ONLY
    kind: str = "timeseries"
    width: int = 8
    bad_above: float | None = None


def _quantiles(metric: str, selector: str, by: str = "") -> tuple[tuple[str, str], ...]:
    labels, name = (f"{by}, le", f"{{{{{by}}}}} ") if by else ("le", "")
    return tuple(
        (f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{selector}}}"
         "[$__rate_interval])))", f"{name}p{round(q * 100)}")
        for q in (0.5, 0.99)
    )  # fmt: skip


def _rate(metric: str, selector: str, by: str) -> tuple[tuple[str, str], ...]:
    expression = f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"
    return ((expression, f"{{{{{by}}}}}"),)


def _stat(title: str, unit: str, query: str, about: str, bad_above: float | None = None) -> Panel:
    return Panel(title, unit, ((query, ""),), about, kind="stat", width=4, bad_above=bad_above)


ROWS: dict[str, tuple[Panel, ...]] = {
    "Overview": (
        _stat("Trades", "reqps", f"sum(rate(cryptotools_trades_accepted_total{{{_FLOW}}}[1m]))",
              "Accepted trades per second, of all flows."),
        _stat("Furthest behind", "s", f"max(cryptotools_lag_seconds{{{_KEY}}})",
              "Its clock minus what is known to be complete, of the slowest symbol.", 30),
        _stat("Gaps open", "none", f"sum(cryptotools_gaps_open{{{_KEY}}})",
              "Holes in trade ids that are being repaired.", 1),
        _stat("Unexplained rows", "none",
              f"max(min_over_time(cryptotools_books_unexplained_rows{{{_FLOW}}}[10m]))",
              "What came in less what is accounted for: 0, or rows were lost.", 1),
        _stat("Connections", "none", f"sum(cryptotools_links_open{{{_FLOW}}})",
              "Open connections to the exchange."),
        _stat("Heartbeat", "s", f"time() - min(cryptotools_heartbeat_timestamp_seconds{{{_FLOW}}})",
              "Since a flow last told of itself.", 10),
    ),
    "Rows": (
        Panel("Trades by symbol", "reqps", _rate("cryptotools_trades_accepted_total", _KEY, "key"),
              "Accepted per second."),
        Panel("Not accepted", "reqps",
              (*_rate("cryptotools_trades_duplicate_total", _KEY, "key"),
               *_rate("cryptotools_trades_rejected_total", _KEY, "key")),
              "Seen before (usual after reconnects), or impossible."),
        Panel("Klines and signals", "reqps",
              (*_rate("cryptotools_klines_total", _KEY, "interval"),
               *_rate("cryptotools_signals_total", _FLOW, "strategy")),
              "Final klines by interval, signals by strategy, per second."),
    ),
    "Data quality": (
        Panel("Behind the exchange", "s", ((f"cryptotools_lag_seconds{{{_KEY}}}", "{{key}}"),),
              "What is newer waits for a repair or for the flow.", bad_above=30),
        Panel("Repaired trades", "reqps", _rate("cryptotools_trades_repaired_total", _KEY, "key"),
              "Rows that came by REST, per second."),
        Panel("Time of repairs", "s",
              _quantiles("cryptotools_repair_seconds", _FLOW, "outcome"),
              "From finding a hole to its end."),
        Panel("Gaps", "none",
              ((f"sum by (state) (increase(cryptotools_gaps_total{{{_KEY}}}[$__rate_interval]))",
                "{{state}}"),),
              "Holes opened, repaired, and permanent."),
        Panel("Klines that differ", "none",
              ((f"sum by (key) (increase(cryptotools_kline_mismatches_total{{{_KEY}}}"
                "[$__rate_interval]))", "{{key}}"),),
              "From what the exchange published. None is usual."),
        Panel("The books", "none",
              ((f"cryptotools_books_unexplained_rows{{{_FLOW}}}", "{{books}}"),),
              "Rows in flight, or unexplained where it stays above or below 0."),
    ),
    "The exchange": (
        Panel("Reconnects", "none",
              ((f"sum by (shard) (increase(cryptotools_reconnects_total{{{_FLOW}}}"
                "[$__rate_interval]))", "{{shard}}"),),
              "Links lost; each costs a repair."),
        Panel("Age of links", "s",
              ((f"time() - cryptotools_link_opened_timestamp_seconds{{{_FLOW}}}", "{{shard}}"),),
              "Replaced after 23 hours.", bad_above=84_600),
        Panel("Messages", "reqps", _rate("cryptotools_frames_received_total", _FLOW, "shard"),
              "Messages of WebSockets per second."),
        Panel("REST weight of the minute", "none",
              ((f"cryptotools_rest_weight_used{{{_FLOW}}}", "used"),
               (f"cryptotools_rest_weight_limit{{{_FLOW}}}", "limit")),
              "By the exchange's own count: other programs at this address are in it."),
        Panel("Refusals", "none",
              ((f"sum by (status) (increase(cryptotools_rest_refusals_total{{{_FLOW}}}"
                "[$__rate_interval]))", "{{status}}"),),
              "429: pause; 418: ban; 403: firewall."),
        Panel("Clock", "s", ((f"cryptotools_clock_skew_seconds{{{_FLOW}}}", "skew"),),
              "The exchange's minus ours."),
    ),
    "Latency": (
        Panel("By stage, median", "s",
              (_quantiles("cryptotools_latency_seconds", _FLOW, "stage")[0],),
              "Where trades spend their time."),
        Panel("By stage, p99", "s", (_quantiles("cryptotools_latency_seconds", _FLOW, "stage")[1],),
              "The slowest hundredth."),
        Panel("Decisions of strategies", "s",
              _quantiles("cryptotools_strategy_decision_seconds", _FLOW, "strategy"),
              "Time of an instance for a kline."),
    ),
    "Redis and lake": (
        Panel("Entries published", "reqps",
              _rate("cryptotools_entries_published_total", _FLOW, "kind"),
              "Per second."),
        Panel("Rows that wait for Redis", "none",
              ((f"sum by (writer) (cryptotools_redis_backlog_rows{{{_FLOW}}})", "waits {{writer}}"),
               (f"sum by (writer) (cryptotools_redis_held_rows{{{_FLOW}}})", "held {{writer}}")),
              "Bounded: when the backlog is full the flow waits."),
        Panel("Calls of Redis", "s", _quantiles("cryptotools_redis_call_seconds", _FLOW),
              "Those whose answer was waited for."),
        Panel("Rows in no file yet", "none",
              ((f"cryptotools_lake_pending_rows{{{_FLOW}}}", "{{writer}}"),),
              "They are in the lake's log."),
        Panel("Rows stored", "reqps", _rate("cryptotools_rows_stored_total", _FLOW, "kind"),
              "In closed files."),
        Panel("Disk", "bytes",
              ((f"cryptotools_disk_free_bytes{{{_FLOW}}}", "free"),
               (f"cryptotools_disk_size_bytes{{{_FLOW}}}", "size")),
              "Where the lake is."),
        Panel("Snapshots", "s", _quantiles("cryptotools_snapshot_seconds", _FLOW, "step"),
              "Time they take."),
        Panel("Age of snapshots", "s",
              ((f"time() - cryptotools_snapshot_timestamp_seconds{{{_FLOW}}}", "{{step}}"),),
              "What a crash asks for again.", bad_above=600),
        Panel("Files made", "s", _quantiles("cryptotools_lake_file_seconds", _FLOW, "kind"),
              "Making and publishing one."),
    ),
    "Strategies and models": (
        Panel("Instances", "none",
              ((f"sum by (state) (cryptotools_strategy_instances{{{_FLOW}}})", "{{state}}"),),
              "On symbols."),
        Panel("Stopped by an error", "none",
              ((f"sum by (strategy) (increase(cryptotools_strategy_errors_total{{{_FLOW}}}"
                "[$__rate_interval]))", "{{strategy}}"),),
              "Each alone; others go on."),
        Panel("Drift of features", "none",
              ((f"max by (model, feature) (cryptotools_model_psi{{{_KEY}}})",
                "{{model}} {{feature}}"),),
              "Population stability index.", bad_above=0.25),
    ),
    "API": (
        Panel("Requests", "reqps", _rate("cryptotools_api_requests_total", _API, "status"),
              "By status."),
        Panel("Time of requests", "s", _quantiles("cryptotools_api_request_seconds", _API),
              "Commands wait for the flow by design."),
        Panel("Live clients", "none",
              ((f"sum by (transport) (cryptotools_api_live_clients{{{_API}}})", "{{transport}}"),),
              "Dashboards and programs."),
        Panel("Frames", "reqps", _rate("cryptotools_api_live_frames_total", _API, "transport"),
              "Given to live clients per second."),
        Panel("Redis errors", "reqps", _rate("cryptotools_api_redis_errors_total", _API, "kind"),
              "Away or refused."),
        Panel("Jobs", "none", ((f"sum by (state) (cryptotools_api_jobs{{{_API}}})", "{{state}}"),),
              "Back-tests, replays, proofs of parity."),
    ),
    "Processes": (
        Panel("CPU", "percentunit",
              (('rate(process_cpu_seconds_total{job=~"cryptotools-.*"}[$__rate_interval])',
                "{{job}} {{instance}}"),), "Of one core."),
        Panel("Memory", "bytes",
              (('process_resident_memory_bytes{job=~"cryptotools-.*"}', "{{job}} {{instance}}"),),
              "Resident."),
        Panel("Turns of the engine", "reqps",
              ((f"rate(cryptotools_engine_turns_total{{{_FLOW}}}[$__rate_interval])",
                "{{instance}}"),), "While it turns, it works."),
    ),
}  # fmt: skip


def _thresholds(bad_above: float | None) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if bad_above is not None:
        steps.append({"color": "red", "value": bad_above})
    return {"mode": "absolute", "steps": steps}


def _drawn(panel: Panel, number: int, x: int, y: int, height: int) -> dict[str, Any]:
    targets = [
        {"datasource": _SOURCE, "expr": expression, "legendFormat": name or "__auto",
         "refId": chr(ord("A") + n)}
        for n, (expression, name) in enumerate(panel.queries)
    ]  # fmt: skip
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": height},
        "targets": targets,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "thresholds": _thresholds(panel.bad_above)},
            "overrides": [],
        },
        "options": {},
    }


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    y = 0
    for title, panels in ROWS.items():
        grid = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
        found.append({"id": len(found) + 1, "type": "row", "title": title, "gridPos": grid,
                      "collapsed": False, "panels": []})  # fmt: skip
        x, y = 0, y + 1
        height = 4 if panels[0].kind == "stat" else 8
        for panel in panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + height
            found.append(_drawn(panel, len(found) + 1, x, y, height))
            x += panel.width
        y += height
    return found


def _choice(name: str, label: str, series: str) -> dict[str, Any]:
    query = f"label_values({series}, {label})"
    return {
        "name": name, "label": label, "type": "query", "datasource": _SOURCE, "query": query,
        "definition": query, "refresh": 2, "includeAll": True, "multi": True, "allValue": ".*",
        "current": {"text": "All", "value": "$__all"}, "sort": 1,
    }  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Return the dashboard, as Grafana reads it from a file."""
    source = {"name": "source", "label": "data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "cryptotools",
        "title": "CryptoTools",
        "description": "Flows, what they say of themselves, and the API.",
        "tags": ["cryptotools"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "templating": {
            "list": [
                source,
                _choice("job", "job", "cryptotools_build_info"),
                _choice("instance", "instance", "cryptotools_build_info"),
                _choice("key", "key", "cryptotools_lag_seconds"),
            ]
        },
        "panels": _panels(),
    }


def text() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
