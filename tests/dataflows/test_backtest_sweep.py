"""Work over processes: in order, whatever the number; an error or a death ends all of them."""

import multiprocessing
import os
import threading
from dataclasses import dataclass

import pytest

from connectors.shutdown import STOP
from core.market.errors import FileError, ServiceError
from dataflows.backtest_sweep import cut, processes_for, sweep


@dataclass(frozen=True)
class Number:
    value: int
    weight: int = 1


def square(task: Number) -> tuple[int, int]:
    return task.value**2, os.getpid()


def bad(task: Number) -> int:
    if task.value == 3:
        raise FileError("three.csv", "is broken")
    return task.value


def dies(task: Number) -> int:
    os._exit(7 if task.value else 0)


def waits(task: Number) -> int:
    if task.value:
        threading.Event().wait()
    return 0


TASKS = [Number(n) for n in range(5)]


def test_answers_come_in_the_order_of_the_tasks() -> None:
    told: list[float] = []
    here = sweep(square, TASKS, 1, told=told.append)
    there = sweep(square, TASKS, 2, told=told.append)
    assert [value for value, _ in here] == [value for value, _ in there] == [0, 1, 4, 9, 16]
    assert {pid for _, pid in here} == {os.getpid()}
    assert len({pid for _, pid in there}) == 2
    assert told[-1] == 1.0


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_leaves_as_it_was(processes: int) -> None:
    with pytest.raises(FileError, match=r"three.csv: is broken"):
        sweep(bad, TASKS, processes)


def test_a_process_that_dies_is_named() -> None:
    with pytest.raises(ServiceError, match="ended with 7"):
        sweep(dies, TASKS, 2)


def test_the_stop_flag_ends_all_processes() -> None:
    # The first answer sets it; the other process would never come to an end.
    try:
        with pytest.raises(KeyboardInterrupt):
            sweep(waits, [Number(0), Number(1)], 2, told=lambda _: STOP.set())
    finally:
        STOP.clear()
    assert multiprocessing.active_children() == []


def test_all_instances_are_run_once() -> None:
    for count in (1, 2, 7, 200, 201, 999):
        for processes in (1, 2, 5):
            parts = cut(count, processes)
            assert [n for part in parts for n in part] == list(range(count))
            assert max(map(len, parts)) <= 200


def test_few_instances_or_little_data_are_not_worth_a_process() -> None:
    assert processes_for(3, None, 10**9) == 1
    assert processes_for(100, None, 1000) == 1
    assert processes_for(100, None, 10**9) == os.cpu_count()
