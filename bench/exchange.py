"""A simulated exchange for measuring: ``python -m bench.exchange settings.json``."""

import asyncio
import signal
import sys
from decimal import Decimal
from pathlib import Path

import orjson

from simulator.config import SYMBOLS, LimitSettings, MarketSettings, SimulatorSettings
from simulator.server import Exchange, serve


def settings(rate: float) -> SimulatorSettings:
    """Return three symbols of `rate` trades a second each, in the present."""
    symbols = tuple(
        s.model_copy(update={"rate": rate, "burst": 0.0, "notional": Decimal(500)})
        for s in SYMBOLS[:3]
    )
    return SimulatorSettings(
        market=MarketSettings(symbols=symbols, history=2.0, start="now"),
        limits=LimitSettings(messages=None, weight=None),
        overflow="wait",
    )


async def main(rate: float) -> None:
    """Serve until SIGTERM; print the addresses first."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def started(exchange: Exchange) -> None:
        line = orjson.dumps({"ws": exchange.ws_url, "rest": exchange.rest_url})
        sys.stdout.write(line.decode() + "\n")
        sys.stdout.flush()

    await serve(settings(rate), started=started, stop=stop)


if __name__ == "__main__":
    asyncio.run(main(float(orjson.loads(Path(sys.argv[1]).read_bytes())["rate"])))
