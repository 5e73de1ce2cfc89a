"""What of each kline goes to which indicators: read once, handed to all that take it."""

from collections.abc import Callable
from difflib import get_close_matches
from operator import attrgetter, itemgetter
from typing import Any, Literal, TypeAlias, get_args

from core.indicators.base import Indicator
from core.market.errors import StrategyError
from core.market.kline import Kline

Row: TypeAlias = tuple[float, ...]
"""The numbers of a kline that a strategy's indicators take."""

Source = Literal[
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trades"
]
"""What of a kline an indicator is fed with."""

SOURCES: tuple[str, ...] = get_args(Source)

INPUTS: tuple[str, ...] = (*SOURCES, "open_us", "close_us")
"""What of a kline an indicator may name in its `inputs`."""


class Feeder:
    """The indicators that one series of klines feeds.

    Args:
        strategy: Name of the strategy, for errors.

    """

    def __init__(self, strategy: str) -> None:
        self._strategy = strategy
        self._fields: list[str] = []
        # Who takes one number of a kline, and who several: calling with one is the common case.
        self._takers: list[tuple[Callable[[float], object], int]] = []
        self._several: list[tuple[Callable[..., object], Callable[[Row], Row]]] = []
        self._read = _reader([])
        self._only: tuple[Callable[[float], object], Callable[[Kline], float]] | None = None
        self.lookback = 1
        self.convergence = 1

    def add(self, indicator: Indicator[Any], source: str | None) -> None:
        """Feed an indicator from now on.

        Raises:
            StrategyError: Klines do not have what it takes.

        """
        at = [self._place(name) for name in self._taken_by(indicator, source)]
        if len(at) > 1:
            self._several.append((indicator.update, itemgetter(*at)))
        else:
            self._takers.append((indicator.update, at[0]))
        self._read = _reader(self._fields)
        alone = len(self._takers) == 1 and not self._several
        self._only = (self._takers[0][0], attrgetter(self._fields[0])) if alone else None
        self.lookback = max(self.lookback, indicator.lookback)
        self.convergence = max(self.convergence, indicator.convergence)

    def feed(self, kline: Kline) -> None:
        """Update all of them with a kline."""
        if self._only is not None:  # the common case, and the hot one
            take_only, field = self._only
            take_only(field(kline))
            return
        row = self._read(kline)
        for take, at in self._takers:
            take(row[at])
        for update, several in self._several:
            update(*several(row))

    def _taken_by(self, indicator: Indicator[Any], source: str | None) -> tuple[str, ...]:
        if source is not None and indicator.inputs:
            why = f"{indicator!r} takes {', '.join(indicator.inputs)}, not a source `{source}`"
            raise StrategyError(self._strategy, why, hint="leave the source out")
        if not indicator.inputs:
            chosen = "close" if source is None else source
            self._check_field(chosen, SOURCES)
            return (chosen,)
        for name in indicator.inputs:
            self._check_field(name, INPUTS)
        return indicator.inputs

    def _check_field(self, name: str, known: tuple[str, ...]) -> None:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {' '.join(known)}"
            raise StrategyError(self._strategy, f"klines have no `{name}`", hint=hint)

    def _place(self, field: str) -> int:
        if field not in self._fields:
            self._fields.append(field)
        return self._fields.index(field)


def _reader(fields: list[str]) -> Callable[[Kline], Row]:
    if len(fields) > 1:
        return attrgetter(*fields)
    if not fields:
        return lambda _: ()
    read = attrgetter(fields[0])
    return lambda kline: (read(kline),)
