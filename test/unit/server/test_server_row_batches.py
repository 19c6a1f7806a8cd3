"""Rows that change at the same time share a request, and none is lost with the one that sends it."""

import pytest

from objstore.runtime import green
from objstore.server.row_batches import MAX_ROWS, RowBatches


class Server:
    """Accepts rows after a while. requests: the names in each."""

    def __init__(self, seconds=0.01):
        self.seconds = seconds
        self.requests = []
        self.failing = None

    def send(self, rows):
        self.requests.append([row["name"] for row in rows])
        green.sleep(self.seconds)
        if self.failing is not None and self.failing in self.requests[-1]:
            raise RuntimeError("stopped")
        return {0: 202}


def deliver_all(batches, server, names, key="c"):
    threads = [green.spawn(batches.deliver, key, {"name": name}, server.send) for name in names]
    return [thread.wait() for thread in threads]


def test_a_row_alone_goes_at_once():
    server = Server()
    assert RowBatches().deliver("c", {"name": 1}, server.send) == {0: 202}
    assert server.requests == [[1]]


def test_rows_gather_while_others_are_sent():
    batches, server = RowBatches(), Server()
    assert deliver_all(batches, server, range(50)) == [{0: 202}] * 50
    assert server.requests == [[0], [*range(1, 50)]]
    assert not batches._gathering and not batches._sending
    deliver_all(batches, server, [50])
    assert server.requests[-1] == [50]


def test_rows_of_other_destinations_do_not_wait():
    batches, server = RowBatches(), Server(0.05)
    threads = [green.spawn(batches.deliver, key, {"name": key}, server.send) for key in range(10)]
    green.sleep(0.01)
    assert server.requests == [[key] for key in range(10)]
    for thread in threads:
        thread.wait()


def test_a_request_has_a_limit_of_rows():
    batches, server = RowBatches(), Server()
    count = 3 * MAX_ROWS
    deliver_all(batches, server, range(count))
    assert max(map(len, server.requests)) == MAX_ROWS
    assert sorted(name for names in server.requests for name in names) == [*range(count)]


def test_rows_do_not_wait_long_for_a_server_that_does_not_answer():
    batches, server = RowBatches(patience=0.02), Server(1.0)
    first = green.spawn(batches.deliver, "c", {"name": 1}, server.send)
    green.sleep(0)
    second = green.spawn(batches.deliver, "c", {"name": 2}, server.send)
    green.sleep(0.1)
    assert server.requests == [[1], [2]]
    assert [first.wait(), second.wait()] == [{0: 202}] * 2


def test_others_learn_that_their_sender_was_stopped():
    """They spool their rows then."""
    batches, server = RowBatches(), Server()
    server.failing = 1
    threads = [green.spawn(batches.deliver, "c", {"name": name}, server.send) for name in range(5)]
    assert threads[0].wait() == {0: 202}
    with pytest.raises(RuntimeError):
        threads[1].wait()
    assert [thread.wait() for thread in threads[2:]] == [{}] * 3
    assert deliver_all(batches, server, [7]) == [{0: 202}]


def test_a_sender_that_is_stopped_while_it_waits_lets_others_go():
    batches, server = RowBatches(), Server(0.05)
    threads = [green.spawn(batches.deliver, "c", {"name": name}, server.send) for name in range(4)]
    green.sleep(0.01)
    green.kill(threads[1])
    assert [threads[0].wait(), threads[2].wait(), threads[3].wait()] == [{0: 202}, {}, {}]
    assert server.requests == [[0]]
    assert deliver_all(batches, server, [9]) == [{0: 202}]
