"""Locks that processes share: one holder at a time, none after death, none by inheritance."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.runtime.number_locks import MOST, NumberLocks


def forked(work: Callable[[], object]) -> int:
    """Run in a process of its own; its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(0)


def count_up(locks: NumberLocks, counter: Path, times: int) -> None:
    for _ in range(times):
        locks.acquire(7)
        counter.write_text(str(int(counter.read_text()) + 1))
        locks.release(7)


def test_processes_take_turns(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    locks = NumberLocks(f"{tmp_path}/leases/.locks")
    locks.acquire(7)  # what is inherited must not count as held
    children = [forked(lambda: count_up(locks, counter, 300)) for _ in range(3)]
    time.sleep(0.05)
    assert counter.read_text() == "0"
    locks.release(7)
    count_up(NumberLocks(f"{tmp_path}/leases/.locks"), counter, 300)
    for child in children:
        os.waitpid(child, 0)
    assert counter.read_text() == "1200"


def test_threads_with_objects_of_their_own_take_turns(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    path = f"{tmp_path}/leases/.locks"
    threads = [threading.Thread(target=count_up, args=(NumberLocks(path), counter, 300)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "900"


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path = f"{tmp_path}/leases/.locks"
    ready, told = os.pipe()

    def hold() -> None:
        NumberLocks(path).acquire(3)
        locks = NumberLocks(path)
        locks.acquire(4)
        os.write(told, b"x")
        time.sleep(60)

    child = forked(hold)
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    locks = NumberLocks(path)
    locks.acquire(4)
    locks.release(4)


@pytest.mark.parametrize("other", [0, 8, MOST - 1])
def test_numbers_do_not_stand_in_each_others_way(tmp_path: Path, other: int) -> None:
    first, second = (NumberLocks(f"{tmp_path}/leases/.locks") for _ in range(2))
    first.acquire(7)
    second.acquire(other)
    second.release(other)
    first.release(7)


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "leases" / ".locks"
    first = NumberLocks(str(path), lambda: now)
    first.acquire(1)
    first.release(1)
    path.unlink()
    second = NumberLocks(str(path))
    second.acquire(1)
    now = 2.0
    first.acquire(2)
    first.release(2)
    assert os.path.samestat(os.stat(path), os.fstat(first._fd))
    second.release(1)


def test_a_number_that_another_holds_is_not_waited_for(tmp_path: Path) -> None:
    one, two = NumberLocks(str(tmp_path / "locks")), NumberLocks(str(tmp_path / "locks"))
    assert one.try_acquire(3)
    assert not two.try_acquire(3)
    one.release(3)
    assert two.try_acquire(3)
