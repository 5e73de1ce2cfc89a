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
from typing import Any

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import KeyedStream

from config.engine import engine_options
from config.settings import Settings
from connectors.binance.rest import check_symbols
from connectors.binance.source import BinanceSource
from connectors.redis.control import Inbox
from connectors.shutdown import stop_on_signals
from core.market.errors import ConfigError, CryptoToolsError
from core.market.events import Event, Frame, Item, KlineMismatch, Late, ModelChanged
from core.market.intervals import Interval
from core.market.kline import Kline
from core.market.ml import FeatureRow, ModelScore, Prediction
from core.market.signal import Signal
from core.market.trades import Trades
from core.paper.config import PaperConfig
from dataflows.addresses import redis_url
from dataflows.backtest_window import Window, within
from dataflows.instances import planner_of
from dataflows.klines import KlinePlan, build_klines
from dataflows.ml import MlPlan, run_ml
from dataflows.ml import Out as MlOut
from dataflows.ml_commands import ml_plan, standing_of
from dataflows.normalize import normalize
from dataflows.outputs import Discard, Outputs, Record, outputs_of
from dataflows.paper import run_paper
from dataflows.process import enter
from dataflows.setup import kline_plan, paper_of, prepare, prepare_saved
from dataflows.strategies import Said, run_strategies
from dataflows.watched import ResumedSource, resuming
from strategies.spec import InstanceSpec

_TURN_S = 0.0005
_COLLECT_EVERY = (50_000, 20, 100)

_Built = Kline | Late | KlineMismatch | FeatureRow | Prediction | ModelScore | ModelChanged

Inputs = Mapping[str, Source[tuple[str, Item]]]


@dataclass(frozen=True, slots=True)
class Work:
    """What the flow does between its inputs and its outputs."""

    klines: KlinePlan
    strategies: tuple[InstanceSpec, ...]
    paper: PaperConfig | None = None
    ml: MlPlan | None = None
    window: Window | None = None
    """When paper accounts may trade: a back-test has a warm-up, and an end."""


def build(inputs: Inputs, work: Work, outputs: Outputs) -> Dataflow:
    """Return the flow; step ids are stable names, because renaming one empties its state."""
    flow = Dataflow("cryptotools")
    arrivals = op.merge("arrivals", *(op.input(name, flow, s) for name, s in inputs.items()))
    split = op.branch("raw", arrivals, _is_frame)
    frames, market = split.trues, split.falses  # (shard, Frame), (key, Trades | Tick | Event)

    checked = normalize(market)  # (key, Trades | Tick | Event): ids in order, once
    klines = build_klines(checked, work.klines)  # (key, Kline | Late | KlineMismatch | ...)
    learned = klines if work.ml is None else run_ml(klines, work.ml)  # and what models see and say
    said = run_strategies(learned, work.strategies)  # (key, Trades | Kline | Signal | Event)
    emitted: list[KeyedStream[Any]] = [
        op.filter_map("built", learned, _built),  # (key, Kline | Late | KlineMismatch | Learned)
        op.filter_map("signals", said, _signals),  # (key, Signal | Event)
    ]
    if work.paper is not None:
        total = min(work.klines.intervals, key=_length, default=work.klines.base)
        counted = said if work.window is None else within(said, work.window)
        emitted.append(run_paper(counted, work.paper, total))  # (key, Fill | Equity)

    records = op.merge("records", op.filter_map("stored", checked, _stored), *emitted)
    for name, sink in outputs.records.items():
        op.output(name, records, sink)
    if outputs.recording is not None:
        op.output("recording", frames, outputs.recording)
    if outputs.parity is not None:
        op.output("parity", op.merge("emitted", *emitted), outputs.parity)
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
    _check_legs(settings)
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


def _check_legs(settings: Settings) -> None:
    for spec in settings.strategies:
        for symbol in spec.watched if spec.legs else ():
            if symbol not in settings.symbols:
                why = f"instance `{spec.instance}` looks at {symbol}, which is not followed"
                raise ConfigError("strategies", why, hint="add it to `symbols`")


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
    klines = kline_plan(settings)
    work = Work(klines, settings.strategies, paper_of(settings), ml_plan(settings))
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
    return (key, value) if isinstance(value, _Built) else None


def _signals(item: tuple[str, Said]) -> tuple[str, Signal | Event] | None:
    key, value = item
    return (key, value) if isinstance(value, Signal | Event) else None


def _length(of: Interval) -> int:
    return of.length_us or 1 << 62  # a month is the longest


def _stored(item: tuple[str, Item]) -> tuple[str, Record] | None:
    key, value = item
    return (key, value) if isinstance(value, Trades | Event) else None
