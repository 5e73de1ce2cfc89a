"""Records as flat text fields: what Redis entries and command lines show, one function per record.

Every value is a string: JSON numbers would pass through doubles on their way (a price of 67123.45
or an id above 2**53 would change).
"""

from dataclasses import fields
from decimal import Decimal
from typing import Any

import orjson

from core.market.decimals import plain, to_text
from core.market.events import Event, Quarantined
from core.market.kline import MEASURES, Kline
from core.market.ml import FeatureRow, ModelScore, Prediction
from core.market.paper import Equity, Fill
from core.market.signal import Signal
from core.market.trades import Trades

Fields = dict[str, str]

_OWN = {"key", "time_us", "seq"}
_AMOUNTS: dict[type, tuple[str, ...]] = {
    Fill: ("price", "quantity", "fee", "position", "entry", "realised", "cash"),
    Equity: (
        "price", "position", "cash", "equity", "realised", "unrealised", "fees", "peak",
    ),
}  # fmt: skip


def trade_fields(trades: Trades) -> list[Fields]:
    """Return fields of each row: ``id time_us price quantity taker`` (and the ids of an aggregate).

    `taker` is the side of the order that took liquidity: ``buy`` or ``sell``.
    """
    ps, qs = trades.price_scale, trades.quantity_scale
    rows = [
        {
            "id": str(i),
            "time_us": str(t),
            "price": to_text(p, ps),
            "quantity": to_text(q, qs),
            "taker": "sell" if m else "buy",
        }
        for i, t, p, q, m in zip(
            trades.id.tolist(),
            trades.time_us.tolist(),
            trades.price.tolist(),
            trades.quantity.tolist(),
            trades.buyer_is_maker.tolist(),
            strict=True,
        )
    ]
    if trades.is_aggregate:
        ids = zip(rows, trades.first_ids.tolist(), trades.last_ids.tolist(), strict=True)
        for row, first, last in ids:
            row["first_id"], row["last_id"] = str(first), str(last)
    return rows


def kline_fields(kline: Kline) -> Fields:
    """Return the kline's fields; times in milliseconds, as the exchange prints them."""
    row = {
        "interval": kline.interval.name,
        "open_ms": str(kline.open_ms),
        "close_ms": str(kline.close_ms),
    }
    row |= {name: kline.text(name) for name in MEASURES}
    return row | {
        "trades": str(kline.trades),
        "first_id": str(kline.first_id),
        "last_id": str(kline.last_id),
        "status": kline.status.value,
        "complete": "1" if kline.complete else "0",
        "revision": str(kline.revision),
        "seq": str(kline.seq),
    }


