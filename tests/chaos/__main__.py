"""``python -m tests.chaos --seeds 50``: random faults and kills; nothing lost, nothing doubled."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.check import Verdict, check
from tests.chaos.run import carried_out, mount
from tests.chaos.script import LONG, Script, script_of


def main() -> int:
    """Run seeds until one fails or all are done."""
    options = _parser().parse_args()
    disk = _may_mount()
    if not disk:
        _print("no small file system can be mounted here: the disk is never full")
    total, injected, began = Verdict(), Counter[str](), time.monotonic()
    failed: list[int] = []
    peak = 0
    scripts = [script_of(n + options.first, disk=disk) for n in range(options.seeds)]
    scripts += [] if options.short else [s for s in LONG if disk or "disk" not in str(s)]
    for script in scripts:
        injected.update(action.what for action in script.actions)
        injected.update(fault.partition("@")[0] for fault in script.faults)
        verdict = _one(script, Path(options.keep) if options.keep else None)
        for name in ("trades", "repaired", "klines", "signals", "entries", "lost", "doubled",
                     "different"):  # fmt: skip
            setattr(total, name, getattr(total, name) + getattr(verdict, name))
        if not verdict.good:
            failed.append(script.seed)
        peak = max(peak, verdict.peak_mib)
        _say(script, verdict)
    facts = {
        "runs": len(scripts), "failed": failed, "injected": dict(sorted(injected.items())),
        "rows": total.trades + total.klines + total.signals + total.entries,
        "trades": total.trades, "repaired": total.repaired, "klines": total.klines,
        "signals": total.signals, "entries": total.entries, "lost": total.lost,
        "doubled": total.doubled, "different": total.different, "peak_mib": peak,
        "minutes": round((time.monotonic() - began) / 60, 1),
    }  # fmt: skip
    lines = (f"{name:10} {value}" for name, value in facts.items())
    _print(json.dumps(facts) if options.json else "\n".join(lines))
    return 1 if failed else 0


def _one(script: Script, keep: Path | None) -> Verdict:
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{script.seed}-"))
    try:
        with carried_out(script, folder) as left:
            verdict = check(left)
            if not verdict.good and keep is not None:
                shutil.copytree(folder, keep / folder.name, symlinks=True, dirs_exist_ok=True,
                                ignore=shutil.ignore_patterns("*.sock"))  # fmt: skip
    except Exception as error:  # a run that cannot be carried out has failed as well
        verdict = Verdict(notes=[repr(error)])
    log = folder / "flow.log"
    if not verdict.good and log.exists():
        verdict.notes.append(log.read_text()[-1500:])
    shutil.rmtree(folder, ignore_errors=True)
    return verdict


def _say(script: Script, verdict: Verdict) -> None:
    mark = "ok  " if verdict.good else "FAIL"
    counts = f"{verdict.trades} trades ({verdict.repaired} repaired), {verdict.klines} klines"
    _print(f"{mark} seed {script.seed}: {script}; {counts}, {verdict.peak_mib} MiB")
    for note in verdict.notes:
        _print(f"     {note}")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _may_mount() -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "disk")
        folder.mkdir()
        if not mount(folder):
            return False
        subprocess.run(["umount", str(folder)], check=True)
        return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--short", action="store_true", help="leave out the outages of a minute")
    parser.add_argument("--keep", default="", help="folder for what failed runs left behind")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
