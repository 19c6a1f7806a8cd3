"""A green thread that dies of its call's error takes nobody with it."""

from __future__ import annotations

import pytest

from objstore.runtime import green
from objstore.runtime.threads import Batcher, ThreadPool


def fail(number: int) -> int:
    if number % 2:
        raise KeyError(number)
    return number


@pytest.mark.parametrize("what", ["pool", "batcher"])
def test_calls_go_on_after_a_green_thread_died_of_its_error(what: str) -> None:
    """The error reached the event loop, which then stopped listening for calls that end."""
    pool = ThreadPool("t", 2)
    batcher = Batcher("t", lambda items: [KeyError(item) if item % 2 else item for item in items])

    def call(number: int) -> int:
        answer: int = pool.run(fail, number) if what == "pool" else batcher.run(number)
        return answer

    threads = [green.spawn(call, number) for number in range(6)]
    with green.deadline(5, TimeoutError("a waiter was not woken")):
        for number, thread in enumerate(threads):
            if number % 2:
                with pytest.raises(KeyError):
                    thread.wait()
            else:
                assert thread.wait() == number
        assert call(8) == 8
