"""A command about a model to the running flow, and what becomes of it on each symbol."""

from rich.markup import escape

from cli.output import ERR, OUT, print_json, table
from cli.remote import client_of
from client.ml import Action, ModelOutcome
from config.settings import Settings


def command(
    settings: Settings, action: Action, model: str, version: str, wait: float, *, json: bool
) -> ModelOutcome:
    """Send it, wait for what becomes of it, and show that.

    Raises:
        ApiError: It is refused, or nobody answers.

    """
    with client_of(settings, wait) as api:
        answer = api.tell_model(model, action, version)
    if json:
        print_json(answer.model_dump(mode="json"))
        return answer
    told = [one for one in answer.results if ":" in one.subject]
    if told:
        rows: list[tuple[object, ...]] = [
            (escape(one.subject), one.state, escape(one.reason)) for one in told
        ]
        OUT.print(table("symbol", "state", "", rows=rows))
    if answer.outcome == "accepted":
        ERR.print("passed on; not every symbol has reached it yet")
    return answer
