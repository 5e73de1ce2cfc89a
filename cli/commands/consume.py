"""``cryptotools consume``: what flows publish, for a program of your own or for the eye."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape

from cli.consuming import Chosen, From, Intervals, Kinds, MinIdle, Name, Symbols, start_of
from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, OUT, Json, print_json, table
from cli.signals import on_signals
from connectors.redis.reader import Reader
from core.market.errors import ConfigError, ServiceError
from dataflows.addresses import address
from dataflows.setup import prepare
from subscribers.consumer import NEW, Batch, Consumer, Delivery, Missed
from subscribers.dead import dead_entries, give_back
from subscribers.groups import FAULTS, GroupLink
from subscribers.lag import Lag, groups_of, lags

_GROUP = "consume"
_POLL_S = 0.5
_LAG_COLUMNS = ("group", "stream", "consumers", "pending", "lag", "seconds", "idle")


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def consume(
        kind: Kinds = None,
        symbol: Symbols = None,
        interval: Intervals = None,
        group: Annotated[
            str | None, typer.Option("--group", "-g", help=f"Consumer group; `{_GROUP}` else.")
        ] = None,
        name: Name = None,
        since: From = NEW,
        count: Annotated[
            int | None, typer.Option("--count", "-n", min=1, help="End after so many entries.")
        ] = None,
        batch: Annotated[int, typer.Option(min=1, max=10_000, help="Entries at once.")] = 500,
        min_idle: MinIdle = 60.0,
        command: Annotated[
            str | None,
            typer.Option(
                "--exec",
                help="Give each batch to this command as JSON lines; it is "
                "acknowledged when the command exits 0.",
            ),
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        ack: Annotated[
            bool, typer.Option("--ack/--no-ack", help="Acknowledge; or only look, in no group.")
        ] = True,
        once: Annotated[
            bool, typer.Option("--once", help="End when nothing is left to read.")
        ] = False,
        lag: Annotated[
            bool, typer.Option("--lag", help="Show how far behind groups are, and end.")
        ] = False,
        dead: Annotated[
            bool, typer.Option("--dead", help="Show the entries that the group gave up, and end.")
        ] = False,
        retry: Annotated[
            bool, typer.Option("--retry", help="With --dead: have them handed out again.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Read what flows publish, each entry at least once. Ctrl-C ends it.

        Consumers of the same group share the entries. What was not acknowledged comes again.
        """
        if retry and not dead:
            raise ConfigError("--retry", "goes with --dead")
        if command and not ack:
            raise ConfigError("--exec", "what a command did is to be acknowledged: no --no-ack")
        url = address(prepare(config, overrides(set_)))
        chosen, start = Chosen.of(kind, symbol, interval), start_of(since)
        if lag:
            _show_lag(url, chosen, group, json=json)
        elif dead:
            _show_dead(url, group or _GROUP, retry=retry, json=json)
        elif not ack:
            _peek(url, chosen, group, start, count, once=once, json=json)
        else:
            with Consumer(
                url, group or _GROUP, name=name, kinds=chosen.kinds, symbols=chosen.symbols,
                intervals=chosen.intervals, start=start, batch=min(batch, count or batch),
                min_idle=min_idle,
            ) as consumer, on_signals(consumer.stop):  # fmt: skip
                work = partial(_give, command) if command else partial(_print, json=json)
                _consume(consumer, work, count, once=once)


def _consume(
    consumer: Consumer, work: Callable[[Batch], None], count: int | None, *, once: bool
) -> None:
    left = count

    def handle(batch: Batch) -> None:
        nonlocal left
        work(batch)
        if left is not None:
            left -= len(batch)
            if left <= 0:
                consumer.stop()

    consumer.lag()  # an error at once, if Redis is not there
    try:
        consumer.run(handle, until=_is_drained if once else None)
    except BrokenPipeError:  # whoever read has enough; Python would complain at the end too
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _is_drained(consumer: Consumer) -> bool:
    found = consumer.lag_if_known()
    return found is not None and not any(lag.entries or lag.pending for lag in found)


def _print(batch: Batch, *, json: bool) -> None:
    for missed in batch.missed:
        _tell(missed, json=json)
    for delivery in batch.entries:
        _show(delivery, json=json)


