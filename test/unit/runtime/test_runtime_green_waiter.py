"""A green thread that waits for others is woken once, soon or after a while."""

import time

from objstore.runtime import green


def test_a_wait_ends_when_it_is_woken():
    waiter = green.Waiter()
    green.start(waiter.wake)
    began = time.monotonic()
    waiter.wait(30.0)
    assert time.monotonic() - began < 10.0


def test_a_wait_that_nobody_ends_ends_after_its_time():
    began = time.monotonic()
    green.Waiter().wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_a_waker_may_leave_some_time_to_others():
    waiter = green.Waiter()
    green.start(waiter.wake, 0.05)
    began = time.monotonic()
    waiter.wait(30.0)
    assert 0.05 <= time.monotonic() - began < 10.0


def test_one_who_no_longer_waits_is_not_woken_elsewhere():
    waiter = green.Waiter()
    waiter.wait(0.01)
    waiter.wake()
    began = time.monotonic()
    green.sleep(0.2)
    assert time.monotonic() - began >= 0.2
