"""Faults are data: what goes wrong, when, and where, readable from one short text each.

    drop@after=5s                       every open connection, 5 s of exchange time after the start
    drop@frames=500,connection=1        the first connection, once it was sent 500 frames
    stall@after=1m,for=30s,stream=btcusdt@trade
    rest@status=429,count=3,retry_after=10s,path=/api/v3/historicalTrades
    status@after=2m,for=1m,symbol=BTCUSDT,status=BREAK

All times are exchange time. A new fault is a dataclass: its fields are its options, the first line
of its docstring says what it does, `fact` what the real exchange does; `catalogue` lists it.

    base        what all have in common, and what may stand in the place of a frame
    frames      what becomes of the frames of a stream
    connection  what becomes of a connection, its handshake and its requests
    rest        what becomes of REST answers
    market      what the exchange as a whole does: trading status, its clock, its history
"""

from simulator.faults.base import CUT, Fault, Frame, FrameFault, Mark, Out, Turn, framed
from simulator.faults.catalogue import FAULTS
from simulator.faults.connection import (
    Ack,
    Close,
    Drop,
    HalfOpen,
    Refuse,
    RequestFault,
    Reset,
    Shutdown,
    SlowAck,
)
from simulator.faults.frames import GARBAGE, Duplicate, Garbage, Late, Mute, Reorder, Skip, Stall
from simulator.faults.market import BadAggregates, MarketFault, Skew, Status
from simulator.faults.parse import fault_text, make_fault, parse_fault, read_fault
from simulator.faults.rest import (
    Partial,
    RestFault,
    RestHang,
    RestLag,
    RestStatus,
    Torn,
)

__all__ = [
    "CUT",
    "FAULTS",
    "GARBAGE",
    "Ack",
    "BadAggregates",
    "Close",
    "Drop",
    "Duplicate",
    "Fault",
    "Frame",
    "FrameFault",
    "Garbage",
    "HalfOpen",
    "Late",
    "Mark",
    "MarketFault",
    "Mute",
    "Out",
    "Partial",
    "Refuse",
    "Reorder",
    "RequestFault",
    "Reset",
    "RestFault",
    "RestHang",
    "RestLag",
    "RestStatus",
    "Shutdown",
    "Skew",
    "Skip",
    "SlowAck",
    "Stall",
    "Status",
    "Torn",
    "Turn",
    "fault_text",
    "framed",
    "make_fault",
    "parse_fault",
    "read_fault",
]
