"""The verdict on a symbol's day: from facts to a state, with every reason against it.

    incomplete              the default: some reason stands against the day
    complete-with-halt      every id is held; the exchange had halted the symbol for a while
    complete-repaired       every id is held, some came by REST
    complete                every id is held, all of them came live

A day is complete when its first id follows the last one held of an earlier day, its last id is
followed by the first one held of a later day, nothing between them is missing or held twice, all
files can be read, and the stored klines equal those that the trades give.
"""

from dataclasses import dataclass, field

from core.ledger.certificate import (
    Boundary,
    Certificate,
    FileSum,
    Happened,
    Missing,
    Reason,
    State,
    missing_text,
    time_text,
)
from core.ledger.ids import Held, Span
from core.ledger.recount import KlineCheck
from core.ledger.scan import DayScan, Edge
from core.market.intervals import DAY_US

_SAID = 4


@dataclass(frozen=True, slots=True)
class DayFacts:
    """All that a verdict is made from.

    Attributes:
        day: ``2025-01-31``.
        scan: What the trades gave.
        before: The last row held of an earlier day.
        after: The first row held of a later day.
        files: Paths of the day's files of trades, by number.
        broken: (path, why) of files that cannot be read.
        klines: The comparison of klines; None if it was not asked for.

    """

    day: str
    scan: DayScan
    before: Edge | None
    after: Edge | None
    files: tuple[str, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()
    happened: Happened = field(default_factory=Happened)
    klines: KlineCheck | None = None
    sums: tuple[FileSum, ...] = ()


def certify(facts: DayFacts) -> Certificate:
    """Return the verdict."""
    scan, happened = facts.scan, facts.happened
    held = scan.held.held()
    missing = (*_missing(facts, held), *_inside(scan))
    reasons = [*_reasons(facts, held), *(Reason("missing", missing_text(m)) for m in missing)]
    if facts.klines is not None and facts.klines.differing:
        reasons.append(_differing(facts.klines))
    return Certificate(
        key=scan.key,
        day=facts.day,
        state=_state(facts, reasons),
        reasons=tuple(reasons),
        rows=scan.held.rows,
        live=scan.held.rows - scan.held.repaired_rows,
        repaired=scan.held.repaired_rows,
        held=held.spans,
        repaired_ids=scan.held.repaired,
        missing=missing,
        duplicates=sum(t.last_id - t.first_id + 1 for t in held.twice),
        silences=scan.silences(),
        halts=happened.halts,
        gaps=happened.gaps,
        boundaries=tuple(
            Boundary(kind, link, at, _is_proven(at, facts, missing))
            for kind, link, at in happened.links
        ),
        late=happened.late,
        quarantined=happened.quarantined,
        strategy_errors=happened.strategy_errors,
        klines=facts.klines,
        kline_mismatches=happened.kline_mismatches,
        files=facts.sums,
    )


def _state(facts: DayFacts, reasons: list[Reason]) -> State:
    if reasons:
        return State.INCOMPLETE
    if facts.happened.halts:
        return State.HALT
    return State.REPAIRED if facts.scan.held.repaired_rows else State.COMPLETE


def _reasons(facts: DayFacts, held: Held) -> list[Reason]:
    scan = facts.scan
    out = [Reason("unreadable", f"{path}: {why}") for path, why in facts.broken]
    if not scan.contiguous:
        why = "single trades of USD-M skip ids of their own, which proves nothing: use aggregates"
        out.append(Reason("unprovable", why))
    for ids in held.twice:
        places = " and ".join(sorted({facts.files[ids.file], facts.files[ids.other]}))
        out.append(Reason("duplicates", f"ids {ids.first_id}..{ids.last_id} are twice: {places}"))
    out += _overlaps(facts)
    if scan.misplaced:
        why = f"{scan.misplaced} rows are of another day: {', '.join(facts.files)}"
        out.append(Reason("misplaced", why))
    return out


def _differing(check: KlineCheck) -> Reason:
    if not check.stored:
        return Reason("klines", f"no klines of {check.interval} are stored")
    first = check.examples[0]
    why = f"{check.differing} klines of {check.interval} are not what the trades give, first "
    return Reason("klines", f"{why}{time_text(first.open_us)}: {first.detail}")


def _overlaps(facts: DayFacts) -> list[Reason]:
    scan, out = facts.scan, []
    first, last = scan.first, scan.last
    if first is not None and facts.before is not None and facts.before.id >= first.id:
        why = f"ids {first.id}..{facts.before.id} are held of an earlier day, too"
        out.append(Reason("duplicates", why))
    if last is not None and facts.after is not None and facts.after.id <= last.id:
        why = f"ids {facts.after.id}..{last.id} are held of a later day, too"
        out.append(Reason("duplicates", why))
    return out


def _inside(scan: DayScan) -> list[Missing]:
    return [
        Missing(*hole, evidence="trades inside aggregates: these do not say where they are")
        for hole in scan.fills.holes or ()
    ]


def _missing(facts: DayFacts, held: Held) -> list[Missing]:
    scan, day_us = facts.scan, facts.scan.day_us
    end_us = day_us + DAY_US
    first, last, before, after = scan.first, scan.last, facts.before, facts.after
    if first is None or last is None:
        return _missing_day(facts)
    out: list[Missing] = []
    if before is None:
        if first.id:  # 0 is the first id of all
            why = "no earlier trade is held"
            out.append(Missing(None, first.id - 1, day_us, first.time_us, why))
    elif scan.contiguous and before.id + 1 < first.id:
        out.append(_hole(facts, Span(before.id + 1, first.id - 1, before.time_us, first.time_us)))
    out += [_hole(facts, span) for span in held.holes]
    if after is None:
        why = "no later trade is held: there may be more"
        out.append(Missing(last.id + 1, None, last.time_us, end_us, why))
    elif scan.contiguous and last.id + 1 < after.id:
        out.append(_hole(facts, Span(last.id + 1, after.id - 1, last.time_us, after.time_us)))
    return out


def _missing_day(facts: DayFacts) -> list[Missing]:
    before, after, day_us = facts.before, facts.after, facts.scan.day_us
    if before is not None and after is not None:
        if before.id + 1 >= after.id:
            return []
        return [_hole(facts, Span(before.id + 1, after.id - 1, before.time_us, after.time_us))]
    first = None if before is None else before.id + 1
    last = None if after is None else after.id - 1
    return [Missing(first, last, day_us, day_us + DAY_US, "no trade of the day is held")]


def _hole(facts: DayFacts, span: Span) -> Missing:
    happened = facts.happened
    said = [
        gap.reason
        for gap in happened.gaps
        if gap.first_id <= span.last_id and gap.last_id >= span.first_id
    ]
    said += [
        f"{kind} {time_text(at)}"
        for kind, _, at in happened.links
        if span.first_us <= at <= span.last_us
    ]
    evidence = "; ".join(list(dict.fromkeys(said))[:_SAID]) or "nothing was said of them"
    return Missing(*span, evidence=evidence)


def _is_proven(time_us: int, facts: DayFacts, missing: tuple[Missing, ...]) -> bool:
    if not facts.scan.contiguous or facts.broken:
        return False
    return not any(m.start_us <= time_us <= m.end_us for m in missing)
