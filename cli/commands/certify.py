"""``cryptotools certify``: whether a symbol's day is complete, by its files alone."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, OUT, Json, print_json, table
from cli.progress import bar, human
from core.ledger import Certificate, State
from dataflows.certify import certificates, write
from dataflows.setup import prepare

_REASONS = 3
_COLORS = {
    State.COMPLETE: "bold green", State.REPAIRED: "green", State.HALT: "yellow",
    State.INCOMPLETE: "bold red",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def certify(
        symbol: Annotated[str | None, typer.Argument(help="Such as BTCUSDT; all if none.")] = None,
        day: Annotated[str | None, typer.Argument(help="Such as 2025-01-31; all if none.")] = None,
        lake: Annotated[
            Path | None, typer.Option("--lake", help="Folder; `lake.path` by default.")
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        write_: Annotated[
            bool, typer.Option("--write", help="Store the certificates in lake/certificates.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Prove each symbol's day complete from the lake's files, or say why it is not (exit 1)."""
        root = lake or prepare(config, overrides(set_)).lake.path
        found: list[Certificate] = []
        began = time.monotonic()
        with bar(show=not json, label="certify"):
            for certificate in certificates(root, symbol, day):
                found.append(certificate)
                if write_:
                    write(root, certificate)
                if json:
                    print_json(certificate.as_dict())
        if not json:
            _show(found)
            rows, seconds = sum(c.rows for c in found), time.monotonic() - began
            ERR.print(f"[dim]{rows} trades in {seconds:.2f} s ({human(rows / seconds)}/s)[/]")
        if not all(certificate.complete for certificate in found):
            raise typer.Exit(1)


def _show(found: list[Certificate]) -> None:
    rows = [_row(certificate) for certificate in found]
    columns = ("symbol", "day", "state", "trades", "repaired", "klines", "")
    OUT.print(table(*columns, rows=rows, right=(3, 4, 5)))
    for certificate in found:
        for reason in certificate.reasons[:_REASONS]:
            OUT.print(f"[red]{certificate.key} {certificate.day}[/] {escape(reason.text)}")
        more = len(certificate.reasons) - _REASONS
        if more > 0:
            OUT.print(f"[red]{certificate.key} {certificate.day}[/] and {more} more (see --json)")


def _row(certificate: Certificate) -> tuple[object, ...]:
    check = certificate.klines
    return (
        certificate.key,
        certificate.day,
        f"[{_COLORS[certificate.state]}]{certificate.state.value}[/]",
        certificate.rows,
        certificate.repaired,
        "" if check is None else f"{check.equal} of {check.equal + check.differing}",
        escape(_notes(certificate)),
    )


def _notes(certificate: Certificate) -> str:
    unproven = sum(1 for b in certificate.boundaries if not b.proven)
    counted = (
        (len(certificate.boundaries), "connection boundaries"),
        (unproven, "of them unproven"),
        (len(certificate.silences), "silences"),
        (len(certificate.halts), "halts"),
        (certificate.late, "late trades"),
        (certificate.quarantined, "quarantined"),
        (len(certificate.kline_mismatches), "klines unlike the exchange's"),
    )
    return ", ".join(f"{count} {what}" for count, what in counted if count)
