"""What an error of PostgreSQL means for a worker, told without the password."""

from enum import Enum, auto
from urllib.parse import quote

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from core.market.errors import ConfigError, ServiceError

SERVICE = "postgres"

_HINT = "postgresql://user@host:5432/database, or host=… dbname=…"
_LIMITS = "54"  # a row too long, an index entry too large: waiting does not help
_SOON = (
    "starting up", "shutting down", "recovery", "too many", "remaining connection slots",
    "terminating", "accepting connections",
)  # fmt: skip


class Verdict(Enum):
    """What to do."""

    WAIT = auto()
    """The server is away, busy or was in our way: the same again later."""
    ROW = auto()
    """A row cannot be stored."""
    FATAL = auto()
    """Nothing that time heals."""


def judge(error: psycopg.Error) -> Verdict:
    """Return what an error of a statement means.

    >>> judge(errors.DeadlockDetected()), judge(errors.NumericValueOutOfRange())
    (<Verdict.WAIT: 1>, <Verdict.ROW: 2>)
    """
    if (error.sqlstate or "").startswith(_LIMITS):
        return Verdict.ROW
    if isinstance(error, errors.DataError | errors.IntegrityError):
        return Verdict.ROW
    away = (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction)
    return Verdict.WAIT if isinstance(error, away) else Verdict.FATAL


def is_refusal(error: psycopg.Error) -> bool:
    """Say whether we are not let in, or what we were told to connect to cannot be; for ever."""
    told = str(error)
    refused = "FATAL" in told or "invalid" in told
    return refused and not any(text in told for text in _SOON)


class Dsn:
    """A connection string that does not show its password.

    Raises:
        ConfigError: It cannot be one.

    """

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            parts = conninfo_to_dict(text)
        except psycopg.Error:
            # libpq's own words may repeat what was given, password included.
            raise ConfigError("--dsn", "is no connection string", hint=_HINT) from None
        ports = str(parts.get("port") or "0").split(",")
        if not all(port.isdigit() for port in ports):
            raise ConfigError("--dsn", "its port is no number", hint=_HINT)
        password = str(parts.get("password") or "")
        self._secrets = {password, quote(password), quote(password, safe="")} - {""}
        place = parts.get("host") or parts.get("hostaddr") or "the local server"
        self._shown = f"{parts.get('dbname') or 'the default database'} on {place}"

    @property
    def secret(self) -> str:
        """The string itself, for the driver alone."""
        return self._text

    def __str__(self) -> str:
        return self._shown

    __repr__ = __str__

    def told(self, error: object) -> str:
        """Return an error's text in one line, without the password."""
        text = " ".join(str(error).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def fault(self, error: psycopg.Error, hint: str = "") -> ServiceError:
        """Return the error to raise."""
        return ServiceError(SERVICE, f"{self}: {self.told(error)}", hint=hint)
