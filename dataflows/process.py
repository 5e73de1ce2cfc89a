"""What surrounds a live flow in its process: the locks, the heartbeat, the note in its store."""

import atexit
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from bytewax.dataflow import Dataflow

from config.engine import EngineOptions
from config.settings import Settings
from connectors.shutdown import FIRST
from core.market.errors import CryptoToolsError
from dataflows.claim import Claim, claim, join, state_lock, store_lock
from dataflows.heartbeat import Heartbeat
from dataflows.recovery import accept, fingerprint
from telemetry.mask import MASK

LOG = logging.getLogger("cryptotools.recovery")

_HELD: list[Claim] = []
"""Locks of this process, to be given back by its end."""


def enter(
    settings: Settings, options: EngineOptions, compose: Callable[[Settings], Dataflow]
) -> Dataflow:
    """Return a live flow for the engine's own command line: what comes after is its to do.

    Raises:
        CryptoToolsError: Another flow is on the same state, the store does not fit, or the flow
            cannot be composed.

    """
    own, parent = join(state_lock(settings.state_dir), options.process)
    _hold(own)
    if options.recovery is not None:
        _hold(join(store_lock(options.recovery), options.process)[0])
    heartbeat = Heartbeat(settings, process=options.process, parent=parent, alone=options.alone)
    heartbeat.start()
    atexit.register(_end, heartbeat)
    sys.excepthook = _say
    with _noted():
        flow = compose(settings)
        if options.recovery is not None and not options.process:
            note(options.recovery, settings, flow)
    return flow


@contextmanager
def claimed(settings: Settings) -> Iterator[list[Claim]]:
    """Hold the locks of a state folder and its recovery store.

    Raises:
        ServiceError: Somebody else has one.

    """
    with ExitStack() as stack:
        held = [stack.enter_context(claim(state_lock(settings.state_dir)))]
        if settings.recovery_store is not None:
            held.append(stack.enter_context(claim(store_lock(settings.recovery_store))))
        yield held


@contextmanager
def told(settings: Settings) -> Iterator[None]:
    """Write the heartbeat of a flow in this process."""
    heartbeat = Heartbeat(settings)
    heartbeat.start()
    try:
        with _noted():
            yield
    finally:
        _end(heartbeat)


def note(path: Path, settings: Settings, flow: Dataflow) -> None:
    """Mark a store as this flow's; say what is different from last time.

    Raises:
        CryptoToolsError: It is of a flow that cannot go on as this one.

    """
    for said in accept(path, fingerprint(settings, flow)):
        LOG.warning("%s", said)


@contextmanager
def _noted() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        FIRST.note(error)
        raise


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # The engine's error says where in the engine; ours what is wrong, and the way out.
    if isinstance(FIRST.error, CryptoToolsError):
        sys.stderr.write(MASK(f"error: {FIRST.error}\n"))
    else:
        sys.__excepthook__(kind, error, trace)


def _hold(own: Claim | None) -> None:
    if own is not None:
        _HELD.append(own)


def _end(heartbeat: Heartbeat) -> None:
    if FIRST.error is None:
        heartbeat.end()
