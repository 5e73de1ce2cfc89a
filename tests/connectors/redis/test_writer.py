"""Publishing each record once, in order, where it belongs; on a real server."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from connectors.redis.config import RedisConfig
from connectors.redis.keys import REGISTRY, meta_key, stream_key
from connectors.redis.writer import Writer
from core.market.errors import ConfigError, ServiceError
from core.market.events import Gap, Quarantined
from core.market.intervals import interval
from core.market.kline import Kline, Status
from core.market.signal import Side, Signal
from core.market.trades import Trades
from telemetry import metrics

KEY = "binance:BTCUSDT"
OTHER = "binance:ETHUSDT"
TRADES = stream_key(KEY, "trade")
Make = Callable[..., Writer]
Some = Callable[..., Trades]


def entries(client: redis.Redis, name: str = TRADES) -> list[tuple[str, dict[str, str]]]:
    found: Any = client.xrange(name)
    return list(found)


def ids(client: redis.Redis, name: str = TRADES) -> list[int]:
    return [int(fields["id"]) for _, fields in entries(client, name)]


def test_a_trade_is_a_readable_entry_whose_id_is_its_time_and_number(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    writer().publish([trades(7, 8)])
    (first_id, first), (_, second) = entries(client)
    assert first_id == "1723161600010-7"
    assert first == {
        "id": "7", "time_us": "1723161600010500", "price": "61837.63", "quantity": "0.02001",
        "taker": "buy",
    }  # fmt: skip
    assert second["taker"] == "sell"


def test_rows_sent_again_are_dropped_by_the_server_and_counted(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    published = metrics.total(metrics.PUBLISHED, kind="trade")
    known = metrics.total(metrics.PUBLISH_DUPLICATES, kind="trade")
    writer().publish([trades(1, 600)])
    writer().publish([trades(300, 1200)])
    assert ids(client) == list(range(1, 1201))
    assert metrics.total(metrics.PUBLISHED, kind="trade") - published == 1200
    assert metrics.total(metrics.PUBLISH_DUPLICATES, kind="trade") - known == 301


def test_a_stream_keeps_about_so_many(client: redis.Redis, writer: Make, trades: Some) -> None:
    writer(keep=100).publish([trades(1, 5000)])
    assert 100 <= client.xlen(TRADES) <= 300
    assert ids(client)[-1] == 5000


def test_a_stream_keeps_about_so_long(client: redis.Redis, writer: Make, trades: Some) -> None:
    writer(retention_ms=1500).publish([trades(1, 5000)])  # 1.5 ms apart
    assert 1000 <= client.xlen(TRADES) <= 1200


def test_ids_beyond_doubles_stay_exact(client: redis.Redis, writer: Make, trades: Some) -> None:
    big = 2**53 + 1
    writer().publish([trades(big, big + 2)])
    assert ids(client) == [big, big + 1, big + 2]


def test_time_that_steps_back_does_not_lose_a_row(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    later, earlier = trades(1, 3), trades(4, 6)
    earlier.time_us[:] -= 10_000_000
    writer().publish([later, earlier])
    assert ids(client) == [1, 2, 3, 4, 5, 6]


def test_a_writer_that_was_replaced_is_fenced_off(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    old, new = writer(), writer()
    old.publish([trades(1, 3)])
    new.publish([trades(4, 6)])
    with pytest.raises(ServiceError, match="FENCED"):
        old.publish([trades(7, 9)])
    assert ids(client) == [1, 2, 3, 4, 5, 6]
    assert client.hget(meta_key(KEY), "generation") == "2"


def test_another_instrument_is_not_fenced_by_a_replaced_one(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    old, new = writer(), writer()
    old.publish([trades(1, 3), trades(1, 3, OTHER)])
    new.publish([trades(4, 6)])
    with pytest.raises(ServiceError, match="FENCED"):
        old.publish([trades(4, 6), trades(4, 6, OTHER)])
    assert ids(client, stream_key(OTHER, "trade")) == [1, 2, 3, 4, 5, 6]


def kline(seq: int, status: Status = Status.FINAL, revision: int = 0, minute: int = 0) -> Kline:
    opens = 1_723_161_600_000_000 + minute * 60_000_000
    return Kline(
        KEY, interval("1m"), opens, opens + 59_999_999, 2, 5,
        6183763, 6183800, 6183700, 6183763, 2000, 12367526000, 1, 0, 0, 7, 7, status,
        revision=revision, seq=seq,
    )  # fmt: skip


def test_every_kind_of_record_has_its_stream(client: redis.Redis, writer: Make) -> None:
    writer().publish(
        [
            kline(5 << 20),
            kline(6 << 20, Status.FORMING),
            Signal(KEY, interval("1m"), "rsi_reversal", "rsi", Side.LONG, 0, 59_999_999, "61837.63",
                   "rsi 31.2 left oversold", (("rsi", 31.25),), seq=7 << 20),
            Gap(KEY, 1_000_000, 8 << 20, 3, 4, "gone"),
            Quarantined("binance:shard-0", 1_000_000, 1, "not JSON", "link 1", "{"),
        ]
    )  # fmt: skip
    (_, closed) = entries(client, stream_key(KEY, "kline", "1m"))[0]
    assert (closed["close"], closed["quote_volume"], closed["status"]) == (
        "61837.63", "1236.7526", "final",
    )  # fmt: skip
    (_, forming) = entries(client, stream_key(KEY, "forming", "1m"))[0]
    assert forming["status"] == "forming"
    (_, said) = entries(client, stream_key(KEY, "signal"))[0]
    assert (said["side"], said["values"]) == ("long", '{"rsi":31.25}')
    (_, gap) = entries(client, stream_key(KEY, "event"))[0]
    assert gap == {"kind": "gap", "time_us": "1000000", "seq": str(8 << 20), "first_id": "3",
                   "last_id": "4", "reason": "gone"}  # fmt: skip
    (_, bad) = entries(client, stream_key("binance:shard-0", "quarantine"))[0]
    assert bad["payload"] == "{"
    assert client.scard(REGISTRY) == 5


def test_a_revision_of_an_older_kline_comes_after_newer_ones(
    client: redis.Redis, writer: Make
) -> None:
    writer().publish([kline(1), kline(2, minute=1), kline(3, revision=1)])
    found = entries(client, stream_key(KEY, "kline", "1m"))
    assert [(fields["seq"], fields["revision"]) for _, fields in found] == [
        ("1", "0"), ("2", "0"), ("3", "1"),
    ]  # fmt: skip


def test_numbers_that_do_not_rise_are_an_error_in_words(
    client: redis.Redis, writer: Make, trades: Some, caplog: pytest.LogCaptureFixture
) -> None:
    one = writer()
    one.publish([trades(1, 10)])
    one.publish([trades(1, 10)])
    one.publish([trades(1, 10)])
    (said,) = [r.getMessage() for r in caplog.records]
    assert "10 rows" in said
    assert "do not rise" in said


@pytest.mark.parametrize("url", [None, "none", "ftp://there"])
def test_an_address_that_cannot_be_one_is_refused(url: str | None, trades: Some) -> None:
    with pytest.raises(ConfigError, match=r"redis\.url"):
        Writer(RedisConfig(url=url)).publish([trades(1, 2)])


def test_an_answer_is_heard_when_it_has_come_and_nobody_waits_for_it(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    own = writer()
    own.listen()  # nothing is on its way
    own.publish([trades(1, 5)])
    own.publish([trades(6, 9)], wait=False)
    assert own.backlog == 4  # told, but not answered
    deadline = time.monotonic() + 10
    while own.backlog and time.monotonic() < deadline:
        own.listen()
    assert own.backlog == 0
    own.listen()
    assert ids(client) == list(range(1, 10))


def test_a_link_that_breaks_while_an_answer_is_awaited_loses_nothing(
    client: redis.Redis, writer: Make, trades: Some
) -> None:
    own = writer()
    own.publish([trades(1, 5)])
    own.publish([trades(6, 9)], wait=False)
    client.client_kill_filter(_type="normal", skipme=True)
    deadline = time.monotonic() + 10
    while own.backlog and time.monotonic() < deadline:
        own.listen()
        own.publish([])
    assert ids(client) == list(range(1, 10))
