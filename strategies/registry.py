"""Strategies by name: the built-in ones, those of installed packages, and files of the user.

A file or package that cannot be loaded costs only itself: its `StrategyError`, which names the
file and the line, is returned and kept, and shown when a name turns out to be unknown.
"""

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from core.market.errors import ConfigError, StrategyError
from core.market.intervals import interval
from strategies.base import Strategy
from strategies.bollinger_breakout import BollingerBreakout
from strategies.bollinger_reversion import BollingerReversion
from strategies.donchian_breakout import DonchianBreakout
from strategies.ema_cross import EmaCross
from strategies.loading import Found, from_entry_points, from_file, from_folder, line_of
from strategies.macd_cross import MacdCross
from strategies.ml.strategy import MlStrategy
from strategies.params import StrategyParams
from strategies.rsi_reversal import RsiReversal
from strategies.spec import EVERY, InstanceSpec, basket_symbol
from strategies.supertrend import Supertrend
from strategies.volume_spike import VolumeSpike
from strategies.vwap_reversion import VwapReversion

BUILT_IN: tuple[type[Strategy], ...] = (
    BollingerBreakout,
    BollingerReversion,
    DonchianBreakout,
    EmaCross,
    MacdCross,
    MlStrategy,
    RsiReversal,
    Supertrend,
    VolumeSpike,
    VwapReversion,
)

_LONGEST = 40
"""Characters of a symbol, and so of what stands in its place."""

