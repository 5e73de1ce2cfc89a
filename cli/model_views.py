"""What is known of models, as tables for people."""

from pathlib import Path

from rich.markup import escape

from cli.output import ERR, OUT, table
from strategies.ml.manifest import Manifest

_METRICS = ("accuracy", "auc", "brier", "r2", "mse", "ic")
_LISTED = ("accuracy", "auc", "r2", "ic")
_DRIFTED = 0.25


def show_manifest(manifest: Manifest) -> None:
    """Print a version: what it is, how good it was, what it sees."""
    target = manifest.target
    what = "the return" if target.kind == "return" else "a rise"
    head: list[tuple[object, ...]] = [
        ("version", f"{manifest.name} {manifest.version}"),
        ("predicts", f"{what} over {target.horizon} klines of {manifest.features.interval}"
         + (f", beyond {target.band:g}" if target.band else "")),
        ("estimator", f"{manifest.estimator} {manifest.parameters or ''}".strip()),
        ("features", f"{manifest.features.name} ({len(manifest.features.features)} columns, "
         f"definition {manifest.definition})"),
        ("symbols", " ".join(manifest.keys)),
        ("data", manifest.data[:16]),
        ("graph", f"{manifest.exported.get('dtype', '')}, at most "
         f"{manifest.exported.get('max_difference', 0):.1g} from the estimator"),
    ]  # fmt: skip
    OUT.print(table("", "", rows=[(a, escape(str(b))) for a, b in head]))
    parts = {"train": manifest.train, "valid": manifest.valid}
    show_metrics(
        {name: (s.first, s.last, manifest.metrics.get(name, {})) for name, s in parts.items()}
    )


def show_metrics(
    parts: dict[str, tuple[str, str, dict[str, float]]], psi: dict[str, float] | None = None
) -> None:
    """Print metrics by part, each beside what a constant would have reached."""
    rows: list[tuple[object, ...]] = []
    for name, (first, last, found) in parts.items():
        rows.append((name, f"{first[:16]} to {last[:16]}", int(found.get("rows", 0)),
                     *(_shown(found, metric) for metric in _METRICS)))  # fmt: skip
    OUT.print(table("", "rows of", "rows", *_METRICS, rows=rows, right=(2,)))
    drifted = {name: value for name, value in (psi or {}).items() if value > _DRIFTED}
    if psi and not drifted:
        most = max(psi, key=lambda name: psi[name])
        OUT.print(f"no feature has drifted (most: {escape(most)}, PSI {psi[most]:.3f})")
    elif drifted:
        found_rows: list[tuple[object, ...]] = [
            (escape(name), f"{value:.3f}") for name, value in drifted.items()
        ]
        OUT.print(table("drifted feature", "PSI", rows=found_rows, right=(1,)))


def show_versions(found: list[Manifest], current: dict[str, str], registry: Path) -> None:
    """Print the versions in a registry."""
    if not found:
        ERR.print(f"{registry} holds no versions: cryptotools ml train")
        return
    rows: list[tuple[object, ...]] = [
        (m.name, m.version, "*" if current[m.name] == m.version else "", m.estimator,
         f"{m.target.kind} {m.target.horizon} x {m.features.interval}", m.features.name,
         f"{m.train.first[:10]} to {m.valid.last[:10]}",
         *(_shown(m.metrics.get("valid", {}), metric) for metric in _LISTED))
        for m in found
    ]  # fmt: skip
    names = ("model", "version", "", "estimator", "target", "features", "rows of")
    OUT.print(table(*names, *_LISTED, rows=rows))


def _shown(found: dict[str, float], metric: str) -> str:
    if metric not in found:
        return "-"
    base = found.get(f"baseline_{metric}")
    beside = "" if base is None else f" ({base:.4g})"
    return f"{found[metric]:.4g}{beside}"
