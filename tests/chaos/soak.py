"""``python -m tests.chaos.soak --minutes 120``: memory and open files over hours, as a picture.

The main job runs at speed against the simulated exchange, with a cut now and then. At the end lake
and Redis are compared with the market as after any chaos run, and the second half's memory must not
have grown by more than a tenth over the first's.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.check import Verdict, check
from tests.chaos.run import Disk, Flow, Redis, exchange, left_of
from tests.chaos.script import SPEED, Script

_EVERY_S = 2.0
_GROWTH = 1.10
_WIDTH, _HEIGHT = 900, 260


@dataclass(slots=True)
class Samples:
    """One value a time of each figure: seconds, MiB of memory, open file descriptors."""

    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)

    def take(self, seconds: float, pid: int) -> None:
        """Measure a process."""
        status = Path(f"/proc/{pid}/status").read_text()
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        self.seconds.append(seconds)
        self.mib.append(int(kib) / 1024)
        self.files.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))

    def growth(self) -> float:
        """Return the median memory of the last quarter over that of the second one."""
        quarter = max(1, len(self.mib) // 4)
        early = statistics.median(self.mib[quarter : 2 * quarter] or self.mib)
        return statistics.median(self.mib[-quarter:]) / early


def picture(samples: Samples) -> str:
    """Return both figures as one SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{2 * _HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{2 * _HEIGHT}" fill="white"/>',
        _curve(samples.seconds, samples.mib, "memory, MiB", 0),
        _curve(samples.seconds, samples.files, "open file descriptors", _HEIGHT),
        "</svg>",
    ]
    return "\n".join(parts)


def _curve(xs: list[float], ys: list[float], name: str, top: int) -> str:
    left, right, upper, lower = 60, _WIDTH - 20, top + 30, top + _HEIGHT - 30
    most, end = max([*ys, 1.0]) * 1.05, max([*xs, 1.0])
    points = " ".join(
        f"{left + (right - left) * x / end:.1f},{lower - (lower - upper) * y / most:.1f}"
        for x, y in zip(xs, ys, strict=True)
    )
    grid = "".join(
        f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{most * n / 4:.0f}</text>'
        for n in range(5)
        for y in [lower - (lower - upper) * n / 4]
    )
    return (
        f'{grid}<text x="{left}" y="{top + 18}">{name}</text>'
        f'<text x="{right}" y="{lower + 18}" text-anchor="end">{end / 60:.1f} minutes</text>'
        f'<polyline points="{points}" fill="none" stroke="#2463eb" stroke-width="1.5"/>'
    )


def run(minutes: float, out: Path) -> tuple[Verdict, Samples]:
    """Run for so long; write the picture to `out`."""
    every = int(max(60, minutes * 60 * SPEED / 20))
    script = Script(7, 1, "everysec", (f"drop@after={every}s,per=connection",), ())
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    samples = Samples()
    server = Redis(folder / "redis", script.fsync)
    Disk(folder / "disk", small=False)
    try:
        with exchange(script) as sim:
            flow = Flow(folder, sim, server.server.url, 1)
            flow.start()
            try:
                _watch(flow, minutes, samples)
                codes = flow.stop()
            finally:
                flow.end()
            if any(codes):
                raise AssertionError(f"exit codes {codes}: {flow.said()}")
            verdict = check(left_of(folder, sim, server, flow))
    finally:
        server.end()
        out.write_text(picture(samples))
        shutil.rmtree(folder, ignore_errors=True)
    return verdict, samples


def _watch(flow: Flow, minutes: float, samples: Samples) -> None:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < minutes * 60:
        if flow.died():
            raise AssertionError(f"the flow ended by itself: {flow.said()}")
        samples.take(passed, flow.pid)
        time.sleep(_EVERY_S)


def main() -> int:
    """Run, draw, and say whether it is flat and whole."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--out", type=Path, default=Path("soak.svg"))
    options = parser.parse_args()
    verdict, samples = run(options.minutes, options.out)
    facts = {
        "minutes": options.minutes, "exchange_minutes": options.minutes * SPEED,
        "trades": verdict.trades, "klines": verdict.klines, "lost": verdict.lost,
        "doubled": verdict.doubled, "different": verdict.different, "notes": verdict.notes,
        "mib_first": round(next(mib for mib in samples.mib if mib)),
        "mib_peak": round(max(samples.mib)),
        "mib_last": round(samples.mib[-1]), "growth": round(samples.growth(), 3),
        "files_peak": int(max(samples.files)), "picture": str(options.out),
    }  # fmt: skip
    sys.stdout.write(json.dumps(facts, indent=1) + "\n")
    return 0 if verdict.good and samples.growth() <= _GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