_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered strategy.

    Attributes:
        origin: Where it came from: ``built-in``, a file, an entry point.
        code: Hash of that file as it was read; empty for what is in no file of the user.

    """

    strategy: type[Strategy]
    origin: str
    code: str = ""


class Registry:
    """Names and the classes they stand for.

    Attributes:
        failures: Why the last `load` could not load some of what it found.

    """

    def __init__(self, strategies: Iterable[type[Strategy]] = BUILT_IN) -> None:
        self._entries: dict[str, Entry] = {}
        self._folder: Path | None = None
        self.failures: tuple[StrategyError, ...] = ()
        for strategy in strategies:
            self.register(strategy)

    def register(self, strategy: type[Strategy], origin: str = "built-in", code: str = "") -> None:
        """Add a strategy; the same origin may replace its own, another may not.

        Raises:
            StrategyError: Its name is taken, or the class is not declared as it must be.

        """
        _check_class(strategy)
        taken = self._entries.get(strategy.name)
        if taken is not None and taken.origin != origin:
            hint = "rename the class, or give it another `name`"
            why = f"the name `{strategy.name}` is taken by {taken.origin}"
            raise StrategyError(strategy.name, why, hint=hint)
        self._entries[strategy.name] = Entry(strategy, origin, code)

    def load(self, folder: Path | None = None) -> tuple[StrategyError, ...]:
        """Add the strategies of installed packages and of the files in a folder.

        Files whose names begin with ``_`` or ``.`` are left alone.

        Returns:
            One error for each file or package that could not be loaded; the others are.

        Raises:
            ConfigError: There is no such folder.

        """
        if folder is not None and not folder.is_dir():
            hint = "make it, or leave the setting out"
            raise ConfigError("strategies_dir", f"no folder `{folder}`", hint=hint)
        self._folder = folder
        found = [*from_entry_points(), *(from_folder(folder) if folder is not None else ())]
        self.failures = tuple(e for origin in found for e in self._take(origin))
        return self.failures

    def reread(self, name: str) -> str:
        """Take a strategy's file as it is now; return its hash, empty where it is in none.

        Instances that run keep the class they were made of. One of an unknown name is looked for
        in the folder once more.

        Raises:
            StrategyError: The file cannot be loaded any more; what was loaded before stays.

        """
        entry = self._entries.get(name)
        if entry is None and self._folder is not None:
            for found in from_folder(self._folder):
                self._take(found)
        elif entry is not None and entry.code:
            found = from_file(Path(entry.origin))
            if found.code != entry.code:
                refused = self._take(found)
                if refused:
                    raise refused[0]
        return self._entries[name].code if name in self._entries else ""

    def refreshed(self, name: str, code: str) -> str:
        """See that a strategy is the one of that code; return what is to be said if it is not."""
        if not code or self.reread(name) == code:
            return ""
        return f"the file of `{name}` is another one than when this was commanded"

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self._entries))

    @property
    def wants(self) -> frozenset[str]:
        """What any of the strategies asks for beside final klines (`Strategy.wants`)."""
        return frozenset(w for entry in self._entries.values() for w in entry.strategy.wants)

    def find(self, name: str) -> type[Strategy]:
        """Return the class of that name, or raise `StrategyError` with the nearest one."""
        entry = self._entries.get(name)
        if entry is None:
            raise StrategyError(name, "no strategy of that name", hint=self._hint(name))
        return entry.strategy

    def make(self, spec: InstanceSpec) -> Strategy:
        """Return a new instance, or raise `StrategyError`."""
        strategy = self.find(spec.name)
        try:
            made = strategy(spec.params, instance=spec.instance)
        except StrategyError:
            raise
        except Exception as error:  # whatever the setup of a user's class raises
            why = f"setup failed: {type(error).__name__}: {error}"
            raise StrategyError(spec.name, why) from error
        _check_inputs(made, spec)
        return made

    def check(self, *specs: InstanceSpec) -> None:
        """Raise `StrategyError` unless all of them can be made and none is there twice."""
        seen: dict[str, InstanceSpec] = {}
        for spec in specs:
            self.make(spec)
            other = seen.setdefault(spec.instance, spec)
            if other is not spec and _meet(other, spec):
                hint = "give one of them an `instance` of its own"
                raise StrategyError(spec.name, f"two instances named `{spec.instance}`", hint=hint)

    def catalogue(self) -> list[dict[str, Any]]:
        """Return what there is, by name: ``name version about origin parameters legs``.

        `about` is the first paragraph of the docstring, `parameters` a JSON schema.
        """
        return [self._described(name) for name in self.names()]

    def _described(self, name: str) -> dict[str, Any]:
        entry = self._entries[name]
        about = (inspect.getdoc(entry.strategy) or "").partition("\n\n")[0]
        return {
            "name": name,
            "version": entry.strategy.version,
            "about": " ".join(about.split()),
            "origin": entry.origin,
            "parameters": entry.strategy.Params.model_json_schema(),
            "legs": list(entry.strategy.legs),
        }

    def _take(self, found: Found) -> list[StrategyError]:
        if isinstance(found.result, StrategyError):
            return [found.result]
        refused = []
        for strategy in found.result:
            try:
                self.register(strategy, found.origin, found.code)
            except StrategyError as error:
                place = f"{found.origin}:{line_of(strategy)}"
                why = f"class {strategy.__name__}: {error.why}"
                refused.append(StrategyError(place, why, hint=error.hint))
        return refused

    def _hint(self, name: str) -> str:
        near = get_close_matches(name, self._entries, 1)
        first = f"did you mean `{near[0]}`?" if near else f"there are {' '.join(self.names())}"
        return "\n".join([first, *(f"not loaded: {failure}" for failure in self.failures)])


def check_name(name: str) -> None:
    """Raise `StrategyError` unless a strategy may have that name."""
    if not _NAME.fullmatch(name):
        raise StrategyError(name, "expected a name of small letters, digits and `_`")


def _check_class(strategy: type[Strategy]) -> None:
    name = strategy.name
    check_name(name)
    if not issubclass(strategy.Params, StrategyParams):
        raise StrategyError(name, "its `Params` must be a subclass of StrategyParams")
    if not isinstance(strategy.state, tuple):
        # A lone ("armed") is a string, and would be taken for its letters.
        hint = f'write state = ("{strategy.state}",)'
        raise StrategyError(name, "its `state` must be a tuple of names", hint=hint)
    if inspect.isabstract(strategy):
        missing = " and ".join(sorted(strategy.__abstractmethods__))
        hint = "define it, or begin the class name with `_` if others are to be made from it"
        raise StrategyError(name, f"does not define {missing}", hint=hint)


def _check_inputs(strategy: Strategy, spec: InstanceSpec) -> None:
    if set(strategy.legs) != set(spec.legs):
        expected = ", ".join(f'{leg} = "<symbol>"' for leg in strategy.legs)
        why = f"its legs are {sorted(strategy.legs)}, not {sorted(spec.legs)}"
        raise StrategyError(spec.name, why, hint=f"legs = {{ {expected} }}" if expected else "")
    if spec.legs and strategy.wants:
        why = f"one with legs sees klines only, not {', '.join(sorted(strategy.wants))}"
        raise StrategyError(spec.name, why)
    if spec.legs and len(basket_symbol(spec)) > _LONGEST:
        why = f"`{spec.instance}` is too long a name beside those of its symbols"
        raise StrategyError(spec.name, why, hint="choose a shorter `instance`")
    own = interval(spec.interval)
    for need in strategy.needs:
        other = interval(need.interval or spec.interval)
        if (not need.leg and other == own) or not other.holds(own):
            why = f"looks at klines of {other}, which must be longer than its own of {own}"
            raise StrategyError(spec.name, why, hint=f"run it on a shorter interval than {other}")


def _meet(one: InstanceSpec, other: InstanceSpec) -> bool:
    both = (*one.symbols, *other.symbols)
    return EVERY in both or bool(set(one.symbols) & set(other.symbols))


REGISTRY = Registry()
"""The process's own, which `load` fills once at the start."""

load = REGISTRY.load
check = REGISTRY.check
find = REGISTRY.find
make = REGISTRY.make
catalogue = REGISTRY.catalogue
