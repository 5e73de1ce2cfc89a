"""A simulated exchange for measuring: ``python -m bench.exchange settings.json``."""

import asyncio
import signal
import sys
from decimal import Decimal
from pathlib import Path

import orjson

from simulator.config import SYMBOLS, LimitSettings, MarketSettings, SimulatorSettings
from simulator.server import Exchange, serve


def settings(rate: float, history: float) -> SimulatorSettings:
    """Return three symbols of `rate` trades a second each, with so many seconds of past."""
    symbols = tuple(
        s.model_copy(update={"rate": rate, "burst": 0.0, "notional": Decimal(500)})
        for s in SYMBOLS[:3]
    )
    return SimulatorSettings(
        market=MarketSettings(symbols=symbols, history=history, start="now"),
        limits=LimitSettings(messages=None, weight=None),
        overflow="wait",
    )


async def main(rate: float, history: float) -> None:
    """Serve until SIGTERM; print the addresses first."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def started(exchange: Exchange) -> None:
        line = orjson.dumps({"ws": exchange.ws_url, "rest": exchange.rest_url})
        sys.stdout.write(line.decode() + "\n")
        sys.stdout.flush()

    await serve(settings(rate, history), started=started, stop=stop)


if __name__ == "__main__":
    wanted = orjson.loads(Path(sys.argv[1]).read_bytes())
    asyncio.run(main(float(wanted["rate"]), float(wanted["history"])))
