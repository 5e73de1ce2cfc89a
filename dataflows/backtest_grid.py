"""What a back-test runs: strategies and values of parameters → an instance per combination.

period=5:15:5,oversold=25,30        →  (5, 25) (5, 30) (10, 25) (10, 30) (15, 25) (15, 30)
rsi_reversal.period=7,macd_cross.fast=8,12        of several strategies, each its own
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from itertools import product
from typing import Any

from core.market.errors import ConfigError, StrategyError
from strategies.registry import REGISTRY, Registry
from strategies.spec import InstanceSpec

MOST_COMBINATIONS = 2_000
_MOST_VALUES = 10_000

Values = Mapping[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Combination:
    """One instance, and what sets it apart from the others of its strategy."""

    spec: InstanceSpec
    varied: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """All instances of a back-test.

    Attributes:
        combinations: In the order of the strategies, and of the values as they were given.
        refused: Combinations that a strategy does not take (such as a fast period above the slow
            one), with its reason.

    """

    combinations: tuple[Combination, ...]
    refused: tuple[tuple[str, str], ...] = ()


def grid_of(
    specs: Sequence[InstanceSpec],
    params: Iterable[str],
    *,
    most: int = MOST_COMBINATIONS,
    registry: Registry = REGISTRY,
) -> Grid:
    """Return the grid of some strategies.

    Args:
        specs: The strategies, with the parameters that are not varied.
        params: As on the command line, see above.
        most: More combinations than this are refused.
        registry: Where strategies are found.

    Raises:
        ConfigError: A text that cannot be understood, or too many combinations.
        StrategyError: An unknown parameter, or one strategy takes none of its combinations.

    """
    values = parse_params(params)
    own = [_own(spec, values, specs, registry) for spec in specs]
    count = sum(math.prod(map(len, mine.values())) for mine in own)
    if count > most:
        why = f"{count} combinations are more than {most}"
        raise ConfigError("param", why, hint=f"give fewer values, or --max-combinations {count}")
    found: list[Combination] = []
    refused: list[tuple[str, str]] = []
    for spec, mine in zip(specs, own, strict=True):
        found += _accepted(_product(spec, mine), refused, registry)
    return Grid(tuple(found), tuple(refused))


def parse_params(texts: Iterable[str]) -> dict[str, tuple[object, ...]]:
    """Return the values of each parameter by its name, ``strategy.name`` where it says so.

    >>> parse_params(["a=1,2,b=x", "rsi.c=0.5:1.5:0.5"])
    {'a': (1, 2), 'b': ('x',), 'rsi.c': (0.5, 1, 1.5)}

    Raises:
        ConfigError: No name, no value, or a range that cannot be.

    """
    found: dict[str, tuple[object, ...]] = {}
    for text in texts:
        name = ""
        for piece in text.split(","):
            before, equals, value = piece.partition("=")
            if equals:
                name, value = before.strip(), value.strip()
                if name in found:
                    raise ConfigError("param", f"`{name}` is given twice", hint=_HINT)
                found[name] = ()
            else:
                value = before.strip()
            if not name or not value:
                raise ConfigError("param", f"`{text}`: expected NAME=VALUE", hint=_HINT)
            found[name] += _values(name, value)
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


_HINT = "--param period=7,14,21 or --param period=5:30:5"


def _values(name: str, text: str) -> tuple[object, ...]:
    if text.count(":") not in {1, 2}:
        return (_value(text),)
    try:
        first, last, *rest = (Decimal(part) for part in text.split(":"))
        step = rest[0] if rest else Decimal(1)
        count = int((last - first) / step) + 1
    except (InvalidOperation, ZeroDivisionError):
        why = f"`{text}`: expected FIRST:LAST:STEP in numbers"
        raise ConfigError(f"param {name}", why, hint=_HINT) from None
    if count < 1:
        raise ConfigError(f"param {name}", f"`{text}` is an empty range", hint=_HINT)
    if count > _MOST_VALUES:
        raise ConfigError(f"param {name}", f"`{text}` are {count} values", hint="a larger step")
    return tuple(_value(format(first + n * step, "f")) for n in range(count))


def _value(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float) else text


def _own(
    spec: InstanceSpec, values: Values, specs: Sequence[InstanceSpec], registry: Registry
) -> Values:
    known = registry.find(spec.name).Params.model_fields
    for name in values:
        strategy, dot, parameter = name.rpartition(".")
        if dot:
            _check_strategy(strategy, specs)
        if (not dot or strategy in {spec.name, spec.instance}) and parameter not in known:
            near = get_close_matches(parameter, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"its parameters: {' '.join(known)}"
            if not dot and len(specs) > 1:
                hint += f"\none strategy's own: --param {spec.name}.NAME=VALUE"
            raise StrategyError(spec.name, f"no parameter `{parameter}`", hint=hint)
    common = {n: v for n, v in values.items() if "." not in n}
    mine = {
        n.rpartition(".")[2]: v
        for n, v in values.items()
        if n.rpartition(".")[0] in {spec.name, spec.instance}
    }
    return common | mine


def _check_strategy(name: str, specs: Sequence[InstanceSpec]) -> None:
    names = [text for spec in specs for text in (spec.name, spec.instance)]
    if name not in names:
        near = get_close_matches(name, names, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {' '.join(sorted(set(names)))}"
        raise ConfigError("param", f"no strategy `{name}` is run", hint=hint)


def _product(spec: InstanceSpec, values: Values) -> Iterator[Combination]:
    several = [name for name, found in values.items() if len(found) > 1]
    for chosen in product(*values.values()):
        given = dict(zip(values, chosen, strict=True))
        varied = tuple((name, given[name]) for name in several)
        inner = ",".join(f"{name}={_text(value)}" for name, value in varied)
        instance = f"{spec.instance}({inner})" if inner else spec.instance
        params: dict[str, Any] = spec.params | given
        made = spec.model_copy(update={"params": params, "instance": instance})
        yield Combination(made, varied)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _accepted(
    combinations: Iterable[Combination], refused: list[tuple[str, str]], registry: Registry
) -> list[Combination]:
    found, errors = [], []
    for combination in combinations:
        try:
            registry.make(combination.spec)
        except StrategyError as error:
            errors.append(error)
            refused.append((combination.spec.instance, error.why))
        else:
            found.append(combination)
    if errors and not found:
        raise errors[0]
    return found
