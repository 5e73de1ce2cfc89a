"""``cryptotools sink``: what flows publish, in a database."""

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.consuming import Chosen, From, Intervals, Kinds, MinIdle, Name, Symbols, start_of
from cli.options import ConfigFile, Set, overrides
from cli.output import ERR
from cli.progress import human
from cli.signals import on_signals
from core.market.errors import ServiceError
from dataflows.addresses import address
from dataflows.setup import prepare
from subscribers.consumer import ALL, Consumer

if TYPE_CHECKING:
    from subscribers.postgres.database import Database
    from subscribers.postgres.faults import Dsn
    from subscribers.postgres.lake import Lake
    from subscribers.postgres.worker import Progress

_GROUP = "postgres"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    sinks = typer.Typer(no_args_is_help=True, help="Store what flows publish in a database.")

    @sinks.callback()
    def several() -> None:
        """Keep the database's name a command of its own."""

    @sinks.command()
    def postgres(
        dsn: Annotated[
            str,
            typer.Option(
                envvar="POSTGRES_DSN",
                show_default=False,
                help="Connection string, such "
                "as postgresql://user@host/db; a password is better in PGPASSFILE.",
            ),
        ],
        kind: Kinds = None,
        symbol: Symbols = None,
        interval: Intervals = None,
        schema: Annotated[str, typer.Option(help="Schema of the tables.")] = "cryptotools",
        create: Annotated[
            bool, typer.Option("--create/--no-create", help="Make the tables, and update them.")
        ] = True,
        batch: Annotated[
            int, typer.Option(min=1, max=50_000, help="Entries of a transaction.")
        ] = 5000,
        since: From = ALL,
        group: Annotated[
            str, typer.Option("--group", "-g", help="Consumer group: workers of one database.")
        ] = _GROUP,
        name: Name = None,
        min_idle: MinIdle = 60.0,
        backfill: Annotated[
            Path | None,
            typer.Option(help="A lake to load first, and what Redis lost later on."),
        ] = None,
        every: Annotated[
            float, typer.Option(min=0.1, help="Seconds between two lines about how it goes.")
        ] = 10.0,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        once: Annotated[
            bool, typer.Option("--once", help="End when nothing is left to store.")
        ] = False,
    ) -> None:
        """Store records in PostgreSQL, each once, however often a worker is killed.

        Entries are acknowledged after COMMIT. Several workers of one group share the work.
        """
        _need_driver()
        from subscribers.postgres.faults import Dsn
        from subscribers.postgres.worker import check_kinds

        target, chosen = Dsn(dsn), Chosen.of(kind, symbol, interval)
        check_kinds(chosen.kinds)
        consumer = Consumer(
            address(prepare(config, overrides(set_))), group, name=name, kinds=chosen.kinds,
            symbols=chosen.symbols, intervals=chosen.intervals, start=start_of(since), batch=batch,
            min_idle=min_idle, max_deliveries=0,
        )  # fmt: skip
        plan = _Plan(schema, chosen, backfill, every, create=create, once=once)
        with consumer, on_signals(consumer.stop):
            _work(consumer, target, plan)

    app.add_typer(sinks, name="sink")


@dataclass(frozen=True, slots=True)
class _Plan:
    schema: str
    chosen: Chosen
    backfill: Path | None
    every: float
    _: KW_ONLY
    create: bool
    once: bool


def _work(consumer: Consumer, target: "Dsn", plan: _Plan) -> None:
    from subscribers.postgres.database import Database, StoppedError
    from subscribers.postgres.worker import Worker

    database = Database(target, plan.schema, create=plan.create, wait=consumer.wait)
    try:
        database.open()
        consumer.join()  # before the lake is read: so no entry is in neither
        lake = None if plan.backfill is None else _loaded(plan.backfill, database, consumer, plan)
        worker = Worker(consumer, database, lake, _following(plan.every), plan.every)
        done = worker.run(once=plan.once)
    except StoppedError as error:
        ERR.print(str(error))
    else:
        given_up = f"; {done.given_up} given up, see --dead" if done.given_up else ""
        ERR.print(f"stored {human(done.rows)} entries, {human(done.new)} of them new{given_up}")
    finally:
        database.close()


def _loaded(path: Path, database: "Database", consumer: Consumer, plan: _Plan) -> "Lake":
    from subscribers.postgres.lake import Lake

    chosen = plan.chosen
    lake = Lake(
        path, database, chosen.kinds, chosen.symbols, chosen.intervals,
        stopping=lambda: consumer.is_stopping,
    )  # fmt: skip
    done = lake.load(told=_loading(plan.every))
    ERR.print(
        f"lake: {done.files} files, {human(done.rows)} rows read, "
        f"{human(done.changed)} new or changed"
    )
    return lake


def _need_driver() -> None:
    if find_spec("psycopg") is None:
        why = "the driver `psycopg` is not installed"
        raise ServiceError("postgres", why, hint="pip install 'cryptotools[postgres]'")


def _loading(every: float) -> Callable[[int, int, int], None]:
    due = time.monotonic() + every

    def tell(done: int, files: int, rows: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + every
            ERR.print(f"lake: {done} of {files} files, {human(rows)} rows")

    return tell


def _following(every: float) -> "Callable[[Progress], None]":
    last = 0

    def tell(progress: "Progress") -> None:
        nonlocal last
        rate, last = (progress.rows - last) / every, progress.rows
        behind = "redis is away"
        if progress.entries is not None:
            behind = f"{human(progress.entries)} behind ({progress.seconds:.1f} s)"
        ERR.print(f"{human(progress.rows)} entries stored, {human(rate)}/s, {behind}")

    return tell
