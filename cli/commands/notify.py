"""``cryptotools notify run|test|list|dead``: messages about signals, fills and events."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypeVar

import redis
import typer
from rich.markup import escape

from cli.notifying import dry_run, replay, retry
from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, OUT, Json, print_json, table
from config.notify import NotifyConfig, RuleConfig
from config.secret import secrets_of
from config.settings import Settings, load, load_saved
from connectors.shutdown import STOP, stop_on_signals
from core.market.errors import ConfigError, ServiceError
from dataflows.addresses import address, known_address
from subscribers.notify.channels import shown
from subscribers.notify.facts import time_text
from subscribers.notify.rules import Rules
from subscribers.notify.store import Dead, Store
from subscribers.notify.trial import Tried, messages_of_rule, send_tests, trial_message
from subscribers.notify.worker import Worker
from telemetry import log

T = TypeVar("T")

_GUIDE = "docs/guides/notifications.md"


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True, help="Send signals and events to webhooks, Telegram, Discord, Slack."
    )
    app.add_typer(group, name="notify")
    _register_run(group)
    _register_test(group)
    _register_list(group)
    _register_dead(group)


def _register_run(group: typer.Typer) -> None:
    @group.command()
    def run(
        config: ConfigFile = None,
        set_: Set = None,
        *,
        dry: Annotated[
            bool, typer.Option("--dry-run", help="Print what would be sent; nothing is.")
        ] = False,
        last: Annotated[
            int | None,
            typer.Option("--replay", min=1, help="Print what the last N records would have sent."),
        ] = None,
        json: Json = False,
        saved: Annotated[Path | None, typer.Option(hidden=True)] = None,
    ) -> None:
        """Send what comes, until Ctrl-C; several at once are fine: one sends, the others wait."""
        # Of a supervisor: those settings, and nothing else.
        settings = _settings(config, set_) if saved is None else _logging(load_saved(saved))
        if last is not None:
            replay(settings.notify, address(settings), last, json=json)
            return
        stop_on_signals()
        if dry:
            dry_run(settings.notify, address(settings), STOP, json=json)
            return
        Worker(settings.notify, address(settings), stop=STOP).run()


def _register_test(group: typer.Typer) -> None:
    @group.command()
    def test(
        channel: Annotated[
            str | None, typer.Argument(help="One channel; all of them else.")
        ] = None,
        rule: Annotated[
            int | None,
            typer.Option("--rule", help="Send what this rule makes of made-up records; from 1 on."),
        ] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Send a test message to channels; exit code 3 if one of them does not take it."""
        own = _settings(config, set_).notify
        now = time.time()
        if rule is None:
            messages = {name: [trial_message(now)] for name in own.channels}
        else:
            messages = messages_of_rule(own, rule, now)
        if channel is not None:
            messages = {channel: messages[_channel(channel, messages)]}
        _show_tried(send_tests(own, messages), json=json)


def _register_list(group: typer.Typer) -> None:
    @group.command(name="list")
    def list_(config: ConfigFile = None, set_: Set = None, *, json: Json = False) -> None:
        """List channels and rules, and what became of messages."""
        settings = _settings(config, set_, some=False)
        own = settings.notify
        rules = [rule.config for rule in Rules(own).rules]
        rows = _channels(own, _counts(settings))
        if json:
            told = [rule.model_dump(mode="json") for rule in rules]
            print_json({"channels": rows, "rules": told})
            return
        if not rows:
            ERR.print(f"no channel is set up: see {_GUIDE}")
            return
        cells = [tuple(escape(str(cell)) for cell in row.values()) for row in rows]
        OUT.print(table(*rows[0], rows=list(cells), right=(2, 3, 4, 5)))
        OUT.print("")
        lines = [_rule_row(n, rule) for n, rule in enumerate(rules, 1)]
        OUT.print(
            table("rule", "to", "records", "severity", "only", "text", rows=lines, right=(0,))
        )


def _register_dead(group: typer.Typer) -> None:
    @group.command()
    def dead(
        channel: Annotated[str | None, typer.Argument(help="Only of this channel.")] = None,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        again: Annotated[bool, typer.Option("--retry", help="Send them once more.")] = False,
        json: Json = False,
    ) -> None:
        """List messages that were given up; exit code 3 if some cannot be sent with --retry."""
        settings = _settings(config, set_, some=again)
        with closing(_store(settings)) as store:
            found = [d for d in _asked(store.dead) if channel is None or d.channel == channel]
            if again:
                _asked(lambda: retry(settings.notify, store, found, json=json))
            else:
                _show_dead(found, json=json)


# ---- how ----


def _settings(config: Path | None, set_: list[str] | None, *, some: bool = True) -> Settings:
    settings = _logging(load(config, overrides=overrides(set_)))
    if some and not settings.notify.channels:
        raise ConfigError("notify.channels", "no channel is set up", hint=f"see {_GUIDE}")
    return settings


def _logging(settings: Settings) -> Settings:
    own = settings.log
    log.configure(own.level, json=own.json_lines, secrets=secrets_of(settings))
    return settings


def _channel(name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise ConfigError("channel", f"there is no `{name}` here", hint=f"one of {' '.join(known)}")
    return name


def _show_tried(tried: Iterable[Tried], *, json: bool) -> None:
    failed = False
    rows: list[dict[str, Any]] = []
    for one in tried:
        failed = failed or bool(one.error)
        rows.append({"channel": one.channel, "ok": not one.error, "error": one.error,
                     "seconds": round(one.seconds, 3)})  # fmt: skip
        if not json:
            state = f"[red]{escape(one.error)}[/]" if one.error else "[green]ok[/]"
            OUT.print(f"{escape(one.channel)}  {state}")
    if json:
        print_json(rows)
    if failed:
        raise typer.Exit(3)


def _channels(own: NotifyConfig, counts: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "channel": name,
            "by": shown(channel),
            "a minute": channel.per_minute,
            "sent": int(counts.get(f"{name}/sent", 0)),
            "failed": int(counts.get(f"{name}/failed", 0)),
            "given up": int(counts.get(f"{name}/dead", 0)),
            "last error": counts.get(f"{name}/error", ""),
            "at": time_text(int(counts[f"{name}/at"]) * 10**6) if f"{name}/at" in counts else "",
        }
        for name, channel in own.channels.items()
    ]


def _counts(settings: Settings) -> dict[str, str]:
    # What is set up can be listed without Redis.
    url = known_address(settings)
    if url is None:
        return {}
    with closing(Store(url, settings.notify.name)) as store:
        return _asked(store.counts)


def _rule_row(number: int, rule: RuleConfig) -> tuple[object, ...]:
    only = [*rule.instances, *rule.symbols, *rule.kinds]
    return (number, escape(" ".join(rule.to)), " ".join(rule.records), rule.severity,
            escape(" ".join(only)), escape(rule.template))  # fmt: skip


def _store(settings: Settings) -> Store:
    return Store(address(settings), settings.notify.name, settings.notify.max_age_seconds)


def _show_dead(found: list[Dead], *, json: bool) -> None:
    if json:
        print_json([one.as_dict() for one in found])
        return
    if not found:
        ERR.print("nothing was given up")
        return
    rows: list[tuple[object, ...]] = [
        (time_text(int(one.id.partition("-")[0]) * 1000), escape(one.channel), one.attempts,
         escape(one.message.title), escape(one.reason))
        for one in found
    ]  # fmt: skip
    OUT.print(table("given up", "channel", "attempts", "message", "why", rows=rows, right=(2,)))


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (redis.RedisError, OSError) as error:
        raise ServiceError("redis", str(error), hint="is it running?") from None
