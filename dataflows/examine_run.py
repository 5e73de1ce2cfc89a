"""Runs one instance over made-up or recorded data in the real host, without a flow around it."""

import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core.market.events import StrategyErrored
from core.market.kline import Kline
from core.market.signal import Signal
from core.market.symbols import Instrument
from core.market.trades import Trades
from dataflows.examine_market import Item
from dataflows.klines import Glimpse
from strategies.basket import Basket
from strategies.guard import Guard
from strategies.history import in_order
from strategies.host import StrategyHost
from strategies.registry import Registry
from strategies.spec import InstanceSpec, basket_key

SECONDS = 1.0
"""Processor time that one call may take, as in the flow."""


class Spoken(NamedTuple):
    """A signal, as far as two runs must agree on it."""

    time_us: int
    open_us: int
    side: str
    reason: str
    values: tuple[tuple[str, float], ...]


@dataclass(slots=True)
class Result:
    """What a run gave.

    Attributes:
        error: Traceback of what stopped it; empty: nothing did.
        klines: How many klines of its own it was fed.

    """

    signals: list[Spoken] = field(default_factory=list)
    error: str = ""
    klines: int = 0


class Runner:
    """One instance and what it runs in.

    Args:
        spec: The instance.
        registry: Where its strategy is.

    """

    def __init__(self, spec: InstanceSpec, registry: Registry) -> None:
        self._spec, self._registry = spec, registry
        self._guard = Guard(SECONDS)
        self.own = Instrument.of(spec.symbols[0]).key
        self._hosts = self._made()
        self._basket = self._made_basket()
        self._result = Result()

    def run(self, items: Sequence[tuple[str, Item]], restarts: Collection[int] = ()) -> Result:
        """Feed it; at each number in `restarts` it is saved and restored before.

        Args:
            items: Key and item, in order.
            restarts: Numbers of items.

        """
        for n, (key, item) in enumerate(items):
            if n in restarts:
                self._restart()
            for one in self._given(key, item):
                if isinstance(one, StrategyErrored):
                    self._result.error = self._result.error or one.detail
                elif isinstance(one, Signal):
                    place = (one.close_us, one.open_us, one.side.value, one.reason, one.values)
                    self._result.signals.append(Spoken(*place))
            own = isinstance(item, Kline) and item.interval.name == self._spec.interval
            self._result.klines += own and key == self.own
        return self._result

    def _given(self, key: str, item: Item) -> Sequence[object]:
        host = self._hosts[key]
        match item:
            case Kline():
                out: list[object] = [*host.on_kline(item)]
            case Trades():
                out = [*host.on_trades(item)]
            case Glimpse():
                out = [*host.on_forming(item.kline, item.time_us)]
        for sent in host.sent():
            if self._basket is not None:
                out += self._basket.take(sent.item)
        return out

    def _restart(self) -> None:
        saved = {key: pickle.loads(pickle.dumps(h.snapshot())) for key, h in self._hosts.items()}
        basket = None if self._basket is None else pickle.dumps(self._basket.snapshot())
        self._hosts, self._basket = self._made(), self._made_basket()
        for key, host in self._hosts.items():
            host.restore(saved[key])
        if self._basket is not None and basket is not None:
            self._basket.restore(pickle.loads(basket))

    def _made(self) -> dict[str, StrategyHost]:
        keys = [Instrument.of(symbol).key for symbol in self._spec.watched]
        return {key: StrategyHost(key, [self._spec], self._registry, self._guard) for key in keys}

    def _made_basket(self) -> Basket | None:
        if not self._spec.legs:
            return None
        return Basket(basket_key(self.own, self._spec), self._spec, self._registry, self._guard)


def merged(items: Mapping[str, Sequence[Item]]) -> list[tuple[str, Item]]:
    """Return the items of several instruments in one order; of one they stay as they are.

    Of several only klines are taken: one that sees several symbols is shown nothing else.
    """
    if len(items) == 1:
        ((key, only),) = items.items()
        return [(key, item) for item in only]
    klines = [[item for item in own if isinstance(item, Kline)] for own in items.values()]
    return [(kline.key, kline) for kline in in_order(klines)]
