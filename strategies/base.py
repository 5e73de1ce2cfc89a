"""What a strategy is: a small pure class with declared parameters and declared state.

    setup(params)        once: which indicators it uses, and its own state to begin with
    on_kline(kline)      per final kline, its indicators updated before: the signals it gives

and, where a class defines them,

    on_trades(trades)    per batch of trades, in their order, however they are batched
    on_forming(kline)    the unfinished kline, once a second in which something was traded
    on_quality(event)    what is wrong with the data: gaps, repairs, silence, halts
    predicted(said)      before `on_kline`, per model on these klines: what it says of the kline

It never sees a clock. What it keeps between klines are its indicators and the plain attributes
that the class names in `state`; setting any other attribute later is an error, because it would
be lost at a restart.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

from core.indicators.base import Indicator
from core.market.errors import IntervalError, SnapshotError, StrategyError
from core.market.events import Event
from core.market.intervals import Interval, interval
from core.market.kline import Kline
from core.market.ml import Prediction
from core.market.signal import Signal
from core.market.trades import Trades
from strategies.feeding import INPUTS as INPUTS
from strategies.feeding import SOURCES as SOURCES
from strategies.feeding import Feeder, Source
from strategies.params import StrategyParams as StrategyParams
from strategies.params import checked
from strategies.plain import MOST_BYTES as MOST_BYTES
from strategies.plain import check_plain, plain
from strategies.saying import MOST_SIGNALS as MOST_SIGNALS
from strategies.saying import Speaker

Snapshot: TypeAlias = tuple[object, ...]

AnyIndicator = TypeVar("AnyIndicator", bound=Indicator[Any])


class Need(NamedTuple):
    """Further klines that a strategy looks at, beside those it is run on.

    Attributes:
        leg: Whose: a name out of `Strategy.legs`; empty: its own symbol's.
        interval: Name of their interval; empty: that of the klines it is run on.
        klines: How many it takes until their start no longer matters.

    """

    leg: str
    interval: str
    klines: int


# Between a small letter and a capital, and before the last capital of several: RSICross.
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Strategy(Speaker, ABC):
    """Base of all strategies.

    Attributes:
        name: Registered name; the class name in snake_case unless given.
        version: To be raised when the rule changes or `state` gets another meaning; an instance
            then warms up anew instead of going on from what the old version kept.
        state: Names of the attributes that it keeps beside its indicators.
        legs: Names for further symbols that it looks at; which they are says each instance.
        wants: Which of ``trades``, ``forming`` and ``quality`` the class has a method for.
        params: The parameters, checked.
        instance: Which of possibly many instances this is.
        identity: Name, version and parameters (as JSON): with the same a snapshot can be resumed.

    """

    name = ""
    version: ClassVar[int] = 1
    state: ClassVar[tuple[str, ...]] = ()
    legs: ClassVar[tuple[str, ...]] = ()
    wants: ClassVar[frozenset[str]] = frozenset()
    Params: ClassVar[type[StrategyParams]] = StrategyParams

    params: Any
    identity: tuple[str, int, str]

    _sealed = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = _WORD_START.sub("_", cls.__name__).lower()
        optional = ("trades", "forming", "quality")
        own = (n for n in optional if getattr(cls, f"on_{n}") is not getattr(Strategy, f"on_{n}"))
        cls.wants = frozenset(own)

    def __init__(
        self, params: StrategyParams | Mapping[str, object] | None = None, *, instance: str = ""
    ) -> None:
        self.params = checked(self.Params, self.name, params)
        self.instance = instance or self.name
        self.identity = (self.name, self.version, self.params.model_dump_json())
        self._indicators: list[Indicator[Any]] = []
        self._cold: list[Indicator[Any]] = []
        self._own = Feeder(self.name)
        self._others: dict[tuple[str, str], Feeder] = {}
        self._beside: dict[str, Kline] = {}  # of each leg, the newest kline
        self._rows = {}
        self.setup(self.params)
        for name in self.state:
            if name not in self.__dict__:
                raise StrategyError(self.name, f"keeps `{name}`, which setup does not set")
            check_plain(self.name, name, self.__dict__[name])
        self._sealed = True

    @abstractmethod
    def setup(self, params: Any) -> None:  # noqa: ANN401 - each strategy names its own class here
        """Declare indicators with `use` and set the state to begin with."""

    @abstractmethod
    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return the signals of a final kline.

        It is called only when every used indicator has a value, with that kline already in them.
        """

    def predicted(self, prediction: Prediction) -> None:
        """Take what a model says of the kline that comes next; those of shadows come as well.

        One that defines it keeps what it needs in its `state`.
        """

    def on_trades(self, trades: Trades) -> Iterable[Signal]:
        """Return the signals of trades, each made at its trade: ``self.long(self.at(row), why)``.

        A batch holds one trade or thousands and never reaches over the end of a window. What is
        said must not depend on how they are batched. It is called once all indicators have values.
        """
        raise NotImplementedError

    def on_forming(self, kline: Kline) -> Iterable[Signal]:
        """Return the signals of a kline as it stands; `peek` of indicators fits here.

        Indicators do not take it. It is called once they have values.
        """
        raise NotImplementedError

    def on_quality(self, event: Event, kline: Kline) -> Iterable[Signal]:
        """Return the signals of an event about the data; `kline`: the last final one before it.

        A recording's replay has the same events; a back-test on files of klines has none.
        """
        raise NotImplementedError

    def use(
        self,
        indicator: AnyIndicator,
        source: Source | None = None,
        *,
        interval: str = "",
        leg: str = "",
    ) -> AnyIndicator:
        """Have `indicator` updated with each kline before `on_kline`; return it.

        Args:
            indicator: Of its own; each may be used once.
            source: What of a kline it takes, the close unless given. One that names its `inputs`
                takes those and has no source.
            interval: Of the klines it takes, where these are longer than those the strategy is
                run on. One that ends together with the strategy's own kline is in it before.
            leg: Whose klines it takes, where these are another symbol's: a name out of `legs`.

        Raises:
            StrategyError: The indicator is used already, or klines do not have what it takes.

        """
        if any(indicator is known for known in self._indicators):
            raise StrategyError(self.name, f"uses the same {indicator!r} twice")
        self._feeder(leg, interval).add(indicator, source)
        self._indicators.append(indicator)
        self._cold.append(indicator)
        return indicator

    def keep(self, indicator: AnyIndicator) -> AnyIndicator:
        """Keep `indicator` over restarts and leave its updates to the strategy; return it."""
        if any(indicator is known for known in self._indicators):
            raise StrategyError(self.name, f"uses the same {indicator!r} twice")
        self._indicators.append(indicator)
        return indicator

    @property
    def lookback(self) -> int:
        """Klines until `on_kline` is first called, as far as those it is run on decide it."""
        return self._own.lookback

    @property
    def convergence(self) -> int:
        """Klines until its signals no longer depend on where it began.

        That of its slowest indicator, and one, because crossings look at the value before. A
        strategy whose own state remembers more overrides this.
        """
        return self._own.convergence + 1

    @property
    def needs(self) -> tuple[Need, ...]:
        """The further klines that it looks at."""
        return tuple(Need(*at, feeder.convergence + 1) for at, feeder in self._others.items())

    @property
    def warm(self) -> bool:
        """Whether each indicator that it uses has a value."""
        return not self._cold or self._is_warm()

    def feed(self, kline: Kline) -> list[Signal]:
        """Take the next final kline: update the indicators, then ask `on_kline`."""
        self._own.feed(kline)
        if self._cold and not self._is_warm():
            return []
        return self._checked("on_kline", self.on_kline(kline))

    def feed_other(self, kline: Kline, leg: str, interval: str) -> None:
        """Take a further final kline (see `needs`): update the indicators that look at it."""
        if not interval:
            self._beside[leg] = kline
        self._others[leg, interval].feed(kline)

    def feed_forming(self, kline: Kline, time_us: int) -> list[Signal]:
        """Take the unfinished kline as it stood at a time; ask `on_forming`."""
        if not self.warm:
            return []
        signals = self._checked("on_forming", self.on_forming(kline))
        return [replace(signal, close_us=time_us) for signal in signals]

    def feed_event(self, event: Event, kline: Kline) -> list[Signal]:
        """Take an event about the data; ask `on_quality`."""
        return self._checked("on_quality", self.on_quality(event, kline)) if self.warm else []

    def feed_trades(self, trades: Trades, interval: Interval) -> list[tuple[int, Signal]]:
        """Take trades of one window; return what `on_trades` says, each with its row."""
        if not self.warm:
            return []
        object.__setattr__(self, "_batch", (trades, interval))
        return self._checked_rows(self.on_trades(trades), len(trades))

    def leg(self, name: str, kline: Kline) -> Kline | None:
        """Return a leg's kline of the same window as `kline`; None where it has none."""
        self._check_leg(name)
        found = self._beside.get(name)
        return None if found is None or found.open_us != kline.open_us else found

    def snapshot(self) -> Snapshot:
        """Return everything needed to go on: name, version, parameters, state, indicators."""
        kept = tuple(plain(getattr(self, name)) for name in self.state)
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
            check_plain(self.name, name, value)
        object.__setattr__(self, name, value)

    def _feeder(self, leg: str, name: str) -> Feeder:
        if leg:
            self._check_leg(leg)
        if not leg and not name:
            return self._own
        if name:
            try:
                name = interval(name).name
            except IntervalError as error:
                raise StrategyError(self.name, str(error)) from None
        return self._others.setdefault((leg, name), Feeder(self.name))

    def _check_leg(self, leg: str) -> None:
        if leg not in self.legs:
            hint = f"declare it in the class: legs = {(*self.legs, leg)}"
            raise StrategyError(self.name, f"has no leg `{leg}`", hint=hint)

    def _is_warm(self) -> bool:
        self._cold[:] = [i for i in self._cold if i.value is None]
        return not self._cold
