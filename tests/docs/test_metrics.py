"""docs/reference/metrics.md against the catalogues."""

import re

from api.metrics import ApiMetrics
from telemetry.metrics import FLOW
from tools.metrics import PAGE, written

TEXT = PAGE.read_text("utf-8")


def test_the_tables_are_those_of_the_code() -> None:
    assert written(TEXT) == TEXT, "run `python -m tools.metrics`"


def test_every_metric_is_there_and_told_of_in_a_sentence() -> None:
    known = [*FLOW, *ApiMetrics().catalogue]
    for one in known:
        assert f"| `{one.name}` | {one.kind} |" in TEXT
        assert one.help.endswith("."), one.name
        assert one.name.startswith("cryptotools_"), one.name
    assert len({one.name for one in known}) == len(known)
    told = set(re.findall(r"`?(cryptotools_\w+?)(?:`|\{|\[)", TEXT))
    assert told <= {one.name for one in known}
