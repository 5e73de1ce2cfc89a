"""``cryptotools``: the commands, and how errors leave.

Exit codes: 0 done; 1 the data is wrong; 2 wrong usage, setting or strategy; 3 something outside is
not usable (Redis, exchange, disk, port); 130 interrupted.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from cli.output import ERR
from core.market.errors import CryptoToolsError
from telemetry.mask import MASK

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Crypto market data and trading signals that can be proven complete.",
    epilog="Exit codes: 0 done, 1 bad data, 2 wrong usage or setting, 3 a service is not usable, "
    "130 interrupted.",
)

_COMMANDS = (
    "demo", "run", "up", "api", "token", "status", "replay", "backtest", "simulate", "record",
    "backfill", "tail", "consume", "sink", "symbols", "strategy", "paper", "ml", "certify", "gaps",
    "verify", "verify_parity", "notify", "doctor", "config", "bench", "version",
)  # fmt: skip


@app.callback()
def _group() -> None:
    """Keep the names of commands, also where only one is loaded."""


def _register(arguments: Sequence[str]) -> None:
    # Only the one that is meant: each brings libraries that take their time.
    first = next((one for one in arguments if not one.startswith("-")), "").replace("-", "_")
    asked = arguments[:1] == [first.replace("_", "-")] and first in _COMMANDS
    for name in (first,) if asked else _COMMANDS:
        import_module(f"cli.commands.{name}").register(app)


def main() -> None:
    """Run the command line."""
    _register(sys.argv[1:])
    try:
        app()
    except CryptoToolsError as error:
        ERR.print(f"[bold red]error:[/] {_escape(MASK(str(error)))}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
