"""Recorded trades as a market: what is in the file is what is traded."""

import csv
import gzip
import io
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.market import schemas
from core.market.errors import FileError
from simulator.config import SYMBOLS, MarketSettings, RecordedSettings, SimulatorSettings
from simulator.klines import KlineOracle
from simulator.local import Simulator
from simulator.recorded import read_tape
from simulator.synthetic import SyntheticTape
from simulator.tape import SECOND_US, Trade
from simulator.wire import decimal_text

DATA = Path(__file__).parents[3] / "shared" / "data"
BEGIN = 1_767_614_400 * SECOND_US


def made(seconds: int = 90) -> list[Trade]:
    tape = SyntheticTape(SYMBOLS[1], seed=5, begin_us=BEGIN)
    return tape.trades(0, BEGIN + seconds * SECOND_US, 10**6)


def rows_of(trades: list[Trade], unit: int = 1) -> str:
    return "".join(
        f"{t.id},{decimal_text(t.price)},{decimal_text(t.quantity)},0,{t.time_us // unit},"
        f"{t.buyer_is_maker},True\n"
        for t in trades
    )


HEADER = "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match\n"


@pytest.mark.parametrize("header", ["", HEADER], ids=["bare", "header"])
@pytest.mark.parametrize("packed", [False, True], ids=["csv", "zip"])
def test_a_trades_file_gives_its_trades(tmp_path: Path, header: str, packed: bool) -> None:
    trades, path = made(), tmp_path / "ETHUSDT-trades-2026-01-05.csv"
    path.write_text(header + rows_of(trades))
    if packed:
        target = path.with_suffix(".zip")
        with zipfile.ZipFile(target, "w") as archive:
            archive.write(path, path.name)
        path = target
    symbol, tape = read_tape(path)
    assert symbol == "ETHUSDT"
    assert tape.trades(0, trades[-1].time_us + 1, 10**6) == trades
    assert tape.grids() == (Decimal("0.01"), Decimal("0.0001"))


def test_files_in_milliseconds_out_of_order_and_with_doubles_are_put_right(tmp_path: Path) -> None:
    trades, path = made(30), tmp_path / "x.csv"
    path.write_text(rows_of(trades[::-1] + trades[:5], unit=1000))
    _, tape = read_tape(path, "ETHUSDT")
    expected = [t._replace(time_us=t.time_us // 1000 * 1000) for t in trades]
    assert tape.trades(0, trades[-1].time_us + 1, 10**6) == expected


def test_aggregates_and_positions_of_a_recording_are_those_of_the_market(tmp_path: Path) -> None:
    original = SyntheticTape(SYMBOLS[1], seed=5, begin_us=BEGIN)
    trades, path = made(), tmp_path / "x.csv"
    path.write_text(rows_of(trades))
    _, tape = read_tape(path, "ETHUSDT")
    end = trades[-1].time_us + 1
    mine, theirs = tape.aggregates(0, end, 10**6), original.aggregates(0, end, 10**6)
    # Two orders of one microsecond, price and side cannot be told apart in a file.
    assert len(theirs) * 0.95 < len(mine) <= len(theirs)
    assert {a.first_id for a in mine} <= {a.first_id for a in theirs}
    for position in (0, 7, len(trades) - 1):
        assert tape.position_of(trades[position].id) == position
        assert tape.trades(position, end, 2) == trades[position : position + 2]
        at = trades[position].time_us
        assert tape.count_before(at) == original.count_before(at)
        assert tape.price_before(at) == original.price_before(at)


def test_a_lake_folder_gives_its_trades(tmp_path: Path) -> None:
    trades = made()
    folder = tmp_path / "exchange=binance" / "symbol=ETHUSDT" / "date=2026-01-05"
    folder.mkdir(parents=True)
    for part in (trades[:200], trades[200:]):
        table = pa.table(
            {
                "id": [t.id for t in part],
                "time": pa.array([t.time_us for t in part], pa.timestamp("us", tz="UTC")),
                "price": [Decimal(t.price).scaleb(-8).quantize(Decimal("0.01")) for t in part],
                "quantity": [
                    Decimal(t.quantity).scaleb(-8).quantize(Decimal("0.0001")) for t in part
                ],
                "buyer_is_maker": [t.buyer_is_maker for t in part],
                "repaired": [False] * len(part),
            },
            schema=schemas.trades(2, 4),
        )
        pq.write_table(table, folder / f"part-{part[0].id}.parquet", store_decimal_as_integer=True)
    symbol, tape = read_tape(folder)
    assert symbol == "ETHUSDT"
    assert tape.trades(0, trades[-1].time_us + 1, 10**6) == trades


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("BTCUSDT-trades-1.csv", "1,2,3\n", "3 columns"),
        ("BTCUSDT-trades-1.csv", "1,a,3,4,5,True,True\n", "cannot be read"),
        ("BTCUSDT-trades-1.csv", HEADER, "holds no trade"),
        ("BTCUSDT-trades-1.csv", "1,1,1,1,2000,True,True\n2,1,1,1,1000,True,True\n", "time falls"),
        ("BTCUSDT-trades-1.csv", "1,1,99999999999,1,2000,True,True\n", "beyond 64 bits"),
        ("trades.csv", "1,1,1,1,2000,True,True\n", "no symbol"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, text: str, why: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FileError, match=why) as error:
        read_tape(path)
    assert name in str(error.value)


def test_a_recording_is_served_from_its_first_second(tmp_path: Path) -> None:
    trades, path = made(), tmp_path / "ETHUSDT-trades-2026-01-05.csv"
    path.write_text(rows_of(trades))
    market = MarketSettings(recorded=(RecordedSettings(path=path),))
    with Simulator(SimulatorSettings(market=market, speed=1000.0)) as sim:
        assert sim.start_us == trades[0].time_us // (10 * SECOND_US) * 10 * SECOND_US


@pytest.mark.skipif(not DATA.exists(), reason="the recorded data is not here")
def test_klines_of_recorded_trades_equal_the_exchange_s_own(tmp_path: Path) -> None:
    lines = []
    for day in "89":
        with gzip.open(DATA / "ws-spot-2024-08" / f"spot_btcusdt_2024080{day}.gz", "rt") as file:
            for line in file:
                data = json.loads(line.split(" ", 1)[1]).get("data", {})
                if data.get("e") == "trade":
                    values = (data["t"], data["p"], data["q"], 0, data["T"], data["m"], True)
                    lines.append(",".join(map(str, values)))
    path = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    path.write_text("\n".join(lines) + "\n")
    official = DATA / "kl-spot-2024-08" / "BTCUSDT_official_1m_2354-0005.csv"
    _, tape = read_tape(path)
    end = tape.begin_us + 900 * SECOND_US
    klines = KlineOracle(tape).klines("1m", 0, end, until_us=end, limit=100)
    ours = {
        k.open_us // 1000: [decimal_text(v) for v in (*k.bar[:4], k.bar.volume)] for k in klines
    }
    rows = list(csv.reader(io.StringIO(official.read_text())))
    compared = 0
    for row in rows:
        if row[0].isdigit() and int(row[0]) in ours:
            expected = [Decimal(v) for v in row[1:6]]
            compared += [Decimal(v) for v in ours[int(row[0])]] == expected
    assert compared == 10
