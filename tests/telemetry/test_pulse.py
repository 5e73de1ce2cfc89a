"""What is counted as a live flow's items pass."""

from core.market.events import (
    Connected,
    Disconnected,
    Frame,
    Gap,
    GapOpened,
    GapRepaired,
    Rotated,
)
from dataflows.pulse import Pulse
from telemetry import metrics

KEY, SHARD = "binance:BTCUSDT", "binance:shard-0"


def repairs(outcome: str) -> float:
    (family,) = metrics.REPAIRS.collect()
    return sum(
        s.value
        for s in family.samples
        if s.name.endswith("_count") and s.labels == {"outcome": outcome}
    )


def test_a_hole_is_timed_from_its_finding_to_its_end() -> None:
    before = repairs("repaired"), repairs("permanent")
    pulse = Pulse()
    pulse.see([(KEY, GapOpened(KEY, 1, 1, 11, 20)), (KEY, GapOpened(KEY, 1, 2, 31, 40))])
    pulse.see([(KEY, GapRepaired(KEY, 1, 3, 11, 25))])  # it grew meanwhile
    assert (repairs("repaired"), repairs("permanent")) == (before[0] + 1, before[1])
    pulse.see([(KEY, Gap(KEY, 1, 4, 31, 33, "part of it"))])
    assert repairs("permanent") == before[1]
    pulse.see([(KEY, Gap(KEY, 1, 5, 34, 40, "the rest"))])
    pulse.see([(KEY, Gap(KEY, 1, 6, 50, 50, "of a hole that nobody opened"))])
    assert (repairs("repaired"), repairs("permanent")) == (before[0] + 1, before[1] + 1)
    assert not pulse.repairs[KEY]


def test_a_link_that_is_replaced_is_not_lost() -> None:
    lost = metrics.total(metrics.RECONNECTS, shard=SHARD)
    pulse = Pulse()
    pulse.see([(SHARD, Connected(SHARD, 1, 1, 1)), (SHARD, Connected(SHARD, 1, 1, 2))])
    pulse.see([(SHARD, Frame(SHARD, 1, "frame", link, "")) for link in (1, 1, 2)])
    assert pulse.messages[SHARD] == {1: 2, 2: 1}
    pulse.see([(SHARD, Rotated(SHARD, 1, 1, 2, 1)), (SHARD, Disconnected(SHARD, 1, 1, 1, "", 1))])
    assert metrics.total(metrics.RECONNECTS, shard=SHARD) == lost
    pulse.see([(SHARD, Disconnected(SHARD, 1, 1, 2, "", 1))])
    pulse.see([(SHARD, Disconnected(SHARD, 1, 1, 3, "refused", 0))])  # it never was open
    assert metrics.total(metrics.RECONNECTS, shard=SHARD) == lost + 1
    assert pulse.received(SHARD) == 3
    assert not pulse.messages[SHARD]
