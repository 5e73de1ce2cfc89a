"""docs/guides/subscribers.md against the code."""

import re
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import redis

from connectors.redis.embedded import ensure, stop
from connectors.redis.keys import stream_key
from subscribers.consumer import Batch, Consumer
from subscribers.dead import dead_entries, give_back
from subscribers.postgres.schema import steps
from subscribers.postgres.tables import TABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guides/subscribers.md").read_text("utf-8")
STREAM = stream_key("binance:BTCUSDT", "trade")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    yield ensure(tmp_path / "redis").url
    stop(tmp_path / "redis")


def test_the_program_shown_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(shown.partition("with Consumer")[0], names)
    with redis.Redis.from_url(url) as client:
        fields: dict[Any, Any] = {"id": "1", "time_us": "5", "price": "1.50", "quantity": "2"}
        client.xadd(STREAM, fields | {"taker": "buy"})
    with Consumer(url, "my-group", name="worker-1") as consumer:

        def once(batch: Batch) -> None:
            names["handle"](batch)
            consumer.stop()

        consumer.run(once)
    assert "price=Decimal('1.50')" in capsys.readouterr().out


def test_the_defaults_shown_are_those() -> None:
    parameters = signature(Consumer).parameters
    for name, default in re.findall(r"^\| `(\w+)` \| `?(\w+)`? \|", PAGE, re.MULTILINE):
        assert str(parameters[name].default).removesuffix(".0") == default


def test_the_rights_shown_suffice(url: str) -> None:
    (line,) = re.findall(r"^ACL (SETUSER worker .*)$", PAGE, re.MULTILINE)
    with redis.Redis.from_url(url) as admin:
        admin.execute_command("ACL", *line.split())
        for n in range(3):
            admin.xadd(STREAM, {"id": str(n)})
    with Consumer(f"{url}?username=worker&password=secret", "g", min_idle=0.01) as consumer:
        first = consumer.poll(5.0)
        assert first is not None
        first.extend()
        first.retry()
        batch = consumer.poll(5.0)
        assert batch is not None
        batch.bury(batch.entries[0], "for the test")
        batch.ack()
        assert [lag.pending for lag in consumer.lag()] == [0]
        assert len(list(dead_entries(consumer._link))) == 1
        assert give_back(consumer._link) == (1, 0)


def test_every_table_is_named() -> None:
    made = set(re.findall(r"^CREATE TABLE (\w+)", "".join(steps().values()), re.MULTILINE))
    assert {table.name for table in TABLES.values()} | {"missed", "lake_files"} == made
    for table in TABLES.values():
        assert f"`{table.name}`" in PAGE


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)(?:#[\w-]+)?\)", PAGE))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / "docs/guides" / target).exists()


def test_every_example_is_named() -> None:
    names = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert names == set(re.findall(r"^\| `(\w+\.py)` \|", PAGE, re.MULTILINE))
