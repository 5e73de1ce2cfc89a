"""Who gets in: without tokens this machine, with tokens who shows one; and how often."""

import re
from collections.abc import Callable

import httpx
import pytest

from api.security.guard import check_binding, is_loopback
from api.security.limits import RateLimit
from api.security.tokens import Scope, TokenFile, tokens_file
from config.settings import Settings
from core.market.errors import ConfigError

Make = Callable[..., httpx.Client]

OPEN = {"/health", "/ready", "/version"}


def token(settings: Settings, *scopes: Scope) -> dict[str, str]:
    text, _ = TokenFile(tokens_file(settings)).make("-".join(scopes), scopes)
    return {"Authorization": f"Bearer {text}"}


def test_every_route_asks_who_calls_and_each_that_changes_something_for_control(
    api: httpx.Client, settings: Settings
) -> None:
    reads = token(settings, "read")
    spec = api.get("/api/v1/openapi.json").json()
    asked = 0
    for template, methods in spec["paths"].items():
        path = re.sub(r"\{[^}]*\}", "x", template)
        for method in set(methods) - {"parameters"}:
            if template in OPEN:
                continue
            asked += 1
            assert api.request(method, path).status_code in (401, 429), (method, template)
            if method != "get":
                refused = api.request(method, path, headers=reads)
                assert refused.status_code == 403, (method, template, refused.text)
    assert asked > 10


def test_without_tokens_this_machine_may_do_everything(api: httpx.Client) -> None:
    assert api.get("/api/v1/session").json() == {
        "name": "local", "scopes": ["control", "read"], "token_needed": False,
    }  # fmt: skip


def test_from_the_first_token_on_nobody_gets_in_without_one(
    api: httpx.Client, settings: Settings
) -> None:
    assert api.get("/status").status_code == 200
    reads, controls = token(settings, "read"), token(settings, "read", "control")
    refused = api.get("/status")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "cryptotools token new" in refused.json()["hint"]
    for wrong in ("nix", "Bearer", "Bearer nix", "Basic " + reads["Authorization"][7:]):
        assert api.get("/status", headers={"Authorization": wrong}).status_code == 401
    assert api.get("/status", headers=reads).status_code == 200
    assert api.get("/api/v1/session", headers=reads).json()["name"] == "read"
    body = {"symbols": ["SOLUSDT"]}
    said = api.post("/api/v1/symbols", json=body, headers=reads)
    assert (said.status_code, "may read, not control" in said.json()["detail"]) == (403, True)
    assert api.post("/api/v1/symbols", json=body, headers=controls).status_code == 503  # no flow
    for path in OPEN:
        assert api.get(path).status_code == 200
    TokenFile(tokens_file(settings)).revoke("read")
    assert api.get("/status", headers=reads).status_code == 401


def test_too_many_calls_are_told_when_to_come_again(api_with: Make) -> None:
    api = api_with(requests_per_minute=5, commands_per_minute=2)
    codes = [api.get("/api/v1/session").status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2
    said = api.get("/api/v1/session")
    assert 1 <= int(said.headers["retry-after"]) <= 12
    assert said.json()["detail"] == "too many requests in the last minute"
    assert api.get("/health").status_code == 200
    api = api_with(commands_per_minute=2)
    codes = [api.delete("/api/v1/symbols/SOLUSDT").status_code for _ in range(4)]
    assert codes == [503, 503, 429, 429]
    assert api.get("/api/v1/session").status_code == 200


def test_guessing_is_slowed_down(api: httpx.Client, settings: Settings) -> None:
    token(settings, "read")
    codes = [
        api.get("/status", headers={"Authorization": f"Bearer ct_a_{n}"}).status_code
        for n in range(40)
    ]
    assert codes[:30] == [401] * 30
    assert set(codes[30:]) == {429}


def test_a_bucket_fills_at_its_rate_and_callers_do_not_share() -> None:
    now = 0.0
    limit = RateLimit(60, clock=lambda: now)
    assert [limit.take("a") for _ in range(60)] == [0.0] * 60
    assert limit.take("a") == pytest.approx(1.0)
    assert limit.take("b") == 0.0
    now = 2.0
    assert [limit.take("a") > 0 for _ in range(3)] == [False, False, True]
    now = 1e6
    assert sum(limit.take("a") == 0.0 for _ in range(100)) == 60


@pytest.mark.parametrize(
    ("host", "safe"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.8.8.8", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("example.org", False)],
)  # fmt: skip
def test_nobody_listens_elsewhere_without_tokens(settings: Settings, host: str, safe: bool) -> None:
    own = settings.api.model_copy(update={"host": host})
    bound = settings.model_copy(update={"api": own})
    assert is_loopback(host) is safe
    check_binding(bound, tokens=True)
    if safe:
        check_binding(bound, tokens=False)
    else:
        with pytest.raises(ConfigError, match="there is no token"):
            check_binding(bound, tokens=False)
