"""Strategies that there are, with the JSON schema of their parameters."""

from typing import Annotated

from fastapi import APIRouter, Path

from api.problems import ProblemError
from api.security.guard import Reader
from client.control import StrategyKind
from core.market.errors import StrategyError
from strategies.registry import REGISTRY

router = APIRouter(prefix="/strategies", tags=["strategies"])


@router.get("")
def list_strategies(_caller: Reader) -> list[StrategyKind]:
    """List the strategies: built-in ones, installed ones, and those of your folder."""
    return [StrategyKind.model_validate(row) for row in REGISTRY.catalogue()]


@router.get("/{name}")
def get_strategy(
    _caller: Reader,
    name: Annotated[str, Path(max_length=64, examples=["rsi_reversal"])],
) -> StrategyKind:
    """Describe a strategy."""
    found = next((row for row in REGISTRY.catalogue() if row["name"] == name), None)
    if found is None:
        try:
            REGISTRY.find(name)
        except StrategyError as error:
            raise ProblemError(404, f"there is no strategy `{name}`", hint=error.hint) from None
    return StrategyKind.model_validate(found)
