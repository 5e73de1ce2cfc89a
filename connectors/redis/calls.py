"""What is asked of the server-side functions that publish rows."""

from connectors.redis.codec import Row, Target
from connectors.redis.config import RedisConfig
from connectors.redis.keys import meta_key, stream_key
from connectors.redis.link import Argument, Command
from connectors.redis.outbox import Item


def by_stream(items: list[Item]) -> dict[Target, list[Row]]:
    """Return the rows of one instrument by the stream they belong to, each in order."""
    streams: dict[Target, list[Row]] = {}
    for target, row in items:
        streams.setdefault(target, []).append(row)
    return streams


def publish_call(
    config: RedisConfig, key: str, generation: str, streams: dict[Target, list[Row]]
) -> Command:
    """Return the call that adds rows of one instrument, as the writer of a generation."""
    arguments: list[Argument] = [generation]
    for target, rows in streams.items():
        arguments.append(config.keep_forming if target.kind == "forming" else config.keep)
        arguments.append("" if config.retention_ms is None else config.retention_ms)
        arguments.append(f"[{','.join(rows)}]")
    names = [stream_key(key, *target) for target in streams]
    return ("FCALL", "ct_pub_3", 1 + len(names), meta_key(key), *names, *arguments)
