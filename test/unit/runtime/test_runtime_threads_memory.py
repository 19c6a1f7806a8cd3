"""What a call in a thread raised must not keep what it worked with in memory until a collection."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from objstore.runtime import green
from objstore.runtime.threads import Batcher, ThreadPool


class Large:
    """What a caller holds while it waits."""


@pytest.fixture(autouse=True)
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fail(*_: Any) -> None:
    raise ValueError("no")


def fail_all(items: list[Any]) -> list[Any]:
    raise ValueError("no")


def run_started(pool: ThreadPool, wait: float) -> None:
    finish = pool.start(fail)
    green.sleep(wait)
    finish()


POOL = ThreadPool("test", 1)
MAKERS: dict[str, Callable[[], Any]] = {
    "run in a pool": lambda: POOL.run(fail),
    "run in a pool that lets go": lambda: ThreadPool("lets go", 1, 5.0, lets_go=True).run(fail),
    "ended before it was waited for": lambda: run_started(POOL, 0.05),
    "one of a batch": lambda: Batcher("batch", lambda items: [ValueError("no") for _ in items]).run(1),
    "a batch": lambda: Batcher("batch", fail_all).run(1),
}


@pytest.mark.parametrize("call", MAKERS.values(), ids=MAKERS.keys())
def test_failed_call_frees_what_its_caller_held(call: Callable[[], Any]) -> None:
    def caller() -> weakref.ref[Large]:
        held = Large()
        reference = weakref.ref(held)
        with pytest.raises(ValueError):
            call()
        return reference

    reference = caller()
    POOL.run(int)  # lets go of the call before
    assert reference() is None


def test_killed_green_thread_frees_what_it_held() -> None:
    # eventlet keeps the error that ends a thread, whose frames refer to the thread.
    references = []

    def work() -> None:
        held = Large()
        references.append(weakref.ref(held))
        green.sleep(10)

    thread = green.spawn(work)
    green.sleep()
    thread.kill()
    assert thread.wait() is None
    del thread
    assert references[0]() is None