def _show(delivery: Delivery, *, json: bool) -> None:
    if json:
        print_json(delivery.as_dict())
        return
    fields = "  ".join(f"[dim]{name}[/] {escape(text)}" for name, text in delivery.fields.items())
    symbol = delivery.key.partition(":")[2]
    OUT.print(f"[bold]{symbol:<9}[/] {delivery.kind:<8} {fields}")


def _tell(missed: Missed, *, json: bool) -> None:
    if json:
        print_json(missed.as_dict())
    else:
        ERR.print(f"[yellow]missed:[/] {escape(str(missed))}")


def _give(command: str, batch: Batch) -> None:
    lines = [orjson.dumps(missed.as_dict()) for missed in batch.missed]
    lines += [orjson.dumps(delivery.as_dict()) for delivery in batch.entries]
    done = subprocess.run(["/bin/sh", "-c", command], input=b"\n".join([*lines, b""]), check=False)
    if done.returncode:
        raise ServiceError("--exec", f"`{command}` exits with {done.returncode}")


def _peek(
    url: str, chosen: Chosen, group: str | None, start: str, count: int | None, *, once: bool,
    json: bool,
) -> None:  # fmt: skip
    reader = Reader(url)
    names = reader.discover(chosen.kinds, symbols=chosen.symbols, intervals=chosen.intervals)
    first = {NEW: reader.last_id}.get(start, lambda _: "0-0" if start == "all" else start)
    since = {name: first(name) for name in names}
    if group is not None:
        looks = _link(url, group).look(names)
        since |= {name: look.last for name, look in looks.items() if look and look.group}
    shown = 0
    stopped: list[bool] = []
    with on_signals(lambda: stopped.append(True)):
        for entries in reader.follow(since):
            for entry in entries:
                _show(Delivery("", entry), json=json)
                shown += 1
                if shown == count:
                    return
            if stopped or (once and not entries):
                return


def _show_lag(url: str, chosen: Chosen, group: str | None, *, json: bool) -> None:
    names = Reader(url).discover(chosen.kinds, symbols=chosen.symbols, intervals=chosen.intervals)
    with _explained():
        found = groups_of(_link(url, _GROUP), names) if group is None else [group]
        rows = [lag for one in found for lag in lags(_link(url, one), names)]
    if json:
        print_json([_lag_dict(row) for row in rows])
    elif rows:
        shown: list[tuple[object, ...]] = [_lag_row(row) for row in rows]
        OUT.print(table(*_LAG_COLUMNS, rows=shown, right=(2, 3, 4, 5, 6)))
    else:
        ERR.print("no group reads these streams" if group is None else f"there is no group {group}")


def _lag_row(lag: Lag) -> tuple[object, ...]:
    idle = "" if lag.idle_s is None else f"{lag.idle_s:.0f} s"
    seconds = f"{lag.seconds:.1f} s"
    return (
        escape(lag.group), escape(lag.name), lag.consumers, lag.pending, lag.entries, seconds, idle
    )  # fmt: skip


def _lag_dict(lag: Lag) -> dict[str, Any]:
    return {
        "group": lag.group, "stream": lag.name, "consumers": lag.consumers, "pending": lag.pending,
        "lag": lag.entries, "seconds": lag.seconds, "idle_s": lag.idle_s,
    }  # fmt: skip


def _show_dead(url: str, group: str, *, retry: bool, json: bool) -> None:
    link = _link(url, group)
    with _explained():
        if retry:
            given, stuck = give_back(link)
            if json:
                print_json({"given_back": given, "stuck": stuck})
                return
            OUT.print(f"{given} entries are handed out again")
            if stuck:
                ERR.print(f"{stuck} are no longer in their stream; they stay where they are")
            return
        found = list(dead_entries(link))
    if json:
        for one in found:
            print_json(one.as_dict())
    elif found:
        rows: list[tuple[object, ...]] = [
            (d.id, escape(d.name), d.entry.id, d.deliveries, escape(d.reason)) for d in found
        ]
        OUT.print(table("dead", "stream", "entry", "deliveries", "reason", rows=rows, right=(3,)))
    else:
        ERR.print(f"group {group} has given nothing up")


def _link(url: str, group: str) -> GroupLink:
    return GroupLink(url, group, "look", wait=lambda _: None)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        raise ServiceError("redis", str(error), hint="is REDIS_URL right?") from None
