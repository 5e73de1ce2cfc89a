"""What `cryptotools notify` does besides sending: showing what would be sent, sending again."""

import threading
import time
from collections.abc import Iterable
from contextlib import closing

import typer
from rich.markup import escape

from cli.output import ERR, OUT, print_json
from config.notify import NotifyConfig
from connectors.redis.reader import Reader
from subscribers.notify.again import send_again
from subscribers.notify.ages import Ages
from subscribers.notify.channels import open_channel
from subscribers.notify.facts import time_text, time_us
from subscribers.notify.preview import Planned, Preview, replayed
from subscribers.notify.store import Dead, Store

_COLOURS = {"info": "green", "warning": "yellow", "critical": "red"}
_LOOK_AGAIN = 5  # lists between two looks for new streams


def replay(config: NotifyConfig, url: str, count: int, *, json: bool) -> None:
    """Print what the newest records of the kinds that rules look at would have sent."""
    with closing(Reader(url)) as reader:
        names = reader.discover(Preview(config).records)
        entries = reader.newest(names, count)
    planned = replayed(config, entries)
    _show(planned, json=json)
    ERR.print(f"{len(entries)} records, {len(planned)} messages")


def dry_run(config: NotifyConfig, url: str, stop: threading.Event, *, json: bool) -> None:
    """Print what would be sent of what comes, until told to stop."""
    preview = Preview(config)
    with closing(Store(url, config.name)) as store, closing(Reader(url)) as reader:
        ages = Ages(lambda: store.client)
        since = {name: reader.last_id(name) for name in reader.discover(preview.records)}
        ERR.print("nothing is sent; Ctrl-C ends it")
        for count, entries in enumerate(reader.follow(since)):
            if stop.is_set():
                return
            ages.look()
            for entry in entries:
                preview.take(entry, time.time(), ages.age_s(time_us(entry)))
            _show(preview.due(time.time()), json=json)
            if count % _LOOK_AGAIN == 0:
                names = reader.discover(preview.records)
                since |= {name: "0-0" for name in names if name not in since}


def retry(config: NotifyConfig, store: Store, dead: list[Dead], *, json: bool) -> None:
    """Send dead letters once more and tell what became of them; exits with 3 if some stay."""
    known = [name for name in config.channels if any(one.channel == name for one in dead)]
    channels = {name: open_channel(name, config.channels[name]) for name in known}

    def wait(seconds: float) -> None:
        if seconds > 1:
            ERR.print(f"the limit of messages a minute is reached: {seconds:.0f} s to wait")
        time.sleep(seconds)

    try:
        outcomes = send_again(config, channels, store, dead, wait=wait)
    finally:
        for channel in channels.values():
            channel.close()
    rows = [
        {"channel": n, "sent": len(one.sent), "kept": len(one.kept), "error": one.error}
        for n, one in outcomes.items()
    ]
    if json:
        print_json(rows)
    else:
        for name, one in outcomes.items():
            tail = f", {len(one.kept)} stay: {one.error}" if one.error else ""
            OUT.print(escape(f"{name}  {len(one.sent)} sent{tail}"))
    if not dead:
        ERR.print("nothing was given up")
    if any(one.error for one in outcomes.values()):
        raise typer.Exit(3)


def _show(planned: Iterable[Planned], *, json: bool) -> None:
    for at, channel, message in planned:
        if json:
            told = {"at": time_text(int(at * 1e6)), "channel": channel, "id": message.id}
            print_json({**told, "kind": message.kind, "severity": message.severity,
                        "title": message.title, "text": message.text})  # fmt: skip
            continue
        colour = _COLOURS[message.severity]
        lines = message.text.replace("\n", "\n    ")
        OUT.print(
            f"{time_text(int(at * 1e6))} [bold]{escape(channel)}[/] "
            f"[{colour}]{escape(message.title)}[/]\n    {escape(lines)}"
        )
