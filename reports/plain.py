"""A back-test as plain values, for JSON: every combination's figures, every trade of the best."""

from dataclasses import asdict
from typing import Any

from core.market.decimals import plain
from core.market.paper import Fill
from core.market.records import fill_fields
from core.paper.trips import Trip
from reports.results import Evaluated, Market, Result, ordered
from reports.run import Run


def as_dict(run: Run, found: Evaluated) -> dict[str, object]:
    """Return all of it for JSON: every combination's figures, every trade of the best."""
    return {
        "hash": run.digest,
        "sort": run.sort,
        "settings": dict(run.settings),
        "data": [asdict(file) for file in run.files],
        "read": found.files,
        "code": dict(run.code),
        "versions": dict(run.versions),
        "instruments": {key: _market_dict(market) for key, market in found.markets.items()},
        "results": [_result_dict(r) for r in ordered(found.results, run.sort)],
        "refused": [{"instance": name, "reason": why} for name, why in run.refused],
    }


def _result_dict(result: Result) -> dict[str, object]:
    found: dict[str, Any] = {
        name: getattr(result, name)
        for name in ("key", "strategy", "instance", "interval", "params", "varied", "error")
    }
    found["signals"] = {"counted": result.said, "of_the_warm_up": result.early}
    found["statistics"] = result.statistics.as_dict()
    details = result.details
    if details is not None:
        found["trades"] = [_trip_dict(trip) for trip in details.trips]
        found["fills"] = [_fill_dict(fill) for fill in details.fills]
        found["equity"] = {
            "close_ms": (details.series.close_us // 1000).tolist(),
            "equity": details.series.equity.tolist(),
        }
    return found


def _fill_dict(fill: Fill) -> dict[str, str]:
    # Positions in the flow depend on what else ran in it.
    return {k: v for k, v in fill_fields(fill).items() if k not in {"seq", "signal_seq"}}


def _trip_dict(trip: Trip) -> dict[str, object]:
    return {
        "side": trip.side,
        "quantity": plain(trip.quantity),
        "entry_us": trip.entry_us,
        "entry": plain(trip.entry),
        "exit_us": trip.exit_us or None,
        "exit": plain(trip.exit),
        "fees": plain(trip.fees),
        "profit": plain(trip.profit),
        "gain": trip.gain,
        "why": trip.why,
        "why_closed": trip.why_closed,
    }


def _market_dict(market: Market) -> dict[str, object]:
    quality = {name: getattr(market.quality, name) for name in market.quality.__slots__}
    return {"klines": market.seen, "counted_from_us": market.begin_us or None, "quality": quality}
