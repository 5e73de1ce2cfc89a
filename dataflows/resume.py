"""Snapshots of another version: what they hold begins anew, the place in the stream is kept.

An upgrade that changes a step's state must not stop a deployment. The source keeps its next ids,
so no trade is missed or doubled; klines and strategies warm up again and say so (`complete`), a
sink begins as it does without a snapshot. Anything else that goes wrong on resuming is an error.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from core.exchange.plan import Plan
from core.market.errors import SnapshotError

LOG = logging.getLogger("cryptotools.recovery")

State: TypeAlias = Any
"""A step's own; of which version is what this module is about."""

T = TypeVar("T")


def resumed(step: str, builder: Callable[[State], T]) -> Callable[[State], T]:
    """Wrap a builder of a step's logic: given a state that it cannot read, it begins anew."""

    def build(state: State) -> T:
        try:
            return builder(state)
        except SnapshotError as error:
            anew(step, error)
            return builder(None)

    return build


def anew(step: str, error: SnapshotError) -> None:
    """Say that a step begins anew."""
    LOG.warning("%s begins anew: %s", step, error)


def kept(state: State) -> dict[str, object]:
    """Return what of a source's snapshot this version can still use: at least the next ids.

    Raises:
        SnapshotError: There are none.

    """
    ids = state.get("next_ids") if isinstance(state, dict) else None
    if not isinstance(ids, dict):
        raise SnapshotError("the source", str(state)[:80], "next ids by symbol")
    plan: dict[str, object] = {}
    for name in ("next_ids", "scales", "statuses"):
        try:
            Plan.model_validate({name: state.get(name, {})})
        except ValidationError as error:
            if name == "next_ids":
                raise SnapshotError("the source", brief(error), "next ids by symbol") from None
            continue
        plan[name] = state.get(name, {})
    return plan


def brief(error: ValidationError) -> str:
    """Return the first thing that is wrong."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
