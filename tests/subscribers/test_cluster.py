"""A Redis Cluster of two nodes: streams of several slots are read by one consumer."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster

from connectors.redis.binary import find_binary
from subscribers.consumer import Consumer
from subscribers.dead import dead_entries

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "DOGEBTC")


def free_port() -> int:
    # The bus listens 10,000 above, so both have to be in range.
    for _ in range(100):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        if port < 55_000:
            return port
    raise AssertionError("no port")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    nodes, ports = [], [free_port(), free_port()]
    for port in ports:
        folder: Path = tmp_path_factory.mktemp(f"node{port}")
        command = [
            str(find_binary().path), "--port", str(port), "--bind", "127.0.0.1",
            "--cluster-enabled", "yes", "--dir", str(folder), "--save", "", "--daemonize", "no",
            "--logfile", str(folder / "log"),
        ]  # fmt: skip
        nodes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    try:
        join(ports)
        yield f"redis://127.0.0.1:{ports[0]}/0"
    finally:
        for node in nodes:
            node.terminate()
            node.wait(20)


def join(ports: list[int]) -> None:
    clients: list[Any] = [redis.Redis(port=port, decode_responses=True) for port in ports]
    end = time.monotonic() + 30
    for client, (low, high) in zip(clients, ((0, 8191), (8192, 16383)), strict=True):
        while True:
            try:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", low, high)
                break
            except redis.ConnectionError:
                assert time.monotonic() < end
                time.sleep(0.02)
    clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", ports[1])
    while not all("cluster_state:ok" in told(client) for client in clients):
        assert time.monotonic() < end
        time.sleep(0.05)
    for client in clients:
        client.close()


def told(client: Any) -> str:  # noqa: ANN401 - redis-py has no types for this command
    facts = client.execute_command("CLUSTER", "INFO")
    return str(facts).replace("'", "").replace(": ", ":")


def test_streams_of_several_nodes_are_read_and_taken_over(cluster: str) -> None:
    names = [f"md:{{binance:{symbol}}}:trade" for symbol in SYMBOLS]
    with RedisCluster.from_url(cluster, decode_responses=True) as client:
        assert len({client.keyslot(name) // 8192 for name in names}) == 2
        for name in names:
            for n in range(1, 101):
                client.xadd(name, {"id": str(n)}, id=f"{n}-{n}")
        with Consumer(cluster, "g", name="dies", batch=50) as dies:
            held = dies.poll(5.0)
            assert held is not None
        seen: set[tuple[str, int]] = set()
        with Consumer(cluster, "g", name="heir", batch=80, min_idle=0.05) as heir:
            end = time.monotonic() + 20
            while len(seen) < 500:
                assert time.monotonic() < end, len(seen)
                batch = heir.poll(0.2)
                if batch is not None:
                    seen |= {(d.name, d.seq) for d in batch.entries}
                    if len(seen) == 500:
                        batch.bury(batch.entries[-1], "for the test")
                    batch.ack()
            assert [(lag.entries, lag.pending) for lag in heir.lag()] == [(0, 0)] * 5
            assert len(list(dead_entries(heir._link))) == 1
            client.xadd(names[0], {"id": "101"}, id="101-101")
            news = heir.poll(5.0)
            assert news is not None
            assert [d.seq for d in news.entries] == [101]
