"""What goes wrong in one run, as data: the same seed gives the same script."""

import random
from dataclasses import asdict, dataclass
from typing import Literal

What = Literal["kill flow", "kill redis", "pause redis", "stop flow", "fill disk"]

SECONDS = 14.0
"""Of real time that a run takes, beside its beginning and end."""
SPEED = 40.0
_FIRST = 4.0  # by then a snapshot was taken: before that a flow has never been

_FAULTS = (
    "drop@after={a}s",
    "drop@after={a}s,per=connection",
    "skip@after={a}s,count={n},stream=btcusdt@trade",
    "skip@frames={f},count={n}",
    "duplicate@frames={f},count={n}",
    "garbage@frames={f}",
    "garbage@after={a}s,kind=all",
    "stall@after={a}s,for=60s,stream=btcusdt@trade",
    "stall@after={a}s,for=90s",
    "shutdown@after={a}s",
    "refuse@connection=2,attempts=2,status=503",
    "refuse@connection=3,attempts=1,status=503",
    "reset@after={a}s",
    "halfopen@after={a}s,for=60s",
    "close@after={a}s,code=1008,reason=Too many requests",
    "late@after={a}s,for=20s",
    "reorder@after={a}s,count={n}",
    "ack@lose=answer,connection=2",
    "mute@connection=2,stream=btcusdt@trade",
    "partial@rows=3,count={n}",
    "torn@path=historicalTrades,count=2",
    "rest@status=502,count=2,path=historicalTrades",
    "rest@status=429,retry_after=40s,count=1,after={a}s",
    "resthang@for=60s,count=1,after={a}s",
    "restlag@after={a}s,lag=10s,for=60s",
    "status@after={a}s,for=100s,symbol=SOLUSDT,status=HALT",
    "skew@by=2s,after={a}s,for=60s",
)
_ACTIONS: tuple[What, ...] = (
    "kill flow", "kill flow", "kill redis", "pause redis", "stop flow", "fill disk",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Action:
    """Something done to a process: `at` seconds after the start, for `lasts` seconds."""

    what: What
    at: float
    lasts: float


@dataclass(frozen=True, slots=True)
class Script:
    """One run."""

    seed: int
    processes: int
    fsync: Literal["always", "everysec"]
    faults: tuple[str, ...]
    actions: tuple[Action, ...]
    seconds: float = SECONDS

    def as_dict(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        acts = ", ".join(f"{a.what} at {a.at:.1f} s for {a.lasts:.1f} s" for a in self.actions)
        return (
            f"{self.processes} process{'es' * (self.processes > 1)}, AOF {self.fsync}; "
            f"{' '.join(self.faults) or 'no faults'}; {acts}"
        )


LONG = (
    Script(1001, 1, "always", (), (Action("pause redis", 5.0, 60.0),), seconds=80.0),
    Script(1002, 1, "everysec", (), (Action("kill redis", 5.0, 60.0),), seconds=80.0),
    Script(1003, 1, "always", (), (Action("fill disk", 5.0, 60.0),), seconds=80.0),
)
"""Outages of a minute: 40 minutes of the exchange's time."""


def script_of(seed: int, *, disk: bool = True) -> Script:
    """Return the script of a seed; `disk`: whether a small file system can be had."""
    dice = random.Random(seed)
    faults = tuple(
        text.format(
            a=dice.randrange(20, int(SECONDS * SPEED)),
            n=dice.randrange(1, 40),
            f=dice.randrange(100, 4000),
        )
        for text in dice.sample(_FAULTS, dice.randrange(0, 7))
    )
    known = _ACTIONS if disk else tuple(a for a in _ACTIONS if a != "fill disk")
    count = dice.randrange(1, 4)
    at = sorted(dice.uniform(_FIRST, SECONDS - 1.0) for _ in range(count))
    actions = tuple(Action(dice.choice(known), t, dice.uniform(0.0, 3.0)) for t in at)
    return Script(
        seed,
        processes=dice.choice((1, 1, 2)),
        fsync=dice.choice(("always", "everysec")),
        faults=faults,
        actions=actions,
    )
