"""The ledger: what is held of a symbol's day, what is missing, and whether that can be proven.

Facts are gathered batch by batch (`DayScan`), judged by `certify`, and come out as a `Certificate`.
The default is incomplete: a day is complete only when ids prove it.
"""

from core.ledger.certificate import Certificate, State
from core.ledger.ids import HeldIds, Span
from core.ledger.scan import DayScan, Edge
from core.ledger.verdict import DayFacts, certify

__all__ = ["Certificate", "DayFacts", "DayScan", "Edge", "HeldIds", "Span", "State", "certify"]
