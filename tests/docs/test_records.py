"""docs/reference/records.md against the code."""

from pathlib import Path

import pyarrow as pa
import pytest

from core.market import events, schemas
from core.market.events import Event, Quarantined
from core.market.records import event_detail

PAGE = (Path(__file__).parents[2] / "docs/reference/records.md").read_text("utf-8")


@pytest.mark.parametrize(
    "schema",
    [
        schemas.trades(2, 5, aggregate=True),
        schemas.KLINES,
        schemas.SIGNALS,
        schemas.FILLS,
        schemas.EQUITY,
        schemas.EVENTS,
        schemas.QUARANTINE,
        schemas.FEATURES,
        schemas.PREDICTIONS,
        schemas.SCORES,
        schemas.FRAMES,
    ],
)
def test_every_column_is_documented(schema: pa.Schema) -> None:
    for field in schema:
        assert f"| `{field.name}` |" in PAGE
        assert field.metadata[b"about"].decode() in PAGE


_COMMON = {"kind", "lane", "key", "time_us", "seq"}


def test_every_kind_of_event_is_documented_with_its_fields() -> None:
    # By name: a dataclass with slots leaves the class it was made from behind.
    kinds = {c.kind: c for c in Event.__subclasses__() if c.kind != Quarantined.kind}
    assert len(kinds) == 14
    for kind in kinds.values():
        names = [n for n in kind.__annotations__ if n not in _COMMON]
        (line,) = [ln for ln in PAGE.splitlines() if ln.startswith(f"| `{kind.kind}` |")]
        assert line.split("|")[2].strip() == ", ".join(names)


def test_the_detail_of_an_event_is_its_own_fields() -> None:
    gap = events.Gap("binance:BTCUSDT", 1, 2, 3, 4, "why")
    assert event_detail(gap) == {"first_id": 3, "last_id": 4, "reason": "why"}
