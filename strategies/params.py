"""Parameters of strategies: declared once, checked wherever they come from."""

from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, ValidationError

from core.market.errors import StrategyError


class StrategyParams(BaseModel):
    """Base of a strategy's parameters: typed, bounded, described, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def checked(
    model: type[StrategyParams],
    strategy: str,
    given: StrategyParams | Mapping[str, object] | None,
) -> StrategyParams:
    """Return the parameters as that class; `StrategyError` names each that is wrong, and why."""
    try:
        return model.model_validate({} if given is None else given)
    except ValidationError as error:
        raise _refusal(model, strategy, error) from None


def _refusal(model: type[StrategyParams], strategy: str, error: ValidationError) -> StrategyError:
    known = tuple(model.model_fields)
    told, unknown = [], []
    for problem in error.errors(include_url=False):
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            told.append(f"no parameter `{where}`")
            unknown += get_close_matches(where, known, 1)
        else:
            text = problem["msg"].removeprefix("Value error, ")
            text = text[0].lower() + text[1:]
            # What concerns several parameters together has no place; its text names them.
            told.append(f"parameter `{where}`: {text}, not `{problem['input']}`" if where else text)
    there_are = f"its parameters: {' '.join(known) or 'none'}"
    hint = f"did you mean `{unknown[0]}`?" if unknown else there_are
    return StrategyError(strategy, "; ".join(told), hint=hint)
