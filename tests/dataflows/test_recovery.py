"""Whose a recovery store is, what is refused, what is said, and how one is made anew."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from bytewax.testing import TestingSource

from config.settings import Settings, load
from core.market.errors import ConfigError, ServiceError
from dataflows.main import Work, build
from dataflows.outputs import Outputs
from dataflows.recovery import (
    Fingerprint,
    accept,
    fingerprint,
    prepare_store,
    set_aside,
)
from dataflows.setup import kline_plan


def settings(**changes: object) -> Settings:
    return load(env={}, dotenv=None, overrides=changes)


def mark(own: Settings) -> Fingerprint:
    flow = build({"exchange": TestingSource([])}, Work(kline_plan(own), ()), Outputs())
    return fingerprint(own, flow)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return prepare_store(tmp_path / "recovery", settings())


def test_a_store_is_made_once_and_taken_again(store: Path) -> None:
    before = sorted(p.name for p in store.iterdir())
    assert len(before) == 8
    assert prepare_store(store, settings()) == store
    assert accept(store, mark(settings())) == []
    assert accept(store, mark(settings())) == []


@pytest.mark.parametrize(
    ("key", "changes", "said"),
    [
        ("binance.shards", {"binance": {"shards": 3}}, "is `3`, but"),
        ("lake.partitions", {"lake": {"partitions": 2}}, "made with `4`"),
        ("redis.partitions", {"redis": {"partitions": 2}}, "set it back to `1`"),
        ("binance.market", {"binance": {"market": "usdm"}}, "is `usdm`"),
        ("binance.feed", {"binance": {"feed": "aggTrade"}}, "made with `trade`"),
        ("binance.endpoint", {"binance": {"endpoint": "us"}}, "--fresh"),
    ],
)
def test_what_is_fixed_for_a_deployment_cannot_be_changed(
    store: Path, key: str, changes: dict[str, object], said: str
) -> None:
    accept(store, mark(settings()))
    with pytest.raises(ConfigError) as caught:
        accept(store, mark(settings(**changes)))
    assert caught.value.key == key
    assert said in str(caught.value)
    with pytest.raises(ConfigError, match="the recovery store"):
        prepare_store(store, settings(**changes))
    assert accept(store, mark(settings())) == []  # the refused one left no mark


def test_another_name_of_the_same_exchange_is_no_change(store: Path) -> None:
    accept(store, mark(settings()))
    assert accept(store, mark(settings(binance={"endpoint": "vision"}))) == []
    assert accept(store, mark(settings(symbols="DOGEBTC", klines={"intervals": "1m"}))) == []


def test_an_upgrade_says_what_begins_anew_and_is_then_known(store: Path) -> None:
    own = mark(settings())
    old = replace(
        own,
        version="0.0.9",
        snapshots=own.snapshots | {"klines": "klines-1"},
        steps=(*(s for s in own.steps if "strategies" not in s), "cryptotools.old"),
    )
    accept(store, old)
    assert accept(store, own) == [
        f"the recovery store is of version 0.0.9, this is {own.version}",
        "klines: the state was `klines-1`, is `klines-2`: it begins anew",
        "step cryptotools.strategies is new: it begins without state",
        "step cryptotools.old is gone: its state waits unused",
    ]
    assert accept(store, own) == []


def test_a_note_that_cannot_be_read_is_an_error_with_a_way_out(store: Path) -> None:
    (store / "store.json").write_text("{")
    with pytest.raises(ServiceError, match=r"store.json cannot be read .*\n?.*--fresh"):
        accept(store, mark(settings()))
    (store / "store.json").write_bytes(orjson.dumps({"version": "1"}))
    with pytest.raises(ServiceError, match="cannot be read"):
        accept(store, mark(settings()))


def test_a_damaged_file_is_named(store: Path) -> None:
    file = store / "part-3.sqlite3"
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    with pytest.raises(ServiceError, match=r"part-3.sqlite3 is damaged: .*\n.*--fresh") as caught:
        prepare_store(store, settings())
    assert caught.value.exit_code == 3
    file.write_bytes(b"no base at all" * 100)
    with pytest.raises(ServiceError, match=r"part-3.sqlite3 is damaged: file is not a database"):
        prepare_store(store, settings())


def test_a_missing_file_is_named(store: Path) -> None:
    (store / "part-5.sqlite3").unlink()
    with pytest.raises(ServiceError, match=r"part-5.sqlite3 is missing"):
        prepare_store(store, settings())


def test_fresh_moves_the_old_store_aside_and_deletes_nothing(store: Path) -> None:
    accept(store, mark(settings()))
    first = {p.name: p.read_bytes() for p in store.iterdir()}
    (store / "part-5.sqlite3").write_bytes(b"")
    prepare_store(store, settings(), fresh=True)
    prepare_store(store, settings(), fresh=True)  # within the same second
    asides = sorted(p for p in store.parent.iterdir() if p != store)
    assert len(asides) == 2
    kept = {p.name: p.read_bytes() for p in asides[0].iterdir()}
    assert kept == first | {"part-5.sqlite3": b""}
    assert accept(store, mark(settings(binance={"shards": 3}))) == []


def test_where_there_is_no_store_nothing_is_moved(tmp_path: Path) -> None:
    assert set_aside(tmp_path / "recovery") is None
    assert list(tmp_path.iterdir()) == []