def signal_fields(signal: Signal) -> Fields:
    """Return the signal's fields; `values` is a JSON object of indicator values."""
    return {
        "strategy": signal.strategy,
        "instance": signal.instance,
        "side": signal.side.value,
        "price": signal.price,
        "reason": signal.reason,
        "interval": signal.interval.name,
        "open_ms": str(signal.open_us // 1000),
        "close_ms": str(signal.close_us // 1000),
        "values": values_json(signal),
        "seq": str(signal.seq),
    }


def values_json(signal: Signal) -> str:
    """Return the indicator values behind a signal as a JSON object."""
    return orjson.dumps(dict(signal.values)).decode()


def feature_fields(row: FeatureRow) -> Fields:
    """Return the row's fields; `values` is a JSON list of numbers that read back to the bit."""
    return {
        "features": row.features,
        "definition": row.definition,
        "interval": row.interval.name,
        "open_ms": str(row.open_us // 1000),
        "close_ms": str(row.close_us // 1000),
        "close": row.close,
        "values": orjson.dumps(row.values).decode(),
        "seq": str(row.seq),
    }


def prediction_fields(said: Prediction) -> Fields:
    """Return the prediction's fields; `value` is empty where there is none."""
    return {
        "model": said.model,
        "version": said.version,
        "definition": said.definition,
        "shadow": "1" if said.shadow else "0",
        "value": _number(said.value),
        "reason": said.reason,
        "interval": said.interval.name,
        "open_ms": str(said.open_us // 1000),
        "close_ms": str(said.close_us // 1000),
        "seq": str(said.seq),
    }


def score_fields(score: ModelScore) -> Fields:
    """Return the score's fields; numbers that are not known are empty, `psi` is a JSON object."""
    return {
        "model": score.model,
        "version": score.version,
        "shadow": "1" if score.shadow else "0",
        "rows": str(score.rows),
        "accuracy": _number(score.accuracy),
        "baseline": _number(score.baseline),
        "error": _number(score.error),
        "ic": _number(score.ic),
        "psi": psi_json(score),
        "interval": score.interval.name,
        "open_ms": str(score.open_us // 1000),
        "close_ms": str(score.close_us // 1000),
        "seq": str(score.seq),
    }


def psi_json(score: ModelScore) -> str:
    """Return the drift of each feature as a JSON object."""
    return orjson.dumps(dict(score.psi)).decode()


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def event_fields(event: Event) -> Fields:
    """Return the event's fields: ``kind time_us seq`` and those of its own class."""
    row = {"kind": event.kind, "time_us": str(event.time_us), "seq": str(event.seq)}
    return row | {name: str(value) for name, value in event_detail(event).items()}


def event_detail(event: Event) -> dict[str, Any]:
    """Return the fields that are the event's own."""
    return {f.name: getattr(event, f.name) for f in fields(event) if f.name not in _OWN}


def quarantine_fields(event: Quarantined) -> Fields:
    """Return the fields of something received that could not be used."""
    return {
        "reason": event.reason,
        "source": event.source,
        "payload": event.payload,
        "time_us": str(event.time_us),
        "seq": str(event.seq),
    }


def fill_fields(fill: Fill) -> Fields:
    """Return the fill's fields."""
    return {
        "instance": fill.instance,
        "strategy": fill.strategy,
        "interval": fill.interval,
        "time_us": str(fill.time_us),
        "side": fill.side,
        **_amounts(fill),
        "signal_seq": str(fill.signal_seq),
        "reason": fill.reason,
        "seq": str(fill.seq),
    }


def equity_fields(equity: Equity) -> Fields:
    """Return the fields of an account's equity, its drawdown among them."""
    return {
        "instance": equity.instance,
        "strategy": equity.strategy,
        "interval": equity.interval,
        "time_us": str(equity.time_us),
        **_amounts(equity),
        "drawdown": plain(equity.drawdown),
        "fills": str(equity.fills),
        "seq": str(equity.seq),
    }


def fill_of(key: str, row: Fields) -> Fill:
    """Return the fill that `fill_fields` was made of."""
    return Fill(
        key=key,
        time_us=int(row["time_us"]),
        seq=int(row["seq"]),
        instance=row["instance"],
        strategy=row["strategy"],
        interval=row["interval"],
        side="buy" if row["side"] == "buy" else "sell",
        **_decimals(Fill, row),
        signal_seq=int(row["signal_seq"]),
        reason=row["reason"],
    )


def equity_of(key: str, row: Fields) -> Equity:
    """Return what `equity_fields` was made of."""
    return Equity(
        key=key,
        time_us=int(row["time_us"]),
        seq=int(row["seq"]),
        instance=row["instance"],
        strategy=row["strategy"],
        interval=row["interval"],
        **_decimals(Equity, row),
        fills=int(row["fills"]),
    )


def _amounts(record: Fill | Equity) -> Fields:
    return {name: plain(getattr(record, name)) for name in _AMOUNTS[type(record)]}


def _decimals(of: type, row: Fields) -> dict[str, Decimal]:
    return {name: Decimal(row[name]) for name in _AMOUNTS[of]}
