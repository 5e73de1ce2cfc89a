"""Captures of others, line by line, through a session."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.archive.lines import read_lines
from connectors.archive.names import detect
from core.exchange.plan import Plan
from core.exchange.session import Session
from core.market.events import Frame, Gap, Quarantined
from core.market.trades import Trades

Write = Callable[..., Path]
TRADE = '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":%d,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'  # noqa: E501 - one frame


def inputs(path: Path) -> list[Frame | Quarantined]:
    return [item for chunk in read_lines(detect(path), "binance:shard-0") for item in chunk]


def played(path: Path) -> list[object]:
    session = Session(Plan(repairs=False, any_symbol=True))
    out: list[object] = []
    for item in inputs(path):
        if isinstance(item, Frame):
            session.feed(item)
        else:
            out.append(item)
    return out + [item for _, item in session.items()]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", 0),
        ("1723161253937085768 ", 1723161253937085),
        ("1723161253937085 ", 1723161253937085),
        ("1723161253937: ", 1723161253937000),
        ("1723161253: ", 1723161253000000),
        ("1723161253.937085: ", 1723161253937085),
    ],
)
def test_a_receive_time_is_told_by_its_size(write: Write, prefix: str, expected: int) -> None:
    _, frame = inputs(write("a.ws", prefix + TRADE % 1))
    assert isinstance(frame, Frame)
    assert (frame.received_us, frame.link, frame.payload) == (expected, 1, TRADE % 1)


def test_what_stands_among_the_frames_is_named_by_file_and_line(write: Write) -> None:
    path = write(
        "a.ws",
        "wss://stream.binance.com/stream?streams=x <-> 1633998511.159",
        TRADE % 1,
        "{nonsense",
        '[{"id":28457,"price":"4.0"}]',
        '{"result":null,"id":1}',
        '{"e":"moonPhase"}',
        (TRADE % 2).replace('"61837.63000000"', "NaN"),
        TRADE % 2,
    )
    items = played(path)
    bad = [i for i in items if isinstance(i, Quarantined)]
    assert [i.source for i in bad] == [f"a.ws:{n}" for n in (3, 4, 5, 6, 7)]
    ids = [n for i in items if isinstance(i, Trades) for n in i.id.tolist()]
    assert ids == [1, 2]


def test_skipped_and_repeated_ids_are_a_gap_and_nothing(write: Write) -> None:
    items = played(write("a.ws", TRADE % 1, TRADE % 2, TRADE % 2, TRADE % 5))
    (gap,) = [i for i in items if isinstance(i, Gap)]
    assert (gap.first_id, gap.last_id) == (3, 4)
    assert [n for i in items if isinstance(i, Trades) for n in i.id.tolist()] == [1, 2, 5]


def test_a_capture_that_is_cut_off_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    whole = gzip.compress("".join(f"{TRADE % n}\n" for n in range(2000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    items = inputs(path)
    assert isinstance(items[-1], Quarantined)
    assert "cut off" in items[-1].reason
    assert len(items) > 100


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("cryptofeed/BINANCE.ws.1.0", 265),
        ("cryptofeed/BINANCE_US.ws.1.0", 480),
        ("cryptofeed/BINANCE_FUTURES.ws.1.0", 1535),
        ("ws-spot-2024-08/spot_btcusdt_20240808.gz", 41249),
        ("ws-spot-2024-08/spot_btcusdt_20240809.gz", 58325),
    ],
)
def test_recorded_captures_are_read_whole(data: Path, name: str, frames: int) -> None:
    found = [i for i in inputs(data / name) if isinstance(i, Frame) and i.kind == "frame"]
    assert len(found) == frames


def test_real_frames_of_binance_are_all_understood(data: Path) -> None:
    items = played(data / "cryptofeed/BINANCE.ws.1.0")
    assert not [i for i in items if isinstance(i, Quarantined)]
