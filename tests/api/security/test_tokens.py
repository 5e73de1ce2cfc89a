"""Tokens: what is kept of them tells nothing, and who has one gets in for as long as it holds."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.security.tokens import TokenFile
from core.market.errors import ConfigError, ServiceError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "state" / "tokens.json")


def test_a_token_is_found_by_itself_alone(file: TokenFile) -> None:
    one, made = file.make("bot", ("read",))
    other, _ = file.make("ops", ("read", "control"))
    found = file.find(one, NOW)
    assert found is not None
    assert (found.name, found.scopes) == ("bot", ("read",))
    assert len(one) > 50
    prefix = f"ct_{made.id}_"
    for wrong in ("", "ct", "ct__", made.id, made.hash, one[:-1], one + "a", prefix,
                  prefix + other.rpartition("_")[2], one.replace("ct", "xx")):  # fmt: skip
        assert file.find(wrong, NOW) is None, wrong


@given(text=st.text(max_size=300))
def test_no_text_whatever_gets_in_or_breaks(text: str) -> None:
    file = TokenFile(Path("/nonexistent/tokens.json"))
    assert file.find(text, NOW) is None


def test_the_file_is_ours_alone_and_holds_no_token(file: TokenFile) -> None:
    text, _ = file.make("bot", ("read",))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert text.rpartition("_")[2] not in file.path.read_text()
    assert not list(file.path.parent.glob("*.tmp"))


def test_an_expired_or_revoked_token_is_worth_nothing(file: TokenFile) -> None:
    text, _ = file.make("bot", ("read",), NOW + timedelta(days=1))
    assert file.find(text, NOW)
    assert file.find(text, NOW + timedelta(days=1)) is None
    other = TokenFile(file.path)  # as in another process
    other.revoke("bot")
    assert file.find(text, NOW) is None
    assert file.all() == ()


def test_names_are_unique_and_unknown_ones_are_told(file: TokenFile) -> None:
    file.make("bot", ("read",))
    with pytest.raises(ConfigError, match="there is a token `bot`"):
        file.make("bot", ("control",))
    with pytest.raises(ConfigError, match="there are: bot"):
        file.revoke("nobody")


def test_a_file_that_is_none_of_ours_lets_nobody_in(file: TokenFile) -> None:
    text, _ = file.make("bot", ("read",))
    file.path.write_text('{"tokens": [{"name": "x"}]}')
    with pytest.raises(ServiceError, match="is no file of tokens"):
        file.find(text, NOW)
