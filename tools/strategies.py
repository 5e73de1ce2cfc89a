"""Draws what each built-in strategy says: ``python -m tools.strategies`` writes the pictures.

The market is made up and the same each time, so the pictures change only when the code does.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.market.intervals import interval
from core.market.kline import Kline
from core.market.ml import Prediction
from strategies.base import Strategy
from strategies.registry import BUILT_IN
from tools.drawing import ACCENTS, Band, Candles, Line, Marker, Pane, kline_chart

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "reference" / "pictures"
_SHOWN = 150
_MINUTE = interval("1m")

Seen = list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a strategy is drawn.

    Attributes:
        params: Its parameters, so that it says something in the time shown.
        seen: What is drawn of it after each kline, by name.
        lines: Names of what lies over the price.
        band: Names of what bounds a band.
        pane: The chart below.
        before: What it is told before each kline.

    """

    seen: Callable[[Any, Kline], dict[str, float]]
    params: dict[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    band: tuple[str, str] | None = None
    pane: Callable[[Seen], Pane] | None = None
    before: Callable[[Any, Kline], None] | None = None
    seed: int = 4


def _column(seen: Seen, name: str) -> list[float | None]:
    return [row.get(name) for row in seen]


def _bands(one: Any, _kline: Kline) -> dict[str, float]:  # noqa: ANN401 - each has its own
    return {} if one.bands.value is None else one.bands.value._asdict()


def _levels(one: Any, _kline: Kline) -> dict[str, float]:  # noqa: ANN401 - likewise
    levels = one.levels()
    return {} if levels is None else levels._asdict()


def _channel(one: Any, _kline: Kline) -> dict[str, float]:  # noqa: ANN401 - likewise
    entry, leave = one.entry.previous, one.exit.previous
    if entry is None or leave is None:
        return {}
    return {"highest of entry": entry.upper, "lowest of exit": leave.lower}


def _means(one: Any, _kline: Kline) -> dict[str, float]:  # noqa: ANN401 - likewise
    values = {"fast": one.fast.value, "slow": one.slow.value}
    return {name: x for name, x in values.items() if x is not None}


def _macd(one: Any, _kline: Kline) -> dict[str, float]:  # noqa: ANN401 - likewise
    return {} if one.macd.value is None else one.macd.value._asdict()


def _rsi(one: Any, _kline: Kline) -> dict[str, float]:  # noqa: ANN401 - likewise
    return {} if one.rsi.value is None else {"rsi": one.rsi.value}


def _stop(one: Any, _kline: Kline) -> dict[str, float]:  # noqa: ANN401 - likewise
    now = one.trend.value
    return {} if now is None else {"stop, rising" if now.trend > 0 else "stop, falling": now.line}


def _volume(one: Any, kline: Kline) -> dict[str, float]:  # noqa: ANN401 - likewise
    usual = one.usual.previous
    return {"volume": kline.volume, **({} if usual is None else {"spike": 3 * usual})}


def _score(one: Any, _kline: Kline) -> dict[str, float]:  # noqa: ANN401 - likewise
    return {} if one.value is None else {"prediction": one.value}


def _predict(one: Any, kline: Kline) -> None:  # noqa: ANN401 - likewise
    # What a model might say: it is made up like the market.
    n = kline.open_us // _MINUTE.length_us
    value = 0.5 + 0.12 * math.sin(n / 13) + 0.03 * math.sin(n / 3)
    window = (kline.open_us, kline.close_us)
    one.predicted(Prediction(kline.key, _MINUTE, "trend", "", "", *window, value))


def _score_pane(seen: Seen) -> Pane:
    return Pane("prediction", [Line("", _column(seen, "prediction"))], levels=[0.45, 0.55])


def _volume_pane(seen: Seen) -> Pane:
    volume, spike = _column(seen, "volume"), _column(seen, "spike")
    marked = [n for n, (v, s) in enumerate(zip(volume, spike, strict=True)) if v and s and v > s]
    line = Line("3 times the usual", spike, ACCENTS[0], dashed=True)
    return Pane("volume", [line], bars=volume, marked=marked)


def _macd_pane(seen: Seen) -> Pane:
    lines = [Line("macd", _column(seen, "line")), Line("signal", _column(seen, "signal"))]
    return Pane("macd", lines, levels=[0.0], bars=_column(seen, "histogram"))


def _rsi_pane(seen: Seen) -> Pane:
    return Pane("rsi", [Line("", _column(seen, "rsi"))], levels=[30.0, 70.0])


DRAWINGS = {
    "bollinger_breakout": Drawing(_bands, {"short": True}, ("middle",), ("lower", "upper")),
    "bollinger_reversion": Drawing(_bands, {}, ("middle",), ("lower", "upper")),
    "donchian_breakout": Drawing(_channel, {}, ("highest of entry", "lowest of exit")),
    "ema_cross": Drawing(_means, {}, ("fast", "slow")),
    "macd_cross": Drawing(_macd, {}, pane=_macd_pane),
    "ml": Drawing(_score, {"short": True, "margin": 0.02}, pane=_score_pane, before=_predict),
    "rsi_reversal": Drawing(_rsi, {}, pane=_rsi_pane),
    "supertrend": Drawing(_stop, {}, ("stop, rising", "stop, falling")),
    "volume_spike": Drawing(_volume, {}, pane=_volume_pane),
    "vwap_reversion": Drawing(_levels, {"distance": 0.8}, ("middle",), ("lower", "upper")),
}


def market(seed: int, count: int) -> list[Kline]:
    """Return made-up klines: waves, noise, and some minutes in which much is traded."""
    dice, price, rows = random.Random(seed), 60_000.0, []
    for n in range(count):
        opened = price
        wave = 34 * math.sin(n / 13) + 18 * math.sin(n / 37 + 1)
        busy = dice.random() < 0.04
        price += wave + dice.gauss(0, 190 if busy else 62)
        high = max(opened, price) + abs(dice.gauss(0, 30))
        low = min(opened, price) - abs(dice.gauss(0, 30))
        volume = dice.lognormvariate(3.2 + (1.5 if busy else 0.0), 0.35)
        rows.append(_kline(n, (opened, high, low, price), volume))
    return rows


def _kline(n: int, prices: tuple[float, float, float, float], volume: float) -> Kline:
    opened, high, low, close = (round(x * 100) for x in prices)
    quantity, open_us = round(volume * 1000), 1_767_600_000_000_000 + n * _MINUTE.length_us
    paid = quantity * (opened + high + low + close) // 4
    return Kline(
        "binance:BTCUSDT", _MINUTE, open_us, open_us + _MINUTE.length_us - 1, 2, 3,
        opened, high, low, close, quantity, paid, 10, quantity // 2, paid // 2, 10 * n, 10 * n + 9,
    )  # fmt: skip


def draw(strategy: type[Strategy]) -> str:
    """Return the picture of a strategy as a file."""
    how = DRAWINGS[strategy.name]
    one = strategy(how.params)
    rows = market(how.seed, one.convergence + _SHOWN)
    skipped = len(rows) - _SHOWN
    seen, markers = [], []
    for n, kline in enumerate(rows):
        if how.before is not None:
            how.before(one, kline)
        said = one.feed(kline)
        seen.append(how.seen(one, kline))
        markers += [Marker(n - skipped, s.side.value, kline.close) for s in said if n >= skipped]
    seen, rows = seen[skipped:], rows[skipped:]
    candles = Candles(
        [k.open_us for k in rows],
        [k.open for k in rows],
        [k.high for k in rows],
        [k.low for k in rows],
        [k.close for k in rows],
    )
    return kline_chart(
        candles,
        lines=[Line(name, _column(seen, name)) for name in how.lines],
        bands=[Band(*(_column(seen, name) for name in how.band))] if how.band else [],
        markers=markers,
        panes=[how.pane(seen)] if how.pane else [],
        label=f"{strategy.name} on made-up klines",
    )


def main() -> None:
    """Write all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for strategy in BUILT_IN:
        (PICTURES / f"{strategy.name}.svg").write_text(draw(strategy), encoding="utf-8")


if __name__ == "__main__":
    main()
