"""Which final klines change when trades come late: those built anew against those that stand."""

from collections.abc import Iterable
from dataclasses import replace

from core.market.kline import MEASURES, Kline
from core.market.position import Positions

Windows = dict[tuple[str, int], Kline]
"""The latest revision of each kline of an instrument, by (interval's name, open_us)."""


def latest(klines: Iterable[Kline]) -> Windows:
    """Return the latest revision of each kline; of equal ones the later."""
    found: Windows = {}
    for kline in klines:
        window = (kline.interval.name, kline.open_us)
        if window not in found or kline.revision >= found[window].revision:
            found[window] = kline
    return found


def revised(stored: Windows, built: Iterable[Kline], positions: Positions) -> list[Kline]:
    """Return the klines to issue (again), in the order of `built`.

    A kline that stands as it was built is not issued. One that differs gets the next revision, one
    that was never issued is revision 0. A kline of less knowledge never replaces one of more: what
    was complete is not made incomplete.

    Args:
        stored: What stands.
        built: What the trades that are held now give.
        positions: Hands out the data positions.

    """
    issued = []
    for kline in built:
        old = stored.get((kline.interval.name, kline.open_us))
        if old is not None and (_same(old, kline) or (old.complete and not kline.complete)):
            continue
        revision = 0 if old is None else old.revision + 1
        at = positions.at(kline.close_us)
        issued.append(replace(kline, revision=revision, seq=at))
    return issued


def _same(old: Kline, new: Kline) -> bool:
    facts = ("trades", "first_id", "last_id", "complete")
    return all(getattr(old, name) == getattr(new, name) for name in facts) and all(
        old.exact(measure) == new.exact(measure) for measure in MEASURES
    )
