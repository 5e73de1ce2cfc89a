"""``cryptotools tail``: what the flow publishes, as it comes."""

from dataclasses import dataclass
from typing import Annotated

import typer
from rich.markup import escape

from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, OUT, Json, print_json
from connectors.redis.keys import KINDS
from connectors.redis.reader import Entry, Reader
from core.market.errors import ConfigError
from dataflows.addresses import address
from dataflows.setup import prepare

_LOOK_AGAIN = 5  # lists between two looks for new streams


def _show(entry: Entry, *, json: bool) -> None:
    if json:
        print_json({"key": entry.stream.key, "id": entry.id, **entry.fields})
        return
    fields = "  ".join(f"[dim]{name}[/] {escape(text)}" for name, text in entry.fields.items())
    OUT.print(f"[bold]{entry.stream.key.partition(':')[2]:<9}[/] {fields}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    kind: str
    symbols: set[str]
    intervals: set[str]

    def streams(self, reader: Reader) -> list[str]:
        return reader.discover({self.kind}, symbols=self.symbols, intervals=self.intervals)


def _follow(reader: Reader, wanted: _Wanted, since: dict[str, str], *, json: bool) -> None:
    for count, entries in enumerate(reader.follow(since)):
        for entry in entries:
            _show(entry, json=json)
        if count % _LOOK_AGAIN == 0:
            since |= {name: "0-0" for name in wanted.streams(reader) if name not in since}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def tail(
        kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
        symbol: Annotated[
            list[str] | None, typer.Option("--symbol", "-s", help="Only these symbols.")
        ] = None,
        interval: Annotated[
            list[str] | None, typer.Option("--interval", "-i", help="Only these, of klines.")
        ] = None,
        lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Newest entries.")] = 10,
        *,
        follow: Annotated[
            bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends it.")
        ] = False,
        config: ConfigFile = None,
        set_: Set = None,
        json: Json = False,
    ) -> None:
        """Print the newest entries of a kind from Redis, and, with -f, what comes."""
        if kind not in KINDS:
            raise ConfigError("kind", f"there is no `{kind}`", hint=f"one of {' '.join(KINDS)}")
        reader = Reader(address(prepare(config, overrides(set_))))
        wanted = _Wanted(kind, {s.upper() for s in symbol or []}, set(interval or []))
        names = wanted.streams(reader)
        since = {name: reader.last_id(name) for name in names}
        for entry in reader.newest(names, lines):
            _show(entry, json=json)
        if follow:
            _follow(reader, wanted, since, json=json)
        elif not names:
            ERR.print(f"nothing of kind {kind} is published yet")
