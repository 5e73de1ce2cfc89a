"""From settings to what the flow needs: the same for the live job and for replays."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.secret import secrets_of
from config.settings import Settings, load, load_saved
from core.market.intervals import interval
from core.paper.config import PaperConfig
from dataflows.instances import check_intervals
from dataflows.klines import KlinePlan
from strategies import registry
from telemetry import log

LOG = logging.getLogger("cryptotools.strategies")


def prepare(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Load the settings, configure logging, load the strategies and check their parameters.

    Raises:
        CryptoToolsError: What is wrong, and the way out.

    """
    return _equipped(load(file, overrides=overrides))


def prepare_saved(file: Path) -> Settings:
    """Do the same with settings that another process saved; nothing else is read."""
    return _equipped(load_saved(file))


def _equipped(settings: Settings) -> Settings:
    own = settings.log
    log.configure(own.level, json=own.json_lines, secrets=secrets_of(settings))
    for failure in registry.load(settings.strategies_dir):
        LOG.warning("not loaded: %s", failure)
    registry.check(*settings.strategies)
    for spec in settings.strategies:
        check_intervals(registry.make(spec), spec, settings.klines.intervals)
    return settings


def kline_plan(settings: Settings, *, live: bool = True) -> KlinePlan:
    """Return what klines to build; a replay publishes no forming ones."""
    klines = settings.klines
    return KlinePlan(
        base=interval(klines.base),
        intervals=tuple(interval(name) for name in klines.intervals),
        grace_us=klines.grace_ms * 1000,
        empty=klines.empty,
        forming_us=klines.forming_ms * 1000 if live else 0,
        passes=registry.REGISTRY.wants | _for_paper(settings),
    )


def _for_paper(settings: Settings) -> frozenset[str]:
    paper = settings.paper
    return frozenset({"trades"}) if paper.enabled and paper.fill == "next" else frozenset()


def paper_of(settings: Settings) -> PaperConfig | None:
    """Return how the paper portfolio trades; None where it is switched off."""
    return settings.paper if settings.paper.enabled else None
