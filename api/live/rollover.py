"""Where one kline ends and the next begins: the next is not shown before the close was.

The close comes through the event lane, the forming one on a shorter way. A chart that was shown
the next bar takes no change of the one before it.
"""

from dataclasses import dataclass

from api.live.mailbox import Value

PATIENCE_S = 1.0
"""How long a close is waited for; longer, and something is wrong with the event lane."""


@dataclass(slots=True)
class _Bar:
    shown_ms: int = -1
    closed_ms: int = -1
    held: Value | None = None
    until: float = 0.0


class Rollover:
    """Holds forming klines back, by topic, until those before them are closed."""

    def __init__(self) -> None:
        self._bars: dict[str, _Bar] = {}

    def begin(self, topic: str, *, shown_ms: int, closed_ms: int) -> None:
        """Begin with the forming kline that is shown, and the one that closed last."""
        self._bars[topic] = _Bar(shown_ms, closed_ms)

    def forget(self, topic: str) -> None:
        """Forget a topic."""
        self._bars.pop(topic, None)

    def forming(self, topic: str, value: Value, now: float) -> Value | None:
        """Return what is to be shown of a forming kline that came; `now` is monotonic seconds."""
        bar = self._bars.setdefault(topic, _Bar())
        opens = value.opens_ms
        if opens <= bar.closed_ms or opens < bar.shown_ms:
            return None
        if opens == bar.shown_ms or bar.shown_ms <= bar.closed_ms:
            bar.shown_ms, bar.held = opens, None
            return value
        if bar.held is None:
            bar.until = now + PATIENCE_S
        bar.held = value
        return None

    def closed(self, topic: str, opens_ms: int) -> Value | None:
        """Take note that a kline closed; return the forming one that waited for it."""
        bar = self._bars.setdefault(topic, _Bar())
        bar.closed_ms = max(bar.closed_ms, opens_ms)
        return self._released(bar) if bar.shown_ms <= bar.closed_ms else None

    def overdue(self, now: float) -> list[tuple[str, Value]]:
        """Return what has waited long enough."""
        found = []
        for topic, bar in self._bars.items():
            if bar.held is not None and bar.until <= now:
                value = self._released(bar)
                if value is not None:
                    found.append((topic, value))
        return found

    def _released(self, bar: _Bar) -> Value | None:
        value, bar.held = bar.held, None
        if value is None or value.opens_ms <= bar.closed_ms:
            return None
        bar.shown_ms = value.opens_ms
        return value
