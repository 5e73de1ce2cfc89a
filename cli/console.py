"""A sink that shows people what flows by: final klines, signals, and what went wrong and right."""

from datetime import UTC, datetime

from bytewax.outputs import DynamicSink, StatelessSinkPartition
from rich.markup import escape

from cli.output import OUT, print_json
from core.market.events import Connected, Disconnected, Event, Gap, GapOpened, GapRepaired

from core.market.events import Quarantined, StrategyErrored  # isort: skip
from core.market.decimals import plain
from core.market.kline import Kline, Status
from core.market.ml import FeatureRow, Learned, Prediction
from core.market.paper import Equity, Fill
from core.market.records import (
    equity_fields,
    event_fields,
    feature_fields,
    fill_fields,
    kline_fields,
    prediction_fields,
    score_fields,
    signal_fields,
)
from core.market.signal import Side, Signal
from core.market.trades import Trades
from dataflows.outputs import Record

_SIDES = {Side.LONG: "[bold green]▲ long [/]", Side.SHORT: "[bold red]▼ short[/]",
          Side.FLAT: "[bold yellow]■ flat [/]"}  # fmt: skip


class ConsoleSink(DynamicSink[tuple[str, Record]]):
    """Prints one line per final kline of `interval`, signal and event."""

    def __init__(self, *, interval: str = "1m", json: bool = False) -> None:
        self._interval = interval
        self._json = json

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> "ConsolePartition":
        """Return a partition; any worker may print."""
        return ConsolePartition(interval=self._interval, json=self._json)


class ConsolePartition(StatelessSinkPartition[tuple[str, Record]]):
    """Prints what it is given."""

    def __init__(self, *, interval: str, json: bool) -> None:
        self._interval = interval
        self._json = json

    def write_batch(self, items: list[tuple[str, Record]]) -> None:
        """Print the records of a batch that people want to see."""
        for key, record in items:
            if not self._shown(record):
                continue
            if self._json:
                print_json({"key": key, **fields_of(record)})
            else:
                OUT.print(line(key, record))

    def _shown(self, record: Record) -> bool:
        if isinstance(record, Kline):
            return record.status is Status.FINAL and record.interval.name == self._interval
        return isinstance(record, Signal | Fill | Event)


def fields_of(record: Record) -> dict[str, str]:
    """Return a record's fields with the kind of it."""
    if isinstance(record, Kline):
        return {"record": "kline", **kline_fields(record)}
    if isinstance(record, Signal):
        return {"record": "signal", **signal_fields(record)}
    if isinstance(record, Fill):
        return {"record": "fill", **fill_fields(record)}
    if isinstance(record, Equity):
        return {"record": "equity", **equity_fields(record)}
    if isinstance(record, Event):
        return {"record": "event", **event_fields(record)}
    if isinstance(record, Trades):
        return {"record": "trades", "rows": str(len(record))}
    return _learned(record)


def _learned(record: Learned) -> dict[str, str]:
    if isinstance(record, FeatureRow):
        return {"record": "feature", **feature_fields(record)}
    if isinstance(record, Prediction):
        return {"record": "prediction", **prediction_fields(record)}
    return {"record": "score", **score_fields(record)}


def line(key: str, record: Record) -> str:
    """Return a record as one line of markup."""
    symbol = f"{key.partition(':')[2]:<9}"
    if isinstance(record, Kline):
        partial = "" if record.complete else "  [dim](incomplete)[/]"
        return (
            f"[dim]{_clock(record.close_us)}[/] {symbol} {record.interval.name:>3} "
            f"close {record.text('close'):>12}  volume {record.text('volume'):>12}  "
            f"trades {record.trades:>6}{partial}"
        )
    if isinstance(record, Signal):
        return (
            f"[dim]{_clock(record.close_us)}[/] {symbol} {_SIDES[record.side]} at {record.price}  "
            f"[cyan]{escape(record.instance)}[/]: {escape(record.reason)}"
        )
    if isinstance(record, Fill):
        return (
            f"[dim]{_clock(record.time_us)}[/] {symbol} paper {record.side} of "
            f"{plain(record.quantity)} at {plain(record.price)}  [cyan]{escape(record.instance)}[/]"
        )
    if isinstance(record, Event):
        return f"[dim]{_clock(record.time_us)}[/] {symbol} {_event(record)}"
    return _rest(symbol, record)


def _rest(symbol: str, record: Trades | Equity | Learned) -> str:
    if isinstance(record, Equity):
        return f"{symbol} [cyan]{escape(record.instance)}[/] is worth {plain(record.equity)}"
    if isinstance(record, Trades):
        return f"{symbol} {len(record)} trades"
    return f"{symbol} {_learned(record)['record']}"


def _event(event: Event) -> str:
    match event:
        case Connected():
            return f"[green]connected[/] (link {event.link})"
        case Disconnected():
            return f"[bold red]disconnected[/]: {escape(event.reason)}"
        case GapOpened():
            missed = event.last_id - event.first_id + 1
            return f"[red]missed {missed} trades[/], asking for them"
        case GapRepaired():
            count = event.last_id - event.first_id + 1
            return f"[bold green]repaired {count} trades[/] {event.first_id}..{event.last_id}"
        case Gap():
            return f"[bold red]gap[/] {event.first_id}..{event.last_id}: {escape(event.reason)}"
        case Quarantined():
            return f"[yellow]quarantined[/] ({event.source}): {escape(event.reason)}"
        case StrategyErrored():
            return f"[bold red]{event.instance} raised[/] and was stopped"
        case _:
            return event.kind


def _clock(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%H:%M:%S")
