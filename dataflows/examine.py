"""Whether a strategy keeps what a strategy must: the checks of ``cryptotools strategy test``.

Each looks for a mistake that shows only in production: hidden state that a restart loses, dice and
clocks that make a replay say something else, a start that matters for longer than it says, state
beside its own that lets it see what has not happened yet.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from core.market.errors import StrategyError
from core.market.intervals import Interval, interval
from core.market.kline import Kline
from core.market.symbols import Instrument
from core.market.trades import Trades
from dataflows.examine_market import HOSTILE, Item, Path, cut, items_of, lively, trades_of
from dataflows.examine_run import Result, Runner, Spoken, merged
from strategies.base import Strategy
from strategies.registry import REGISTRY, Registry
from strategies.spec import EVERY, InstanceSpec

Verdict = Literal["pass", "fail", "warn"]
Items = list[tuple[str, Item]]

KLINES = 1500
"""Made-up klines beside those that it takes to converge."""
BUDGET_US = 4.0
"""Processor time per kline that the flow reckons with."""

_RESTARTS = 12
_STARTS = 4
_CUTS = 4
_RUNS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    verdict: Verdict
    detail: str


@dataclass(slots=True)
class Report:
    """What all checks found.

    Attributes:
        spec: What was examined.
        signals: How many signals it gave.
        klines: Over how many klines.

    """

    spec: InstanceSpec
    signals: int = 0
    klines: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(one for one in self.findings if one.verdict == "fail")

    def add(self, check: str, problem: str, fine: str = "", *, only_warn: bool = False) -> None:
        """Note a check: `problem` is empty where there is none."""
        bad: Verdict = "warn" if only_warn else "fail"
        self.findings.append(Finding(check, bad if problem else "pass", problem or fine))


def examine(
    spec: InstanceSpec,
    registry: Registry = REGISTRY,
    *,
    klines: Sequence[Kline] = (),
    seed: int = 1,
    told: Callable[[str], None] = lambda _: None,
) -> Report:
    """Examine an instance.

    Args:
        spec: The instance; without symbols of its own it runs on BTCUSDT.
        registry: Where its strategy is.
        klines: Recorded klines of its interval to use instead of made-up trades; one symbol.
        seed: Of the made-up market.
        told: Told which check begins.

    Raises:
        StrategyError: It cannot be made.

    """
    if EVERY in spec.symbols:
        spec = spec.model_copy(update={"symbols": ("BTCUSDT",)})
    registry.check(spec)
    return _Examination(spec, registry, klines, seed, told).report()


class _Examination:
    def __init__(
        self,
        spec: InstanceSpec,
        registry: Registry,
        klines: Sequence[Kline],
        seed: int,
        told: Callable[[str], None],
    ) -> None:
        self.spec, self.registry, self.seed, self.told = spec, registry, seed, told
        self.strategy = registry.make(spec)
        self.own = interval(spec.interval)
        if not self.own.length_us:
            raise StrategyError(spec.name, f"cannot be tested on {self.own}", hint="try 1d")
        self.count = KLINES + 3 * self.strategy.convergence + self._needed()
        self.items = self._recorded(klines) if klines else self._market(lively)
        self.whole = Result()

    def report(self) -> Report:
        report = Report(self.spec)
        self.told("parameters")
        report.add("parameters", _parameters(self.strategy), "described, bounded", only_warn=True)
        self.told("runs")
        self.whole = self._run(self.items)
        report.signals, report.klines = len(self.whole.signals), self.whole.klines
        report.add("runs", _last_lines(self.whole.error), f"{self.whole.klines} klines")
        if self.whole.error:
            return report  # nothing else can be said of it
        silent = "" if report.signals else "it said nothing: are its parameters what you mean?"
        report.add("signals", silent, f"{report.signals} signals", only_warn=True)
        self._laws(report)
        self.told("hostile markets")
        report.add("hostile markets", self._hostile(), f"{len(HOSTILE)} of them")
        spent = self._spent_us()
        slow = f"{spent:.1f} us per kline; the flow reckons with {BUDGET_US:g}"
        report.add("speed", slow if spent > BUDGET_US else "", f"{spent:.1f} us per kline",
                   only_warn=True)  # fmt: skip
        return report

    def _laws(self, report: Report) -> None:
        laws: list[tuple[str, Callable[[], str], str]] = [
            ("the same twice", self._twice, "two runs agree"),
            ("restarts", self._restarts, f"{_RESTARTS} at random places change nothing"),
            ("warm-up", self._warm_up, f"a late start agrees after {self.strategy.convergence}"),
            ("no look-ahead", self._ahead, "what comes later changes nothing said before"),
        ]
        if "trades" in self.strategy.wants:
            laws.append(("batches", self._batches, "how trades are batched changes nothing"))
        for name, law, fine in laws:
            self.told(name)
            report.add(name, law(), fine)

    # ---- laws: each returns what is wrong, or nothing ----

    def _twice(self) -> str:
        again = self._run(self.items)
        return _apart(self.whole.signals, again.signals, "the second run", _CLOCKS)

    def _restarts(self) -> str:
        dice = random.Random(self.seed)
        at = sorted(dice.sample(range(1, len(self.items)), min(_RESTARTS, len(self.items) - 1)))
        resumed = self._run(self.items, at)
        return _apart(self.whole.signals, resumed.signals, "with restarts", _HIDDEN)

    def _warm_up(self) -> str:
        ends = self._ends()
        steps = self.strategy.convergence + self._needed()
        if len(ends) <= steps + 2:
            return f"{len(ends)} klines are too few: it takes {steps} to converge"
        room = len(ends) - steps - 1
        starts = [1 + room * n // _STARTS for n in range(_STARTS)]
        for start in starts:
            problem = self._late(ends, start, steps)
            if problem:
                return problem
        return ""

    def _late(self, ends: list[int], start: int, steps: int) -> str:
        late = self._run([one for one in self.items if _time_of(one[1]) > ends[start - 1]])
        seam_us = ends[start + steps - 1]
        expected = [s for s in self.whole.signals if s.time_us > seam_us]
        found = [s for s in late.signals if s.time_us > seam_us]
        if [s[:4] for s in expected] == [s[:4] for s in found]:
            return ""
        apart = {s[:4] for s in expected} ^ {s[:4] for s in found}
        last_us = max(s[0] for s in apart)
        after = sum(1 for end in ends[start:] if end <= last_us)
        return (
            f"started {start} klines later it still says something else after {after} klines, but "
            f"its convergence is {self.strategy.convergence}: override it, or keep less"
        )

    def _ahead(self) -> str:
        for n in range(1, _CUTS + 1):
            at = len(self.items) * n // (_CUTS + 1)
            until_us = min(_time_of(item, first=True) for _, item in self.items[at:])
            before = [s for s in self.whole.signals if s.time_us < until_us]
            other = self._run([*self.items[:at], *self._changed(self.items[at:])])
            found = [s for s in other.signals if s.time_us < until_us]
            problem = _apart(before, found, "with another future", _FUTURE)
            if problem:
                return problem
        return ""

    def _batches(self) -> str:
        single = self._run(merged({self._key(): cut([i for _, i in self.items], 1)}))
        return _apart(self.whole.signals, single.signals, "trade by trade", _BATCHES)

    def _hostile(self) -> str:
        for name, path in HOSTILE.items():
            found = self._run(self._market(path))
            if found.error:
                return f"{name}: {_last_lines(found.error)}"
        return ""

    def _spent_us(self) -> float:
        # Its own klines alone, and the best of some runs: what else the machine does is not its.
        own = [k for _, k in self.items if isinstance(k, Kline) and k.interval == self.own]
        best = float("inf")
        for _ in range(_RUNS):
            fresh = self.registry.make(self.spec)
            began = time.process_time()
            for kline in own:
                fresh.feed(kline)
            best = min(best, time.process_time() - began)
        return 1e6 * best / len(own)

    # ---- data ----

    def _run(self, items: Items, restarts: Iterable[int] = ()) -> Result:
        return Runner(self.spec, self.registry).run(items, frozenset(restarts))

    def _key(self) -> str:
        return Instrument.of(self.spec.symbols[0]).key

    def _needed(self) -> int:
        needs = self.strategy.needs
        lengths = [(n.klines, interval(n.interval or self.spec.interval)) for n in needs]
        return max((k * (of.length_us or 1) // self.own.length_us for k, of in lengths), default=0)

    def _others(self) -> list[Interval]:
        return [interval(need.interval) for need in self.strategy.needs if need.interval]

    def _market(self, path: Path) -> Items:
        found = {}
        for n, symbol in enumerate(self.spec.watched):
            key = Instrument.of(symbol).key
            trades = trades_of(key, self.own, path, self.seed + n, self.count)
            found[key] = items_of(trades, self.own, self._others(), self.strategy.wants)
        return merged(found)

    def _recorded(self, klines: Sequence[Kline]) -> Items:
        if self.spec.legs:
            why = "looks at several symbols: it is tested on made-up markets only"
            raise StrategyError(self.spec.name, why, hint="leave the data out")
        return merged(
            {klines[0].key: items_of(klines, self.own, self._others(), self.strategy.wants)}
        )

    def _changed(self, items: Items) -> Items:
        # Another market from here on: the same times, other prices.
        others = iter(self._market(lively)[::-1])
        prices = [item for _, item in others if isinstance(item, Kline)]
        changed: Items = []
        for n, (key, item) in enumerate(items):
            if isinstance(item, Kline):
                other = prices[n % len(prices)]
                changed.append((key, _with_prices(item, other)))
        return changed

    def _ends(self) -> list[int]:
        return [
            item.close_us
            for key, item in self.items
            if isinstance(item, Kline) and item.interval == self.own and key == self.items[-1][0]
        ]


_CLOCKS = "does it use a clock, dice, or something that is not its own?"
_HIDDEN = "does it keep something that is neither an indicator nor named in `state`?"
_FUTURE = "does it look at something beside what it is given?"
_BATCHES = "does it look at a batch as a whole?"


def _with_prices(kline: Kline, other: Kline) -> Kline:
    return replace(
        kline,
        price_scale=other.price_scale,
        open_units=other.open_units,
        high_units=other.high_units,
        low_units=other.low_units,
        close_units=other.close_units,
        volume_units=kline.volume_units // 2,
        taker_buy_volume_units=kline.taker_buy_volume_units // 2,
    )


def _time_of(item: Item, *, first: bool = False) -> int:
    if isinstance(item, Kline):
        return item.close_us
    if isinstance(item, Trades):
        return int(item.time_us[0 if first else -1])
    return item.time_us


def _apart(expected: list[Spoken], found: list[Spoken], who: str, hint: str) -> str:
    if expected == found:
        return ""
    for n, (ours, theirs) in enumerate(zip(expected, found, strict=False)):
        if ours != theirs:
            return f"signal {n + 1} is `{ours.reason}`, {who} `{theirs.reason}`: {hint}"
    return f"{len(expected)} signals, {who} {len(found)}: {hint}"


def _parameters(strategy: Strategy) -> str:
    schema = strategy.Params.model_json_schema()
    bare = [n for n, about in schema.get("properties", {}).items() if "description" not in about]
    if bare:
        return f"without description: {', '.join(bare)}"
    lows, highs = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
    loose = [
        name
        for name, about in schema.get("properties", {}).items()
        if about.get("type") in ("integer", "number")
        and not (lows & about.keys() and highs & about.keys())
    ]
    return f"without bounds: {', '.join(loose)}" if loose else ""


def _last_lines(error: str) -> str:
    # The innermost place, and what was raised there.
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith("File ")]
    return " ".join([lines[-1], *(f"({p})" for p in places[-1:])]) if lines else ""
