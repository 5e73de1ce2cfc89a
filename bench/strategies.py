"""Many instances: time per kline and memory, of the host itself and without what is around it."""

import random
import resource
from collections.abc import Iterator

from bench.micro import cpu
from bench.rows import Row
from core.market.intervals import MINUTE_US, interval
from core.market.kline import Kline
from strategies.guard import Guard
from strategies.host import StrategyHost
from strategies.spec import InstanceSpec

_KLINES = 1_000
_SYMBOLS = 50
_EACH = 20
_MIB = 1024
_NAMES = ("rsi_reversal", "macd_cross", "bollinger_breakout")


def strategies() -> list[Row]:
    """Measure 1,000 instances on one symbol, and 20 on each of 50."""
    before = _rss()
    one = StrategyHost("binance:BTCUSDT", _specs(1_000), guard=Guard(1.0))
    rows = list(_klines(one.key, 0, 4 * _KLINES))
    given = iter(rows)

    def many() -> None:
        for _ in range(_KLINES):
            one.on_kline(next(given))

    spent = cpu(many, repeats=4) / _KLINES
    grown = _rss() - before
    hosts = [StrategyHost(f"binance:S{n:02}USDT", _specs(_EACH), guard=Guard(1.0))
             for n in range(_SYMBOLS)]  # fmt: skip
    everywhere = cpu(lambda: _all(hosts), repeats=1) / _KLINES
    return [
        Row("1,000 instances on one symbol, per kline", spent * 1e3, "ms", 5.0, at_most=True,
            against=f"{grown:.0f} MiB"),
        Row("one instance, per kline", spent * 1e3, "us", 4.0, at_most=True),
        Row(f"{_SYMBOLS} symbols x {_EACH} instances, per minute of all", everywhere * 1e3, "ms",
            against=f"{_rss():.0f} MiB in all"),
    ]  # fmt: skip


def _all(hosts: list[StrategyHost]) -> None:
    for seed, host in enumerate(hosts):
        for kline in _klines(host.key, seed, _KLINES):
            host.on_kline(kline)


def _specs(count: int) -> list[InstanceSpec]:
    made = []
    for n in range(count):
        name = _NAMES[n % len(_NAMES)]
        periods = {"fast": 3 + n % 20, "slow": 30 + n % 50}
        params = periods if name == "macd_cross" else {"period": 5 + n % 100}
        made.append(InstanceSpec(name=name, instance=f"{name}-{n}", params=params))
    return made


def _klines(key: str, seed: int, count: int) -> Iterator[Kline]:
    dice, price = random.Random(seed), 6_000_000
    for n in range(count):
        price += dice.randrange(-500, 501)
        yield Kline(
            key, interval("1m"), n * MINUTE_US, (n + 1) * MINUTE_US - 1, 2, 5,
            price, price + 50, price - 50, price + 10, 1000, 10**9, 5, 500, 5 * 10**8,
            n * 5, n * 5 + 4,
        )  # fmt: skip


def _rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB
