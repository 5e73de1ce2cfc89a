"""Models over HTTP; a thread that reads the control stream stands for the flow."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import redis

from client.ml import ModelItem, ModelOutcome, Models
from connectors.redis.config import RedisConfig
from connectors.redis.control import Inbox
from connectors.redis.keys import FLOWS
from connectors.redis.writer import Writer
from core.control import Command, ModelCommand, Outcome
from core.market.events import ModelChanged
from dataflows.ml_registry import ModelRegistry
from strategies.ml.config import ModelSpec
from strategies.ml.features import FeatureSet
from strategies.ml.labels import Target
from strategies.ml.manifest import Manifest, Output, Span
from tests.api.data.markets import KEY, Market, Serve, get

FEATURES = FeatureSet.model_validate({"name": "base", "features": [{"return": 1}]})
BEGAN_MS = 1_738_281_600_000


def manifest(estimator: str) -> Manifest:
    return Manifest(
        name="up",
        version="",
        estimator=estimator,
        target=Target(horizon=3),
        features=FEATURES,
        definition=FEATURES.definition,
        keys=(KEY,),
        train=Span(rows=10, first="2025-01-01", last="2025-01-02"),
        valid=Span(rows=3, first="2025-01-03", last="2025-01-04"),
        data="ab",
        metrics={"valid": {"accuracy": 0.6, "baseline_accuracy": 0.5}},
        histograms={},
        output=Output(name="p"),
    )


class Flow:
    """Obeys commands as a flow does: a shard passes them on, an instrument says what came of it."""

    def __init__(self, market: Market, answer: Callable[[ModelCommand], str]) -> None:
        self._url, self._answer = market.settings.redis.url or "", answer
        self._client = redis.Redis.from_url(self._url, protocol=2)
        account = {
            "process": 0, "pid": os.getpid(), "version": "1", "started": "", "uptime_s": 1.0,
            "written": time.time(), "beats": 1, "turns": 1, "snapshots": 1, "state": "running",
            "following": ["BTCUSDT"], "links": {"binance:shard-0": 1}, "rows": {},
            "symbols": {KEY: {"lag_s": 0.1, "gaps_open": 0}}, "gaps_permanent": 0, "wanted": [],
            "redis": {"backlog_rows": 0, "away_s": 0.0}, "rss_bytes": 1, "failure": None,
            "disk": {"path": "lake", "free_bytes": 9 << 30, "total_bytes": 10 << 30},
        }  # fmt: skip
        self._client.hset(FLOWS, "main/0", orjson.dumps(account))
        self.heard: list[ModelCommand] = []
        self._inbox = Inbox(self._url, "0-0")
        self._inbox.start(self._obey)

    def _obey(self, command: Command, _entry: str) -> list[Outcome]:
        assert isinstance(command, ModelCommand)
        self.heard.append(command)
        state = self._answer(command)
        if state == "shard refuses":
            return [
                Outcome(
                    command=command.id, subject="shard-0", state="refused", reason="other features"
                )
            ]
        if state != "silent":
            at_us = (BEGAN_MS + len(self.heard)) * 1000
            said = ModelChanged(
                KEY, at_us, at_us // 1000 << 20, command.id, command.model, command.version, "",
                state, "too many shadows" if state == "refused" else "",
            )  # fmt: skip
            writer = Writer(RedisConfig(url=self._url))
            writer.publish([said])
            assert writer.flush(10)
            writer._hang_up()
        return [Outcome(command=command.id, subject="shard-0", state="accepted")]

    def end(self) -> None:
        self._inbox.stop()
        assert self._inbox._thread is not None
        self._inbox._thread.join(10)
        self._client.close()


@pytest.fixture
def flow(market: Market) -> Iterator[Callable[..., Flow]]:
    made: list[Flow] = []

    def make(answer: Callable[[ModelCommand], str] = lambda _: "running") -> Flow:
        made.append(Flow(market, answer))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def versions(market: Market) -> list[str]:
    registry = ModelRegistry(market.settings.ml.registry)
    return [registry.save(manifest(name), b"graph").version for name in ("one", "two")]


def test_a_promotion_is_obeyed_and_outlasts_the_flow(
    market: Market, serve: Serve, flow: Callable[..., Flow], versions: list[str]
) -> None:
    running = flow()
    http = serve(market.settings)
    headers = {"Idempotency-Key": "my-own"}
    found = http.post("/models/up/promote", json={"version": versions[0][:5]}, headers=headers)
    assert found.status_code == 200, found.text
    outcome = ModelOutcome.model_validate(found.json())
    assert outcome.outcome == "applied"
    again = http.post("/models/up/promote", json={"version": versions[0][:5]}, headers=headers)
    assert (again.json()["command"], len(running.heard)) == (outcome.command, 1)
    assert [(r.subject, r.state) for r in outcome.results] == [
        ("shard-0", "accepted"), (KEY, "running"),
    ]  # fmt: skip
    assert running.heard[0].version == versions[0]
    assert outcome.model.current == versions[0]
    assert outcome.model.running[0].version == versions[0]
    none = http.post("/models/up/promote", json={"version": "none"}).json()
    assert (none["model"]["current"], running.heard[1].version) == ("", "")
    shadow = http.post("/models/up/shadow", json={"version": versions[1]}).json()
    assert shadow["model"]["current"] == ""
    assert [one.action for one in running.heard] == ["promote", "promote", "shadow"]


@pytest.mark.parametrize(
    ("state", "status", "says"),
    [("shard refuses", 409, "other features"), ("refused", 409, "too many shadows")],
)
def test_what_the_flow_refuses_is_not_promoted(
    market: Market,
    serve: Serve,
    flow: Callable[..., Flow],
    versions: list[str],
    state: str,
    status: int,
    says: str,
) -> None:
    flow(lambda _: state)
    http = serve(market.settings)
    found = http.post("/models/up/promote", json={"version": versions[0]})
    assert (found.status_code, says in found.json()["detail"]) == (status, True), found.text
    assert http.get("/models/up").json()["current"] == ""


def test_an_instrument_that_says_nothing_yet_has_it_accepted(
    market: Market, serve: Serve, flow: Callable[..., Flow], versions: list[str]
) -> None:
    flow(lambda _: "silent")
    found = serve(market.settings).post("/models/up/promote", json={"version": versions[0]})
    assert (found.status_code, found.json()["outcome"]) == (202, "accepted")


def test_models_are_listed_with_what_is_known_of_them(market: Market, versions: list[str]) -> None:
    spec = ModelSpec(name="learner", features="base", online={"horizon": 3})
    ml = market.settings.ml.model_copy(update={"models": (spec,)})
    market.settings = market.settings.model_copy(update={"ml": ml})
    ModelRegistry(ml.registry).promote("up", versions[1])
    learner, up = Models.model_validate(get(market, "/models").json()).items
    assert (learner.name, learner.online, learner.versions) == ("learner", True, [])
    assert (up.configured, up.current) == (False, versions[1])
    assert {v.version: v.current for v in up.versions} == {versions[0]: False, versions[1]: True}
    one = up.versions[0]
    assert (one.columns, one.target["horizon"], one.train.rows) == (["return_1"], 3, 10)
    assert ModelItem.model_validate(get(market, "/models/up").json()) == up


@pytest.mark.parametrize(
    ("path", "version", "status", "field"),
    [
        ("no-such/promote", "none", 404, "name"),
        ("up/promote", "ffff", 422, None),
        ("up/promote", "UP", 422, "version"),
        ("up/shadow", "none", 422, "version"),
        ("UP/promote", "none", 422, "name"),
        ("up/promote", "none", 503, None),
    ],
)
def test_what_cannot_be_commanded_is_refused(
    market: Market, serve: Serve, versions: list[str], path: str, version: str, status: int,
    field: str | None,
) -> None:  # fmt: skip
    found = serve(market.settings).post(f"/models/{path}", json={"version": version})
    body: dict[str, Any] = found.json()
    assert (found.status_code, body.get("field")) == (status, field), found.text
