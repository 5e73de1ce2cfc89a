"""What a strategy says: making signals, and checking those it gave."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import TypeAlias

from core.market.errors import StrategyError
from core.market.intervals import Interval
from core.market.kline import Kline
from core.market.signal import Side, Signal
from core.market.trades import Trades
from strategies.moment import Moment, moment_of

Place: TypeAlias = Kline | Moment
"""What a signal is about."""

MOST_SIGNALS = 16
"""Signals for one kline, or for one trade."""


class Speaker:
    """Base of what gives signals.

    Attributes:
        name: The strategy's.
        instance: Which of its instances.

    """

    name: str
    instance: str

    _batch: tuple[Trades, Interval]
    # Of signals about trades, while they are collected: the signal itself, so that its id is
    # nobody else's, and its row.
    _rows: dict[int, tuple[Signal, int]]

    def at(self, row: int) -> Moment:
        """Return the place of a signal in `on_trades`: a row of the batch."""
        trades, of = self._batch
        return moment_of(trades, row, of)

    def long(self, at: Place, reason: str, /, **values: float | None) -> Signal:
        """Return a signal to be long; `values`: the known numbers behind it, by name."""
        return self._signal(Side.LONG, at, reason, values)

    def short(self, at: Place, reason: str, /, **values: float | None) -> Signal:
        """Return a signal to be short; `values`: the known numbers behind it, by name."""
        return self._signal(Side.SHORT, at, reason, values)

    def flat(self, at: Place, reason: str, /, **values: float | None) -> Signal:
        """Return a signal to be neither; `values`: the known numbers behind it, by name."""
        return self._signal(Side.FLAT, at, reason, values)

    def _signal(
        self, side: Side, at: Place, reason: str, values: dict[str, float | None]
    ) -> Signal:
        signal = Signal(
            key=at.key,
            interval=at.interval,
            strategy=self.name,
            instance=self.instance,
            side=side,
            open_us=at.open_us,
            close_us=at.close_us,
            price=at.text("close"),
            reason=reason,
            values=tuple((name, float(x)) for name, x in values.items() if x is not None),
        )
        if isinstance(at, Moment):
            self._rows[id(signal)] = signal, at.row
        return signal

    def _checked(self, method: str, said: Iterable[Signal] | None) -> list[Signal]:
        # One that returns nothing instead of an empty list meant the same.
        signals = list(islice(said or (), MOST_SIGNALS + 1))
        if len(signals) > MOST_SIGNALS:
            raise self._floods(method, "kline")
        for signal in signals:
            if not isinstance(signal, Signal):
                why = f"{method} gave a `{type(signal).__name__}`"
                raise StrategyError(self.name, why, hint="give what long, short and flat return")
        return signals

    def _checked_rows(self, said: Iterable[Signal] | None, most: int) -> list[tuple[int, Signal]]:
        signals = list(islice(said or (), MOST_SIGNALS * most + 1))
        rows = [self._rows.get(id(signal), (signal, -1))[1] for signal in signals]
        if -1 in rows or rows != sorted(rows):
            why = "on_trades gave something that is no signal at a trade, or not in their order"
            raise StrategyError(self.name, why, hint="self.long(self.at(row), reason)")
        if rows and max(Counter(rows).values()) > MOST_SIGNALS:
            raise self._floods("on_trades", "trade")
        self._rows.clear()
        return list(zip(rows, signals, strict=True))

    def _floods(self, method: str, what: str) -> StrategyError:
        why = f"{method} gave more than {MOST_SIGNALS} signals for one {what}"
        return StrategyError(self.name, why, hint="give one, for the position to be in")
