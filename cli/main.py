"""``cryptotools``: the commands, and how errors leave.

Exit codes: 0 done; 1 the data is wrong; 2 wrong usage, setting or strategy; 3 something outside is
not usable (Redis, exchange, disk, port); 130 interrupted.
"""

import sys
from importlib import import_module

import typer

from cli.output import ERR
from core.market.errors import CryptoToolsError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Crypto market data and trading signals that can be proven complete.",
    epilog="Exit codes: 0 done, 1 bad data, 2 wrong usage or setting, 3 a service is not usable, "
    "130 interrupted.",
)

_COMMANDS = (
    "demo", "run", "up", "status", "replay", "backtest", "simulate", "record", "backfill", "tail",
    "symbols", "strategy", "paper", "ml", "certify", "gaps", "verify", "verify_parity",
    "notify", "doctor", "config", "bench", "version",
)  # fmt: skip


def _register() -> None:
    for name in _COMMANDS:
        import_module(f"cli.commands.{name}").register(app)


def main() -> None:
    """Run the command line."""
    _register()
    try:
        app()
    except CryptoToolsError as error:
        ERR.print(f"[bold red]error:[/] {_escape(str(error))}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
