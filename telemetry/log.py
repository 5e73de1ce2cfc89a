"""Logging is configured in one place: one line per event to stderr, as text or as JSON.

Every line passes `telemetry.mask` on its way out, whoever wrote it and whatever it quotes.
"""

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from telemetry.mask import MASK

FIELDS = ("time", "level", "logger", "message", "error")
"""Of every JSON line, in this order; ``error`` where there is one. What a line tells beyond these
(``LOG.info(…, extra={"fields": {…}})``) comes behind them."""


class TextFormatter(logging.Formatter):
    """A line for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return MASK(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `FIELDS`, and those of the line's own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        row: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": MASK(record.getMessage()),
        }
        if record.exc_info:
            row["error"] = MASK(self.formatException(record.exc_info))
        for name, value in getattr(record, "fields", {}).items():
            row.setdefault(name, _hidden(value))
        return orjson.dumps(row, default=lambda value: MASK(str(value))).decode()


def _hidden(value: object) -> object:
    if isinstance(value, str):
        return MASK(value)
    if isinstance(value, dict):
        return {str(name): _hidden(part) for name, part in value.items()}
    return [_hidden(part) for part in value] if isinstance(value, list | tuple) else value


def configure(level: str = "info", *, json: bool = False, secrets: Iterable[str] = ()) -> None:
    """Send the project's log lines to stderr; other libraries speak from warning on.

    Args:
        level: The lowest that is told.
        json: One JSON object per line instead of text.
        secrets: What no line may hold (`config.secret.secrets_of`).

    """
    MASK.add(secrets)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("cryptotools").setLevel(level.upper())
