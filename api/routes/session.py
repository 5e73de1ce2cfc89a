"""Who calls, and who commanded what."""

from typing import Annotated

from fastapi import APIRouter, Query

from api import audit
from api.security.guard import Reader
from api.services import With
from client.control import AuditEntry, Session

router = APIRouter(tags=["system"])


@router.get("/session")
async def get_session(own: With, caller: Reader) -> Session:
    """Say who calls, and what that token may do."""
    return Session(
        name=caller.name, scopes=sorted(caller.scopes), token_needed=bool(own.tokens.all())
    )


@router.get("/audit")
async def get_audit(
    own: With,
    _caller: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[
        str, Query(pattern=r"^(\d{1,19}(-\d{1,19})?)?$", description="Id of an entry.")
    ] = "",
) -> list[AuditEntry]:
    """List commands, newest first: who gave them and what became of them."""
    return await audit.read(own, limit, before)
