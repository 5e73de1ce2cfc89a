"""Values of an indicator over klines, for charts: those of one that has run for long."""

import inspect
import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from api.data.columns import floats, values
from api.problems import ProblemError
from connectors.parquet.tables import Table
from core.indicators.base import Indicator, IndicatorError
from core.indicators.registry import INDICATORS
from core.market.intervals import DAY_US, Interval
from core.market.kline import MEASURES

MOST_WARMUP = 50_000
"""Klines read before a page; a longer convergence is not waited for, and said so."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An indicator, and of which number of klines."""

    indicator: Indicator[Any]
    parameters: dict[str, float | int | str]
    source: str

    @property
    def outputs(self) -> list[str]:
        """Names of its values."""
        return list(self.indicator.parts) or ["value"]

    @property
    def warmup(self) -> int:
        """How many klines before the first one it is to see."""
        return min(MOST_WARMUP, max(self.indicator.lookback, self.indicator.convergence) - 1)


def wanted(name: str, told: dict[str, str], interval: Interval) -> Wanted:
    """Return the indicator of a request, or refuse it with the parameter and the way out."""
    cls = INDICATORS.get(name)
    if cls is None:
        near = get_close_matches(name, INDICATORS, 1, 0.5)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {' '.join(INDICATORS)}"
        raise ProblemError(422, f"no indicator `{name}`", field="name", hint=hint)
    known = dict(inspect.signature(cls).parameters)
    given = dict(told)
    if "day" in known and interval.length_us:  # klines in a day
        given.setdefault("day", str(max(1, DAY_US // interval.length_us)))
    source = given.pop("source", "close") if not cls.inputs else "close"
    if source not in MEASURES:
        hint = f"one of {' '.join(MEASURES)}"
        raise ProblemError(422, f"no such number `{source}`", field="source", hint=hint)
    made = {each: _number(name, each, text, known) for each, text in given.items()}
    for each, parameter in known.items():
        if parameter.default is parameter.empty and each not in made:
            raise ProblemError(422, f"`{name}` needs it", field=each, hint=f"{each}=20")
    try:
        indicator = cls(**made)
    except IndicatorError as error:
        raise ProblemError(422, str(error), field=next(iter(made), "name")) from None
    # All that it was made with, defaults included, in the order of the constructor.
    shown = dict(zip(known, indicator.parameters, strict=False))
    return Wanted(indicator, shown | ({} if cls.inputs else {"source": source}), source)


def _number(
    name: str, parameter: str, text: str, known: dict[str, inspect.Parameter]
) -> float | int:
    if parameter not in known:
        near = get_close_matches(parameter, known, 1, 0.5)
        there = f"its parameters: {' '.join(known)}" if known else "it has none"
        hint = f"did you mean `{near[0]}`?" if near else there
        raise ProblemError(422, f"`{name}` has no `{parameter}`", field=parameter, hint=hint)
    whole = known[parameter].annotation in (int, "int")
    try:
        found = int(text) if whole else float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or (whole and abs(found) > MOST_WARMUP):
        kind = f"a whole number below {MOST_WARMUP}" if whole else "a number"
        raise ProblemError(422, f"`{text}` is not {kind}", field=parameter, hint=f"{parameter}=20")
    return found


def computed(want: Wanted, tables: list[Table], skip: int) -> list[dict[str, float | int | None]]:
    """Return its values at klines, oldest first.

    Args:
        want: The indicator; it is used up.
        tables: Klines, oldest first.
        skip: How many of the first only warm it up.

    """
    found: list[dict[str, float | int | None]] = []
    for table in tables:
        opens = values(table, "open_time")
        names = want.indicator.inputs or (want.source,)
        columns = [_column(table, name) for name in names]
        for open_us, *numbers in zip(opens, *columns, strict=True):
            said = _said(want.indicator, numbers)
            if skip > 0:
                skip -= 1
                continue
            found.append({"open_us": open_us, **dict(zip(want.outputs, said, strict=True))})
    return found


def _column(table: Table, name: str) -> list[float]:
    return floats(table, "open_time" if name == "open_us" else name)


def _said(indicator: Indicator[Any], numbers: list[float]) -> list[float | None]:
    width = max(1, len(indicator.parts))
    try:
        value = indicator.update(*numbers)
    except IndicatorError:  # a price of 0: it has changed nothing, and this kline has no value
        return [None] * width
    if value is None:
        return [None] * width
    flat = np.atleast_1d(np.asarray(value, np.float64)).tolist()
    return [x if math.isfinite(x) else None for x in flat]
