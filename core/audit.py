"""The exchange's own klines as an audit of ours: every closed one is compared, field by field."""

from collections import OrderedDict

from core.market.kline import MEASURES, Kline
from core.market.symbols import USDM

_KEPT = 256
_Window = tuple[str, int]
_COUNTS = ("trades", "first_id", "last_id")
_TIMES = ("close_ms",)


class KlineAudit:
    """Pairs klines of one instrument by interval and window; holds only the newest unpaired.

    A window that we know to be incomplete (a gap, or a start that nobody saw) is not compared, nor
    are counts and ids of USD-M: its aggregates do not say how many trades they hold, because ids
    of fills that are not published lie between theirs (binance-public-data#363, #378).
    """

    def __init__(self) -> None:
        self.compared = 0
        self._ours: OrderedDict[_Window, Kline] = OrderedDict()
        self._theirs: OrderedDict[_Window, Kline] = OrderedDict()

    def ours(self, kline: Kline) -> str:
        """Take a final kline of ours; return what differs, once both sides are known."""
        window = _window(kline)
        _keep(self._ours, window, kline)
        theirs = self._theirs.pop(window, None)
        return "" if theirs is None else self._compare(kline, theirs)

    def theirs(self, kline: Kline) -> str:
        """Take a closed kline of the exchange; return what differs, once both sides are known."""
        window = _window(kline)
        ours = self._ours.get(window)
        if ours is None:
            _keep(self._theirs, window, kline)
            return ""
        return self._compare(ours, kline)

    def _compare(self, ours: Kline, theirs: Kline) -> str:
        if not ours.complete:
            return ""
        self.compared += 1
        return difference(ours, theirs, counts=counts_trades(ours.key))


def counts_trades(key: str) -> bool:
    """Say whether trades can be counted by their ids, as they can on Spot."""
    return not key.startswith(f"{USDM}:")


def difference(ours: Kline, theirs: Kline, *, counts: bool = True) -> str:
    """Return the fields in which two klines differ, as ``name ours!=theirs``; empty when equal.

    Without `counts` the number of trades and their ids are left out.
    """
    pairs = [(str(name), ours.text(name), theirs.text(name)) for name in MEASURES]
    others = (*_COUNTS, *_TIMES) if counts else _TIMES
    pairs += [(name, str(getattr(ours, name)), str(getattr(theirs, name))) for name in others]
    return ", ".join(f"{name} {own}!={other}" for name, own, other in pairs if own != other)


def _window(kline: Kline) -> _Window:
    return kline.interval.name, kline.open_us


def _keep(held: "OrderedDict[_Window, Kline]", window: _Window, kline: Kline) -> None:
    held[window] = kline
    if len(held) > _KEPT:
        held.popitem(last=False)
