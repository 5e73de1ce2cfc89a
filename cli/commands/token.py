"""``cryptotools token new|list|revoke``: who may use the API."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape

from api.security.tokens import Scope, Token, TokenFile, tokens_file
from cli.options import ConfigFile, Set, overrides
from cli.output import ERR, OUT, Json, print_json, table
from config.settings import load


class ScopeName(StrEnum):
    """What a token may."""

    read = "read"
    control = "control"


_ALSO: dict[ScopeName, tuple[Scope, ...]] = {
    ScopeName.read: ("read",),
    ScopeName.control: ("read", "control"),
}


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens of the API.")
    app.add_typer(group, name="token")

    @group.command()
    def new(
        name: Annotated[str, typer.Argument(help="Whose it is, for lists and the audit.")],
        scope: Annotated[
            ScopeName, typer.Option(help="control may also change what runs.")
        ] = ScopeName.read,
        days: Annotated[int, typer.Option(min=0, help="Until it expires; 0: never.")] = 0,
        config: ConfigFile = None,
        set_: Set = None,
        *,
        json: Json = False,
    ) -> None:
        """Make a token and print it, this once: only its hash is kept.

        From the first token on the API answers nobody without one.
        """
        expires = datetime.now(UTC) + timedelta(days=days) if days else None
        file = _file(config, set_)
        text, made = file.make(name, _ALSO[scope], expires)
        if json:
            print_json({"token": text, **made.model_dump(mode="json", exclude={"hash"})})
            return
        OUT.print(text, highlight=False)
        ERR.print(f"may {' and '.join(made.scopes)}; its hash is in {file.path}")

    @group.command(name="list")
    def list_(config: ConfigFile = None, set_: Set = None, *, json: Json = False) -> None:
        """List the tokens that there are; they themselves are not kept."""
        tokens = _file(config, set_).all()
        if json:
            print_json([t.model_dump(mode="json", exclude={"hash"}) for t in tokens])
            return
        rows: list[tuple[object, ...]] = [
            (escape(t.name), t.id, " ".join(t.scopes), f"{t.created:%Y-%m-%d}",
             _until(t))
            for t in tokens
        ]  # fmt: skip
        if rows:
            OUT.print(table("name", "id", "may", "made", "expires", rows=rows))
        else:
            ERR.print("there are none: the API answers callers on this machine only")

    @group.command()
    def revoke(
        name: Annotated[str, typer.Argument(help="Name or id of the token.")],
        config: ConfigFile = None,
        set_: Set = None,
    ) -> None:
        """Make a token worthless at once."""
        gone = _file(config, set_).revoke(name)
        ERR.print(f"`{gone.name}` is worth nothing any more")


def _until(token: Token) -> str:
    if token.expires is None:
        return "never"
    return f"{token.expires:%Y-%m-%d}" if token.holds(datetime.now(UTC)) else "expired"


def _file(config: ConfigFile, set_: Set) -> TokenFile:
    return TokenFile(tokens_file(load(config, overrides=overrides(set_))))
