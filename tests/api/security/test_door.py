"""What comes in, and how answers are dressed."""

from collections.abc import Callable, Iterator

import httpx
import pytest

Make = Callable[..., httpx.Client]

JSON = {"Content-Type": "application/json"}


def test_names_that_are_not_ours_are_refused(api: httpx.Client, api_with: Make) -> None:
    said = api.get("/health", headers={"Host": "rebound.example:8000"})
    assert said.status_code == 421
    assert said.json()["hint"] == "add it to `api.hosts`"
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000"):
        assert api.get("/health", headers={"Host": host}).status_code == 200, host
    named = api_with(hosts=("Md.Example",))
    assert named.get("/health", headers={"Host": "md.example"}).status_code == 200
    assert api_with(hosts=("*",)).get("/health", headers={"Host": "x.y"}).status_code == 200


def test_pages_of_others_command_nothing(api: httpx.Client, api_with: Make) -> None:
    evil, path = {"Origin": "http://evil.example"}, "/api/v1/symbols/SOLUSDT"
    assert api.delete(path, headers=evil).status_code == 403
    assert api.delete(path, headers={"Origin": "null"}).status_code == 403
    own = str(api.base_url).rstrip("/")
    assert api.delete(path, headers={"Origin": own}).status_code == 503  # no flow: it was let in
    assert api.delete(path).status_code == 503
    answer = api.get("/health", headers=evil)  # may be asked, and not be read
    assert "access-control-allow-origin" not in answer.headers
    shared = api_with(cors_origins=("http://evil.example",))
    assert shared.delete(path, headers=evil).status_code == 503
    allowed = shared.get("/health", headers=evil).headers["access-control-allow-origin"]
    assert allowed == "http://evil.example"


def test_bodies_that_are_too_large_are_not_read(api_with: Make) -> None:
    api = api_with(body_bytes=2000)
    said = api.post("/api/v1/symbols", content=b"x" * 2001, headers=JSON)
    assert (said.status_code, said.json()["hint"]) == (413, "see `api.body_bytes`")

    def drops() -> Iterator[bytes]:
        for _ in range(1000):
            yield b'{"symbols": ['

    assert api.post("/api/v1/symbols", content=drops(), headers=JSON).status_code == 413
    fine = api.post("/api/v1/symbols", json={"symbols": ["BTCUSDT"]})
    assert fine.status_code == 503  # no flow: it was read


@pytest.mark.parametrize("path", ["/health", "/nix", "/api/v1/session"])
def test_every_answer_is_dressed(api: httpx.Client, path: str) -> None:
    headers = api.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


@pytest.mark.parametrize(
    ("method", "path", "content", "code"),
    [
        ("POST", "/api/v1/symbols", b"{", 422),
        ("POST", "/api/v1/symbols", b"\xff\xfe", 422),
        ("POST", "/api/v1/symbols", b"[" * 100_000, 400),
        ("POST", "/api/v1/symbols", b"null", 422),
        ("PATCH", "/api/v1/instances/" + "a" * 65, b"{}", 422),
        ("GET", "/api/v1/instances/" + "a" * 5000, b"", 422),
        ("GET", "/api/v1/symbols/%00", b"", 422),
        ("GET", "/api/v1/audit?limit=99999999999999999999999", b"", 422),
        ("GET", "/api/v1/audit?before=99999999999999999999999-1", b"", 422),
        ("PUT", "/api/v1/symbols", b"", 405),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", b"", 404),
    ],
)
def test_hostile_requests_are_problems_not_faults(
    api: httpx.Client, method: str, path: str, content: bytes, code: int
) -> None:
    said = api.request(method, path, content=content, headers=JSON)
    assert said.status_code == code, said.text
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["status"] == code
