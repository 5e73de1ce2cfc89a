"""Who commanded what, and what became of it: a stream in Redis, and the log.

md:~audit    one entry per command
"""

import logging
from datetime import UTC, datetime
from typing import Any

import redis

from api.services import Services
from client.control import AuditEntry

LOG = logging.getLogger("cryptotools.audit")

AUDIT = "md:~audit"
_KEPT = 10_000


async def note(
    own: Services, caller: str, action: str, subject: str, *, command: str, outcome: str,
    detail: str = "",
) -> None:  # fmt: skip
    """Note a command and its outcome; a Redis that is away leaves it to the log."""
    LOG.info("%s: %s %s: %s", caller, action, subject, outcome)
    fields: dict[Any, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "caller": caller,
        "action": action,
        "subject": subject,
        "command": command,
        "outcome": outcome,
        "detail": detail[:1000],
    }
    try:
        await own.bus.xadd(AUDIT, fields, maxlen=_KEPT, approximate=True)
    except (redis.RedisError, OSError) as error:
        LOG.warning("the audit of %s is in this log only: %s", command, error)


async def read(own: Services, count: int, before: str = "") -> list[AuditEntry]:
    """Return the newest entries, newest first; `before`: those older than an entry."""
    end = f"({before}" if before else "+"
    rows: Any = await own.bus.xrevrange(AUDIT, max=end, count=count)
    return [AuditEntry.model_validate({"id": entry, **fields}) for entry, fields in rows]
