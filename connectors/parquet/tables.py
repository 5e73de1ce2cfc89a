"""Records as Arrow tables and back: one function per kind and direction."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa

from connectors.parquet.decimals import Array, from_sums, to_decimals, to_sums, to_units
from connectors.parquet.layout import Kind
from core.market import decimals, schemas
from core.market.errors import DecimalError
from core.market.events import Event, Quarantined
from core.market.intervals import interval
from core.market.kline import MEASURES, PRICES, VOLUMES, Kline
from core.market.ml import FeatureRow, ModelScore, Prediction
from core.market.paper import Equity, Fill
from core.market.records import event_detail, psi_json, values_json
from core.market.signal import Signal
from core.market.trades import Trades

Table: TypeAlias = pa.Table
Batch: TypeAlias = pa.RecordBatch
Columns: TypeAlias = dict[str, Any]
"""Numpy columns of trades by name: ``id time price quantity buyer_is_maker repaired …``."""

_SUM_PLACES: int = schemas.SUM.scale


def trades_table(columns: Columns, price_scale: int, quantity_scale: int) -> Table:
    """Return trades as the lake stores them; `columns` has ``first_id`` for aggregates."""
    schema = schemas.trades(price_scale, quantity_scale, aggregate="first_id" in columns)
    arrays = dict(columns)
    arrays["time"] = pa.array(columns["time"]).view(schemas.TIME)
    arrays["price"] = to_decimals(columns["price"], price_scale)
    arrays["quantity"] = to_decimals(columns["quantity"], quantity_scale)
    return pa.table([pa.array(arrays[name]) for name in schema.names], schema=schema)


def trades_of(key: str, batch: Batch) -> Iterator[Trades]:
    """Yield a stored batch as trades, cut where `repaired` changes; an empty one yields none."""
    names = batch.schema.names
    first, last = ("first_id", "last_id") if "first_id" in names else (None, None)
    repaired = batch.column("repaired").to_numpy(zero_copy_only=False)
    cuts = [0, *(np.flatnonzero(repaired[1:] != repaired[:-1]) + 1).tolist(), len(repaired)]
    trades = Trades(
        key=key,
        price_scale=batch.schema.field("price").type.scale,
        quantity_scale=batch.schema.field("quantity").type.scale,
        id=batch.column("id").to_numpy(),
        time_us=batch.column("time").view(pa.int64()).to_numpy(),
        price=to_units(batch.column("price")),
        quantity=to_units(batch.column("quantity")),
        buyer_is_maker=batch.column("buyer_is_maker").to_numpy(zero_copy_only=False),
        first_id=batch.column(first).to_numpy() if first else None,
        last_id=batch.column(last).to_numpy() if last else None,
    )
    for start, end in pairwise(cuts):
        if start < end:
            run = trades if end - start == len(trades) else trades.take(slice(start, end))
            yield replace(run, repaired=True) if repaired[start] else run


def klines_batch(klines: Sequence[Kline]) -> Batch:
    """Return klines as the lake stores them."""
    columns: Columns = {
        "seq": [k.seq for k in klines],
        "interval": [k.interval.name for k in klines],
        "open_time": _times(k.open_us for k in klines),
        "close_time": _times(k.close_us for k in klines),
        "trades": [k.trades for k in klines],
        "first_id": [k.first_id for k in klines],
        "last_id": [k.last_id for k in klines],
        "complete": [k.complete for k in klines],
        "revision": [k.revision for k in klines],
    }
    for name in MEASURES:
        columns[name] = to_sums((getattr(k, f"{name}_units"), k.scale_of(name)) for k in klines)
    return _batch(columns, schemas.KLINES)


def klines_of(key: str, batch: Batch) -> Iterator[Kline]:
    """Yield stored klines; their scales are the coarsest that hold the numbers."""
    sums = {name: from_sums(batch.column(name)) for name in MEASURES}
    plain = {
        name: batch.column(name).to_pylist()
        for name in ("seq", "interval", "trades", "first_id", "last_id", "complete", "revision")
    }
    times = {
        name: batch.column(f"{name}_time").view(pa.int64()).to_pylist()
        for name in ("open", "close")
    }
    for i in range(batch.num_rows):
        wide = {name: units[i] for name, units in sums.items()}
        row = {name: values[i] for name, values in plain.items()}
        row |= {f"{name}_us": values[i] for name, values in times.items()}
        yield Kline(key=key, **(row | {"interval": interval(row["interval"])} | _units(wide)))


def signals_batch(signals: Sequence[Signal]) -> Batch:
    """Return signals as the lake stores them."""
    columns: Columns = {
        "seq": [s.seq for s in signals],
        "time": _times(s.close_us for s in signals),
        "interval": [s.interval.name for s in signals],
        "strategy": [s.strategy for s in signals],
        "instance": [s.instance for s in signals],
        "side": [s.side.value for s in signals],
        "price": to_sums(decimals.parse(s.price) for s in signals),
        "reason": [s.reason for s in signals],
        "values": [values_json(s) for s in signals],
    }
    return _batch(columns, schemas.SIGNALS)


def fills_batch(fills: Sequence[Fill]) -> Batch:
    """Return fills as the lake stores them."""
    return _paper_batch(fills, schemas.FILLS)


def equity_batch(rows: Sequence[Equity]) -> Batch:
    """Return rows of equity as the lake stores them."""
    return _paper_batch(rows, schemas.EQUITY)


def fills_of(key: str, batch: Batch) -> Iterator[Fill]:
    """Yield stored fills."""
    return (Fill(key=key, **row) for row in _paper_rows(batch, schemas.FILLS))


def equity_of(key: str, batch: Batch) -> Iterator[Equity]:
    """Yield stored rows of equity."""
    for row in _paper_rows(batch, schemas.EQUITY):
        del row["drawdown"]
        yield Equity(key=key, **row)


def features_batch(rows: Sequence[FeatureRow]) -> Batch:
    """Return rows of features as the lake stores them."""
    columns = _windows(rows) | {
        "features": [r.features for r in rows],
        "definition": [r.definition for r in rows],
        "close": to_sums(decimals.parse(r.close) for r in rows),
        "values": [list(r.values) for r in rows],
    }
    return _batch(columns, schemas.FEATURES)


def features_of(key: str, batch: Batch) -> Iterator[FeatureRow]:
    """Yield stored rows of features."""
    names = ("seq", "interval", "features", "definition", "values")
    close_units = from_sums(batch.column("close"))
    plain = [batch.column(name).to_pylist() for name in names]
    for seq, of, name, definition, values, open_us, close_us, close in zip(
        *plain, *_window_times(batch), close_units, strict=True
    ):
        text = decimals.to_text(close, _SUM_PLACES)
        window = (open_us, close_us, text, tuple(values))
        yield FeatureRow(key, interval(of), name, definition, *window, seq=seq)


def predictions_batch(said: Sequence[Prediction]) -> Batch:
    """Return predictions as the lake stores them."""
    columns = _windows(said) | _of_model(said) | {
        "definition": [p.definition for p in said],
        "value": [p.value for p in said],
        "reason": [p.reason for p in said],
    }  # fmt: skip
    return _batch(columns, schemas.PREDICTIONS)


def predictions_of(key: str, batch: Batch) -> Iterator[Prediction]:
    """Yield stored predictions."""
    names = ("interval", "model", "version", "definition")
    heads = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    names = ("value", "reason", "shadow", "seq")
    tails = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    for (of, *head), window, tail in zip(
        heads, zip(*_window_times(batch), strict=True), tails, strict=True
    ):
        yield Prediction(key, interval(of), *head, *window, *tail)


def scores_batch(scores: Sequence[ModelScore]) -> Batch:
    """Return scores as the lake stores them."""
    columns = _windows(scores) | _of_model(scores) | {
        "rows": [s.rows for s in scores],
        "accuracy": [s.accuracy for s in scores],
        "baseline": [s.baseline for s in scores],
        "error": [s.error for s in scores],
        "ic": [s.ic for s in scores],
        "psi": [psi_json(s) for s in scores],
    }  # fmt: skip
    return _batch(columns, schemas.SCORES)


def events_batch(events: Sequence[Event]) -> Batch:
    """Return events as the lake stores them."""
    columns: Columns = {
        "seq": [e.seq for e in events],
        "time": _times(e.time_us for e in events),
        "kind": [e.kind for e in events],
        "detail": [orjson.dumps(event_detail(e)).decode() for e in events],
    }
    return _batch(columns, schemas.EVENTS)


def quarantine_batch(events: Sequence[Quarantined]) -> Batch:
    """Return what could not be used as the lake stores it."""
    columns: Columns = {
        "seq": [e.seq for e in events],
        "time": _times(e.time_us for e in events),
        "reason": [e.reason for e in events],
        "source": [e.source for e in events],
        "payload": [e.payload for e in events],
    }
    return _batch(columns, schemas.QUARANTINE)


@dataclass(frozen=True, slots=True)
class Shape:
    """How records of one kind become rows: their schema, and the function that makes a batch."""

    schema: pa.Schema
    batch: Callable[[Sequence[Any]], Batch]


SHAPES = {
    Kind.KLINES: Shape(schemas.KLINES, klines_batch),
    Kind.SIGNALS: Shape(schemas.SIGNALS, signals_batch),
    Kind.FILLS: Shape(schemas.FILLS, fills_batch),
    Kind.EQUITY: Shape(schemas.EQUITY, equity_batch),
    Kind.EVENTS: Shape(schemas.EVENTS, events_batch),
    Kind.QUARANTINE: Shape(schemas.QUARANTINE, quarantine_batch),
    Kind.FEATURES: Shape(schemas.FEATURES, features_batch),
    Kind.PREDICTIONS: Shape(schemas.PREDICTIONS, predictions_batch),
    Kind.SCORES: Shape(schemas.SCORES, scores_batch),
}


def id_name(kind: Kind) -> str:
    """Return the column by which records of a kind are ordered."""
    return "id" if kind is Kind.TRADES else "seq"


def _paper_batch(records: Sequence[Any], schema: pa.Schema) -> Batch:
    columns: Columns = {"time": _times(r.time_us for r in records)}
    for field in schema:
        if field.type == schemas.SUM:
            columns[field.name] = _sums([getattr(r, field.name) for r in records])
        elif field.name != "time":
            columns[field.name] = [getattr(r, field.name) for r in records]
    return _batch(columns, schema)


def _sums(values: list[Decimal]) -> Array:
    try:
        return pa.array(values, schemas.SUM)
    except pa.ArrowInvalid as error:
        widest = max(values, key=lambda value: len(decimals.plain(value)))
        raise DecimalError(widest, str(error)) from None


def _paper_rows(batch: Batch, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    columns: Columns = {"time_us": batch.column("time").view(pa.int64()).to_pylist()}
    for field in schema:
        column = batch.column(field.name)
        if field.type == schemas.SUM:
            columns[field.name] = [decimals.exact(units, 18) for units in from_sums(column)]
        elif field.name != "time":
            columns[field.name] = column.to_pylist()
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _windows(records: Sequence[FeatureRow | Prediction | ModelScore]) -> Columns:
    return {
        "seq": [r.seq for r in records],
        "interval": [r.interval.name for r in records],
        "time": _times(r.close_us for r in records),
        "open_time": _times(r.open_us for r in records),
    }


def _of_model(records: Sequence[Prediction | ModelScore]) -> Columns:
    return {
        "model": [r.model for r in records],
        "version": [r.version for r in records],
        "shadow": [r.shadow for r in records],
    }


def _window_times(batch: Batch) -> list[list[int]]:
    return [batch.column(name).view(pa.int64()).to_pylist() for name in ("open_time", "time")]


def _times(values: Iterator[int]) -> Array:
    return pa.array(values, pa.int64()).view(schemas.TIME)


def _batch(columns: Columns, schema: pa.Schema) -> Batch:
    arrays = [
        pa.array(columns[f.name], f.type) if isinstance(columns[f.name], list) else columns[f.name]
        for f in schema
    ]
    return pa.record_batch(arrays, schema=schema)


def _places(units: Sequence[int]) -> int:
    # Decimal places that these numbers, given at 18, really need.
    return max(_SUM_PLACES - _zeros(u) for u in units)


def _zeros(units: int) -> int:
    text = str(units)
    return _SUM_PLACES if not units else min(_SUM_PLACES, len(text) - len(text.rstrip("0")))


def _units(wide: dict[Any, int]) -> dict[str, int]:
    quantity_scale = _places([wide[name] for name in VOLUMES])
    quotes = _places([u for name, u in wide.items() if name not in (*PRICES, *VOLUMES)])
    # A quote volume has the places of price and quantity together, so they must suffice for it.
    price_scale = max(_places([wide[name] for name in PRICES]), quotes - quantity_scale)
    scales = dict.fromkeys(PRICES, price_scale) | dict.fromkeys(VOLUMES, quantity_scale)
    units = {
        f"{name}_units": _narrowed(value, scales.get(name, price_scale + quantity_scale))
        for name, value in wide.items()
    }
    return units | {"price_scale": price_scale, "quantity_scale": quantity_scale}


def _narrowed(units: int, scale: int) -> int:
    # Scales together may pass 18 places, which then are zeros.
    return units * int(10**scale) // int(10**_SUM_PLACES)
