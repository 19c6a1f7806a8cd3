"""Items that are given to a batcher together have each an outcome of its own."""

from __future__ import annotations

from collections.abc import Sequence

from objstore.runtime import green
from objstore.runtime.threads import Batcher


def halves(numbers: Sequence[int]) -> list[object]:
    return [number // 2 if number % 2 == 0 else ValueError(number) for number in numbers]


def test_outcomes_are_in_the_order_of_items_whatever_the_batches() -> None:
    batcher = Batcher("test", halves, most=3)
    outcomes = batcher.run_all(range(10))
    assert outcomes[::2] == [0, 1, 2, 3, 4]
    assert [type(each) for each in outcomes[1::2]] == [ValueError] * 5
    assert batcher.run_all([]) == []


def test_a_batch_that_fails_is_the_outcome_of_all_its_items() -> None:
    def fail(items: Sequence[object]) -> list[object]:
        raise OSError(5, "Input/output error")

    assert [type(each) for each in Batcher("test", fail).run_all([1, 2])] == [OSError, OSError]


def test_others_run_while_all_are_awaited() -> None:
    batcher = Batcher("test", halves)
    results: list[list[object]] = []
    threads = [green.spawn(lambda: results.append(batcher.run_all([2, 4]))) for _ in range(5)]
    for thread in threads:
        thread.wait()
    assert results == [[1, 2]] * 5
