"""The main job, as the diagram of ARCHITECTURE.md draws it.

    python -m bytewax.run dataflows.main

runs it on the live exchange with settings from the environment, ``.env`` or ``cryptotools.toml``.
A replay runs the same `build` on other sources.
"""

import asyncio
import gc
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source

from config.engine import engine_options
from config.settings import Settings
from connectors.binance.rest import check_symbols
from connectors.binance.source import BinanceSource
from connectors.redis.control import Inbox
from connectors.shutdown import stop_on_signals
from core.market.errors import CryptoToolsError
from core.market.events import Event, Frame, Item, Told
from core.market.trades import Trades
from dataflows.instances import planner_of
from dataflows.klines import KlinePlan, build_klines
from dataflows.ml import MlPlan, run_ml
from dataflows.ml import Out as MlOut
from dataflows.ml_commands import ml_plan, standing_of
from dataflows.normalize import normalize
from dataflows.outputs import Discard, Outputs, Record, outputs_of, redis_url
from dataflows.process import enter
from dataflows.setup import kline_plan, prepare, prepare_saved
from dataflows.strategies import run_strategies
from dataflows.watched import ResumedSource, resuming
from strategies.spec import InstanceSpec

_TURN_S = 0.0005
_COLLECT_EVERY = (50_000, 20, 100)

Inputs = Mapping[str, Source[tuple[str, Item]]]


@dataclass(frozen=True, slots=True)
class Work:
    """What the flow does between its inputs and its outputs."""

    klines: KlinePlan
    strategies: tuple[InstanceSpec, ...]
    ml: MlPlan | None = None


def build(inputs: Inputs, work: Work, outputs: Outputs) -> Dataflow:
    """Return the flow; step ids are stable names, because renaming one empties its state."""
    flow = Dataflow("cryptotools")
    arrivals = op.merge("arrivals", *(op.input(name, flow, s) for name, s in inputs.items()))
    split = op.branch("raw", arrivals, _is_frame)
    frames, market = split.trues, split.falses  # (shard, Frame), (key, Trades | Tick | Event)

    checked = normalize(market)  # (key, Trades | Tick | Event): ids in order, once
    klines = build_klines(checked, work.klines)  # (key, Kline | Late | KlineMismatch | Told)
    learned = klines if work.ml is None else run_ml(klines, work.ml)  # and what models see and say
    signals = run_strategies(learned, work.strategies)  # (key, Signal | Event)

    built = op.filter_map("built", learned, _built)  # all of these but Told
    records = op.merge("records", op.filter_map("stored", checked, _stored), built, signals)
    for name, sink in outputs.records.items():
        op.output(name, records, sink)
    if outputs.recording is not None:
        op.output("recording", frames, outputs.recording)
    if outputs.parity is not None:
        op.output("parity", op.merge("emitted", built, signals), outputs.parity)
    if not outputs.records:
        op.output("nowhere", records, Discard())
    return flow


def live_source(
    settings: Settings, control: str | None = None, ml: MlPlan | None = None
) -> BinanceSource:
    """Return the live exchange; installs the handlers of a graceful stop.

    Args:
        settings: What to follow, and how.
        control: Address of the Redis with the control stream; None: nobody commands.
        ml: The models that symbols are told of.

    Raises:
        ConfigError: A symbol that the exchange does not have.

    """
    asyncio.run(check_symbols(settings.binance, settings.symbols))
    stop_on_signals()
    _tune()
    audit = settings.binance.audited(settings.klines.base)
    inboxes = None if control is None else partial(Inbox, control)
    return BinanceSource(
        settings.binance,
        settings.symbols,
        audit=audit,
        inboxes=inboxes,
        planner=planner_of(settings, ml),
        standing=None if ml is None else standing_of(ml),
    )


def _tune() -> None:
    # The driver's thread and the worker share the interpreter: at Python's 5 ms a turn, a trade
    # waits for several turns.
    sys.setswitchinterval(_TURN_S)
    # What waits is freed by its count of references; Python's defaults would walk all of it, again
    # and again, in search of cycles.
    gc.freeze()
    gc.set_threshold(*_COLLECT_EVERY)


def live(settings: Settings) -> Dataflow:
    """Return the flow on the live exchange."""
    work = Work(kline_plan(settings), settings.strategies, ml_plan(settings))
    source = ResumedSource(live_source(settings, redis_url(settings), work.ml))
    return build({"exchange": source}, work, resuming(outputs_of(settings)))


def flow(saved: str = "") -> Dataflow:
    """Return the live flow: what the engine's command line asks this module for.

    Args:
        saved: File of the settings that a supervisor saved; without one they are found as ever.

    """
    try:
        settings = prepare_saved(Path(saved)) if saved else prepare()
        return enter(settings, engine_options(), live)
    except CryptoToolsError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def _is_frame(item: tuple[str, Item]) -> bool:
    return isinstance(item[1], Frame)


def _built(item: tuple[str, MlOut]) -> tuple[str, Record] | None:
    key, value = item
    return None if isinstance(value, Told) else (key, value)


def _stored(item: tuple[str, Item]) -> tuple[str, Record] | None:
    key, value = item
    return (key, value) if isinstance(value, Trades | Event) else None
