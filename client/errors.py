"""What goes wrong between a client and the API."""

from client.models import Problem
from core.market.errors import CryptoToolsError


class ApiError(CryptoToolsError):
    """The API refuses a request, or cannot be reached.

    Attributes:
        problem: What it said.

    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.exit_code = 3 if problem.status >= 500 else 2

    def __str__(self) -> str:
        said = self.problem
        where = f"{said.field}: " if said.field else ""
        return f"{where}{said.detail or said.title}" + (f"\nhint: {said.hint}" if said.hint else "")
