"""What a strategy is: a small pure class with declared parameters and declared state.

    setup(params)     once: which indicators it uses, and its own state to begin with
    on_kline(kline)   per final kline, its indicators updated before: the signals it gives
    predicted(said)   before that, per model that runs on these klines: what it says of the kline

It never sees a clock. What it keeps between klines are its indicators and the plain attributes
that the class names in `state`; setting any other attribute later is an error, because it would
be lost at a restart.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, get_args

from core.indicators.base import Indicator
from core.market.errors import SnapshotError, StrategyError
from core.market.kline import Kline
from core.market.ml import Prediction
from core.market.signal import Side, Signal
from strategies.params import StrategyParams as StrategyParams
from strategies.params import checked

Plain: TypeAlias = bool | int | float | str | None
"""What a strategy may keep: values that a snapshot can hold whatever becomes of the code."""

Snapshot: TypeAlias = tuple[object, ...]

Row: TypeAlias = tuple[float, ...]
"""The numbers of a kline that a strategy's indicators take."""

Source = Literal[
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "trades"
]
"""What of a kline an indicator is fed with."""

MOST_SIGNALS = 16
"""Signals for one kline."""
MOST_BYTES = 65_536
"""Size of one kept value: state is bounded by parameters, not by uptime."""

SOURCES: tuple[str, ...] = get_args(Source)

INPUTS: tuple[str, ...] = (*SOURCES, "open_us", "close_us")
"""What of a kline an indicator may name in its `inputs`."""

AnyIndicator = TypeVar("AnyIndicator", bound=Indicator[Any])

