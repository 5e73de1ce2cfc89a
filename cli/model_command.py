"""A command about a model to the running flow, and what becomes of it on each symbol."""

import time
import uuid
from typing import Literal

from rich.markup import escape
from typer import Exit

from cli.output import ERR, OUT, print_json, table
from config.settings import Settings
from connectors.redis.control import Sender
from connectors.redis.keys import stream_key
from connectors.redis.reader import Reader
from core.control import ModelCommand
from core.market.errors import ModelError, ServiceError
from dataflows.addresses import address
from dataflows.status import read_status

Row = dict[str, str]


def command(
    settings: Settings,
    action: Literal["promote", "shadow", "unshadow"],
    model: str,
    version: str,
    wait: float,
    *,
    json: bool,
) -> None:
    """Send it, wait for what becomes of it, and show that.

    Raises:
        ModelError: The flow refuses it.
        ServiceError: Nobody answers.

    """
    told = ModelCommand(id=uuid.uuid4().hex, action=action, model=model, version=version)
    keys = [key for key in read_status(settings.state_dir).symbols if _runs(settings, model, key)]
    url = address(settings)
    reader, sender = Reader(url), Sender(url)
    try:
        since = {stream_key(key, "event"): reader.last_id(stream_key(key, "event")) for key in keys}
        until = time.monotonic() + wait
        _send(sender, settings, told, wait)
        _show(_changes(reader, since, told.id, set(keys), until), json=json)
    finally:
        reader.close()
        sender.close()


def _runs(settings: Settings, model: str, key: str) -> bool:
    return any(spec.name == model and spec.applies_to(key) for spec in settings.ml.models)


def _send(sender: Sender, settings: Settings, told: ModelCommand, wait: float) -> None:
    shards = [f"shard-{n}" for n in range(settings.binance.shards)]
    outcomes = sender.send(told, shards, wait)
    refused = [o.reason for o in outcomes if o.state == "refused"]
    if refused:
        raise ModelError(told.model, refused[0].partition(": ")[2] or refused[0])
    if len(outcomes) < len(shards):
        why = f"{len(outcomes)} of {len(shards)} shards have answered within {wait:g} s"
        hint = "does it run (`cryptotools status`)? The command waits for it; or use --offline"
        raise ServiceError("flow", why, hint=hint)


def _changes(
    reader: Reader, since: dict[str, str], command_id: str, wanted: set[str], until: float
) -> list[Row]:
    found: list[Row] = []
    for entries in reader.follow(since):
        for entry in entries:
            if entry.fields.get("command") == command_id:
                found.append({"key": entry.stream.key, **entry.fields})
                wanted.discard(entry.stream.key)
        if not wanted or time.monotonic() > until:
            break
    return found


def _show(rows: list[Row], *, json: bool) -> None:
    if json:
        print_json(rows)
    elif rows:
        shown: list[tuple[object, ...]] = [
            (escape(r["key"]), r["state"], r["version"] or "none", r["shadows"] or "-",
             escape(r["detail"]))
            for r in rows
        ]  # fmt: skip
        OUT.print(table("symbol", "state", "version", "shadows", "", rows=shown))
    else:
        ERR.print("passed on; no symbol has reached it yet")
    if any(row["state"] == "refused" for row in rows):
        raise Exit(2)
