"""Tokens: shown once when made, kept as hashes in a file that only its owner reads.

A token is ``ct_<id>_<secret>``: 8 characters that name it and 256 random bits, base64url. Of so
many bits a plain SHA-256 tells nothing; what people choose as passwords would need a slow hash.
"""

import base64
import hmac
import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.settings import Settings
from core.market.errors import ConfigError, ServiceError

Scope: TypeAlias = Literal["read", "control"]

_PREFIX = "ct"
_LONGEST = 128


class Token(BaseModel):
    """What is known of a token; not the token.

    Attributes:
        id: Part of the token, names it in files and logs.
        name: Whose it is, for people.
        scopes: What its bearer may.
        hash: SHA-256 of the whole token, in hex.
        created: When it was made.
        expires: From when on it is worth nothing; None: never.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9]{8}$")]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: datetime
    expires: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Say whether it has not expired."""
        return self.expires is None or now < self.expires


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    tokens: tuple[Token, ...] = ()


class TokenFile:
    """The tokens of a file; changes of it by others are seen at the next look.

    Args:
        path: The file; one that does not exist has no tokens.

    Every method raises `ServiceError` where the file cannot be read or is none of ours.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def all(self) -> tuple[Token, ...]:
        """Return the tokens, in the order they were made."""
        self._look()
        return tuple(self._tokens.values())

    def find(self, token: str, now: datetime) -> Token | None:
        """Return what is known of a token that a caller shows; None if it is worth nothing."""
        self._look()
        parts = token.split("_", 2)
        known = self._tokens.get(parts[1]) if len(parts) == 3 else None
        # The time that the comparison takes says nothing of the hash, nor of whether the id is
        # one of ours.
        own = known.hash if known else "0" * 64
        same = hmac.compare_digest(own, _hash(token[:_LONGEST]))
        return known if known and same and known.holds(now) else None

    def make(
        self, name: str, scopes: Iterable[Scope], expires: datetime | None = None
    ) -> tuple[str, Token]:
        """Make a token; return it, and what is known of it.

        Raises:
            ConfigError: There is one of that name.

        """
        if any(token.name == name for token in self.all()):
            hint = "choose another name, or revoke that one"
            raise ConfigError("name", f"there is a token `{name}`", hint=hint)
        id_ = base64.b32encode(secrets.token_bytes(5)).decode().lower()
        text = f"{_PREFIX}_{id_}_{secrets.token_urlsafe(32)}"
        made = Token(
            id=id_,
            name=name,
            scopes=tuple(dict.fromkeys(scopes)),
            hash=_hash(text),
            created=datetime.now(UTC),
            expires=expires,
        )
        self._write((*self.all(), made))
        return text, made

    def revoke(self, name: str) -> Token:
        """Make a token worthless; return what was known of it.

        Raises:
            ConfigError: There is none of that name or id.

        """
        tokens = self.all()
        gone = next((token for token in tokens if name in (token.name, token.id)), None)
        if gone is None:
            known = " ".join(token.name for token in tokens) or "none"
            raise ConfigError("name", f"there is no token `{name}`", hint=f"there are: {known}")
        self._write(tuple(token for token in tokens if token is not gone))
        return gone

    def _look(self) -> None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._tokens = None, {}
            return
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen == self._seen:
            return
        try:
            file = _File.model_validate_json(self.path.read_bytes())
        except OSError as error:
            raise ServiceError(f"tokens {self.path}", str(error.strerror)) from None
        except ValidationError as error:
            why = f"is no file of tokens: {error.errors(include_url=False)[0]['msg']}"
            hint = "move it away and make new tokens"
            raise ServiceError(f"tokens {self.path}", why, hint=hint) from None
        self._seen, self._tokens = seen, {token.id: token for token in file.tokens}

    def _write(self, tokens: tuple[Token, ...]) -> None:
        hidden = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            hidden.unlink(missing_ok=True)
            file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "w") as out:
                out.write(_File(tokens=tokens).model_dump_json(indent=1, exclude_none=True))
                out.flush()
                os.fsync(out.fileno())
            hidden.replace(self.path)
        except OSError as error:
            raise ServiceError(f"tokens {self.path}", str(error.strerror)) from None


def tokens_file(settings: Settings) -> Path:
    """Return where hashed tokens are kept."""
    return settings.api.tokens or settings.state_dir / "tokens.json"


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