# Between a small letter and a capital, and before the last capital of several: RSICross.
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Strategy(ABC):
    """Base of all strategies.

    Attributes:
        name: Registered name; the class name in snake_case unless given.
        version: To be raised when the rule changes or `state` gets another meaning; an instance
            then warms up anew instead of going on from what the old version kept.
        state: Names of the attributes that it keeps beside its indicators.
        params: The parameters, checked.
        instance: Which of possibly many instances this is.
        identity: Name, version and parameters (as JSON): with the same a snapshot can be resumed.

    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    state: ClassVar[tuple[str, ...]] = ()
    Params: ClassVar[type[StrategyParams]] = StrategyParams

    params: Any
    instance: str
    identity: tuple[str, int, str]

    _sealed = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = _WORD_START.sub("_", cls.__name__).lower()

    def __init__(
        self, params: StrategyParams | Mapping[str, object] | None = None, *, instance: str = ""
    ) -> None:
        self.params = checked(self.Params, self.name, params)
        self.instance = instance or self.name
        self.identity = (self.name, self.version, self.params.model_dump_json())
        self._indicators: list[Indicator[Any]] = []
        # What is read of each kline, once; and who takes one number of it, or several.
        self._fields: list[str] = []
        self._takers: list[tuple[Callable[[float], object], int]] = []
        self._several: list[tuple[Callable[..., object], Callable[[Row], Row]]] = []
        self._cold: list[Indicator[Any]] = []
        self.setup(self.params)
        self._read = _reader(self._fields)
        for name in self.state:
            if name not in self.__dict__:
                raise StrategyError(self.name, f"keeps `{name}`, which setup does not set")
            self._check_plain(name, self.__dict__[name])
        self._sealed = True

    @abstractmethod
    def setup(self, params: Any) -> None:  # noqa: ANN401 - each strategy names its own class here
        """Declare indicators with `use` and set the state to begin with."""

    @abstractmethod
    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return the signals of a final kline.

        It is called only when every used indicator has a value, with that kline already in them.
        """

    def predicted(self, prediction: Prediction) -> None:  # noqa: B027 - most care for none
        """Take what a model says of the kline that comes next; those of shadows come as well.

        One that defines it keeps what it needs in its `state`.
        """

    def use(self, indicator: AnyIndicator, source: Source | None = None) -> AnyIndicator:
        """Have `indicator` updated with each kline before `on_kline`; return it.

        Args:
            indicator: Of its own; each may be used once.
            source: What of a kline it takes, the close unless given. One that names its `inputs`
                takes those and has no source.

        Raises:
            StrategyError: The indicator is used already, or klines do not have what it takes.

        """
        if any(indicator is known for known in self._indicators):
            raise StrategyError(self.name, f"uses the same {indicator!r} twice")
        at = [self._place(name) for name in self._taken_by(indicator, source)]
        if len(at) > 1:
            self._several.append((indicator.update, itemgetter(*at)))
        else:
            self._takers.append((indicator.update, at[0]))
        self._indicators.append(indicator)
        self._cold.append(indicator)
        return indicator

    @property
    def lookback(self) -> int:
        """Klines until `on_kline` is first called."""
        return max((i.lookback for i in self._indicators), default=1)

    @property
    def convergence(self) -> int:
        """Klines until its signals no longer depend on where it began.

        That of its slowest indicator, and one, because crossings look at the value before. A
        strategy whose own state remembers more overrides this.
        """
        return max((i.convergence for i in self._indicators), default=1) + 1

    @property
    def warm(self) -> bool:
        """Whether each indicator that it uses has a value."""
        return not self._cold or self._is_warm()

    def feed(self, kline: Kline) -> list[Signal]:
        """Take the next final kline: update the indicators, then ask `on_kline`."""
        row = self._read(kline)
        for take, at in self._takers:
            take(row[at])
        for update, several in self._several:
            update(*several(row))
        if self._cold and not self._is_warm():
            return []
        # One that returns nothing instead of an empty list meant the same.
        signals = list(islice(self.on_kline(kline) or (), MOST_SIGNALS + 1))
        if len(signals) > MOST_SIGNALS:
            why = f"on_kline gave more than {MOST_SIGNALS} signals for one kline"
            raise StrategyError(self.name, why, hint="give one, for the position to be in")
        for signal in signals:
            if not isinstance(signal, Signal):
                why = f"on_kline gave a `{type(signal).__name__}`"
                raise StrategyError(self.name, why, hint="give what long, short and flat return")
        return signals

    def long(self, kline: Kline, reason: str, /, **values: float | None) -> Signal:
        """Return a signal to be long; `values`: the known numbers behind it, by name."""
        return self._signal(Side.LONG, kline, reason, values)

    def short(self, kline: Kline, reason: str, /, **values: float | None) -> Signal:
        """Return a signal to be short; `values`: the known numbers behind it, by name."""
        return self._signal(Side.SHORT, kline, reason, values)

    def flat(self, kline: Kline, reason: str, /, **values: float | None) -> Signal:
        """Return a signal to be neither; `values`: the known numbers behind it, by name."""
        return self._signal(Side.FLAT, kline, reason, values)

    def snapshot(self) -> Snapshot:
        """Return everything needed to go on: name, version, parameters, state, indicators."""
        kept = tuple(_plain(getattr(self, name)) for name in self.state)
        return (*self.identity, kept, tuple(i.snapshot() for i in self._indicators))

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot; one that this refuses leaves an instance not to be used.

        Raises:
            SnapshotError: It is of another strategy, version or parameters.

        """
        head, found = self.identity, tuple(snapshot)
        if len(found) != len(head) + 2 or found[: len(head)] != head:
            raise SnapshotError(f"strategy {self.instance}", found[: len(head)], head)
        kept, indicators = found[-2:]
        if not isinstance(kept, tuple) or not isinstance(indicators, tuple):
            raise SnapshotError(f"strategy {self.instance}", found, "two tuples at the end")
        if len(kept) != len(self.state) or len(indicators) != len(self._indicators):
            sizes = (len(self.state), len(self._indicators))
            raise SnapshotError(f"strategy {self.instance}", (len(kept), len(indicators)), sizes)
        for name, value in zip(self.state, kept, strict=True):
            setattr(self, name, value)
        for indicator, part in zip(self._indicators, indicators, strict=True):
            indicator.restore(part)

    def __setattr__(self, name: str, value: object) -> None:
        if self._sealed:
            if name not in self.state:
                names = "".join(f'"{n}", ' for n in (*self.state, name)).rstrip()
                raise StrategyError(
                    self.name,
                    f"sets `{name}` after setup, which a restart would lose",
                    hint=f"declare it in the class: state = ({names})",
                )
            self._check_plain(name, value)
        object.__setattr__(self, name, value)

    def _taken_by(self, indicator: Indicator[Any], source: str | None) -> tuple[str, ...]:
        if source is not None and indicator.inputs:
            why = f"{indicator!r} takes {', '.join(indicator.inputs)}, not a source `{source}`"
            raise StrategyError(self.name, why, hint="leave the source out")
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
            raise StrategyError(self.name, f"klines have no `{name}`", hint=hint)

    def _place(self, field: str) -> int:
        if field not in self._fields:
            self._fields.append(field)
        return self._fields.index(field)

    def _check_plain(self, name: str, value: object) -> None:
        if isinstance(value, str | int) and _size(value) > MOST_BYTES:
            why = f"keeps more than {MOST_BYTES} bytes in `{name}`"
            raise StrategyError(self.name, why, hint="keep numbers; windows belong in indicators")
        if value is not None and not isinstance(value, bool | int | float | str):
            why = f"keeps `{name}` as a `{type(value).__name__}`"
            raise StrategyError(self.name, why, hint="keep numbers, strings, booleans or None")

    def _is_warm(self) -> bool:
        self._cold[:] = [i for i in self._cold if i.value is None]
        return not self._cold

    def _signal(
        self, side: Side, kline: Kline, reason: str, values: dict[str, float | None]
    ) -> Signal:
        return Signal(
            key=kline.key,
            interval=kline.interval,
            strategy=self.name,
            instance=self.instance,
            side=side,
            open_us=kline.open_us,
            close_us=kline.close_us,
            price=kline.text("close"),
            reason=reason,
            values=tuple((name, float(x)) for name, x in values.items() if x is not None),
        )


def _reader(fields: list[str]) -> Callable[[Kline], Row]:
    if len(fields) > 1:
        return attrgetter(*fields)
    if not fields:
        return lambda _: ()
    read = attrgetter(fields[0])
    return lambda kline: (read(kline),)


def _plain(value: Plain) -> Plain:
    # Subclasses, such as numpy's float64, would bring their class into the snapshot.
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


def _size(value: str | int) -> int:
    return len(value) if isinstance(value, str) else value.bit_length() // 8
