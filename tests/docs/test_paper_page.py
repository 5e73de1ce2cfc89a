"""docs/guides/paper.md and the records' fields against the code."""

import re
from decimal import Decimal
from pathlib import Path

from config.settings import load
from core.market.paper import TOTAL, Equity, Fill
from core.market.records import equity_fields, fill_fields
from core.paper.config import PaperConfig

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "guides/paper.md").read_text("utf-8")
RECORDS = (DOCS / "reference/records.md").read_text("utf-8")
ONE = Decimal(1)


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S*) ?\| (.*) \|$", PAGE, re.MULTILINE)
    told = {name: (default, about) for name, default, about in rows}
    assert set(told) == set(PaperConfig.model_fields)
    for name, field in PaperConfig.model_fields.items():
        default = "" if name == "instances" else str(field.default).lower()
        assert told[name] == (default, field.description)


def test_the_settings_shown_can_be_loaded(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "cryptotools.toml"
    path.write_text(shown)
    own = load(path, env={}, dotenv=None).paper
    assert own.of("macd_cross").size == Decimal("0.5")
    assert own.of("any").size == 500


def test_the_fields_in_redis_are_documented_in_their_order() -> None:
    fill = Fill("x:Y", 1, 1, "i", "s", "1m", "buy", ONE, ONE, ONE, ONE, ONE, ONE, ONE, 1, "")
    equity = Equity("x:Y", 1, 1, TOTAL, "", "1m", ONE, ONE, ONE, ONE, ONE, ONE, ONE, ONE, 1)
    assert f"Fields of a fill: `{' '.join(fill_fields(fill))}`" in RECORDS
    assert f"Fields of equity: `{' '.join(equity_fields(equity))}`" in RECORDS
