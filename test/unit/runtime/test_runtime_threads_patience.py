"""Pools that work for a device which does not answer any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from objstore.core.errors import DeviceUnavailable
from objstore.runtime import green
from objstore.runtime.threads import Batcher, ThreadPool

PATIENCE = 0.3


def refused(call: object) -> bool:
    try:
        call()  # type: ignore[operator]
    except DeviceUnavailable:
        return True
    return False


def run_when_taken(pool: ThreadPool) -> object:
    give_up = time.monotonic() + 10
    while True:
        try:
            return pool.run(int)
        except DeviceUnavailable:
            assert time.monotonic() < give_up
            green.sleep(0.01)


def test_a_pool_whose_threads_are_all_stuck_refuses_further_calls_until_one_ends() -> None:
    pool = ThreadPool("disk", 2, patience=PATIENCE)
    stuck = threading.Event()
    waits = [green.spawn(pool.run, stuck.wait) for _ in range(2)]
    green.sleep(0)
    early = green.spawn(pool.run, int)  # within the patience it is taken
    green.sleep(2 * PATIENCE)
    with pytest.raises(DeviceUnavailable):
        pool.run(int)
    stuck.set()
    assert early.wait() == 0
    assert all(wait.wait() for wait in waits)
    assert pool.run(int) == 0


def test_those_who_wait_are_let_go_where_that_is_wanted_and_the_call_ends_by_itself() -> None:
    pool = ThreadPool("p", 1, PATIENCE, lets_go=True)
    gate = threading.Event()
    began = time.monotonic()
    with pytest.raises(DeviceUnavailable):
        pool.run(gate.wait)
    assert PATIENCE <= time.monotonic() - began < 10 * PATIENCE
    with pytest.raises(DeviceUnavailable):
        pool.run(int)
    gate.set()
    assert run_when_taken(pool) == 0


def test_those_who_wait_while_other_calls_end_are_not_let_go() -> None:
    pool = ThreadPool("p", 1, PATIENCE, lets_go=True)
    waits = [green.spawn(pool.run, time.sleep, PATIENCE / 2) for _ in range(6)]
    assert [wait.wait() for wait in waits] == [None] * 6


def test_one_stuck_thread_of_several_does_not_stop_the_others() -> None:
    pool = ThreadPool("disk", 2, patience=PATIENCE)
    stuck = threading.Event()
    wait = green.spawn(pool.run, stuck.wait)
    green.sleep(2 * PATIENCE)
    assert [pool.run(abs, -number) for number in range(5)] == list(range(5))
    stuck.set()
    assert wait.wait()


def test_a_pool_at_work_for_long_goes_on_while_calls_end() -> None:
    pool = ThreadPool("disk", 1, patience=PATIENCE)
    slow = [green.spawn(pool.run, threading.Event().wait, PATIENCE / 3) for _ in range(9)]
    green.sleep(2 * PATIENCE)
    assert not refused(lambda: pool.run(int))
    for wait in slow:
        wait.wait()


def test_a_pool_that_was_idle_for_long_is_not_taken_for_stuck() -> None:
    pool = ThreadPool("disk", 1, patience=PATIENCE)
    assert pool.run(int) == 0
    green.sleep(2 * PATIENCE)
    waits = [green.spawn(pool.run, int) for _ in range(3)]
    assert [wait.wait() for wait in waits] == [0, 0, 0]


def test_a_batcher_whose_batch_does_not_end_refuses_further_items() -> None:
    stuck = threading.Event()

    def run_batch(items: list[int]) -> Sequence[int]:
        stuck.wait()
        return items

    batcher = Batcher("commit", run_batch, patience=PATIENCE)
    wait = green.spawn(batcher.run, 1)
    green.sleep(2 * PATIENCE)
    with pytest.raises(DeviceUnavailable):
        batcher.run(2)
    stuck.set()
    assert wait.wait() == 1
    assert batcher.run(3) == 3


def test_one_call_that_takes_too_long_is_left_while_others_go_on() -> None:
    pool = ThreadPool("p", 2, 60.0)
    gate = threading.Event()
    with pytest.raises(DeviceUnavailable, match="longer than"):
        pool.run_within(0.1, gate.wait)
    assert pool.run_within(0.1, int) == 0
    gate.set()


def test_what_nobody_waits_for_is_done_on_a_stuck_device_too_in_the_end() -> None:
    pool = ThreadPool("p", 1, PATIENCE)
    gate, done = threading.Event(), threading.Event()
    stuck = green.spawn(pool.run, gate.wait)
    green.sleep(2 * PATIENCE)
    pool.later(done.set)
    gate.set()
    stuck.wait()
    assert done.wait(10)
