"""What `bench.push` measures, as its three processes tell each other."""

from dataclasses import asdict, dataclass
from typing import Literal, cast

import orjson

from connectors.redis.keys import stream_key

Transport = Literal["sse", "ws"]

KEY = "binance:BTCUSDT"
EVENTS = stream_key(KEY, "signal")
VALUES = stream_key(KEY, "forming", "1m")
TOPIC = "klines/BTCUSDT/1m"
TOPICS = (TOPIC, "signals")


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: each round is an event and a value, both for every client.

    Attributes:
        clients: Those that read.
        stalled: Those that read nothing, beside them.
        rate: Rounds a second.
        seconds: Measured, after `warm` seconds that are not.
        transport: What clients are connected by.
        port: Of the API.
        url: Of Redis.
        run: What its rows are told from others' by.

    """

    clients: int = 200
    stalled: int = 0
    rate: float = 10.0
    seconds: float = 20.0
    transport: Transport = "sse"
    warm: float = 2.0
    port: int = 0
    url: str = ""
    run: str = "0"

    @property
    def skipped(self) -> int:
        """Rounds that are not measured, at the beginning."""
        return int(self.rate * self.warm)

    @property
    def rounds(self) -> int:
        """All rounds."""
        return self.skipped + max(1, int(self.rate * self.seconds))

    def text(self) -> str:
        """Return it as an argument of a process."""
        return orjson.dumps(asdict(self)).decode()

    @staticmethod
    def read(text: str) -> "Plan":
        """Return what was told so."""
        return Plan(**cast(dict[str, str], orjson.loads(text)))  # type: ignore[arg-type]  # fields of all types
