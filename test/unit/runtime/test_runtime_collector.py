from __future__ import annotations

import weakref

from objstore.runtime import collector, green


class Ring:
    def __init__(self) -> None:
        self.itself = self


def test_objects_that_refer_to_each_other_are_freed_by_the_clock() -> None:
    ring = weakref.ref(Ring())
    collecting = green.spawn(collector.collect_every, 0.01)
    for _ in range(1000):  # a busy machine comes to it late
        green.sleep(0.01)
        if ring() is None:
            break
    green.kill(collecting)
    assert ring() is None


def test_collections_take_no_more_than_a_hundredth_of_the_time() -> None:
    assert collector.pause_after(0.01, 10.0) == 10.0
    assert collector.pause_after(0.5, 10.0) == 50.0


def test_a_collection_that_took_long_is_repeated_within_ten_intervals() -> None:
    # One of 0.7 s, on a busy machine, put the next one off by more than a minute.
    assert collector.pause_after(0.7, 2.0) == 20.0
