from __future__ import annotations

import threading
import time

import pytest

from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.store.objects.jobs import Job


def test_a_job_gives_its_result_or_its_error() -> None:
    pool = ThreadPool("jobs", 1)
    assert Job(pool, divmod, 7, 2).wait() == (3, 1)
    failing = Job(pool, divmod, 7, 0)
    with pytest.raises(ZeroDivisionError):
        failing.wait()
    assert failing.ended


def test_one_who_stops_waiting_sees_that_the_job_goes_on() -> None:
    job = Job(ThreadPool("jobs", 1), time.sleep, 0.05)
    with pytest.raises(OSError), green.deadline(0.01, TimeoutError("as the call might raise it")):
        job.wait()
    assert not job.ended
    ended = threading.Event()
    job.at_end(ended.set)
    assert not ended.is_set()
    assert ended.wait(5)


def test_at_the_end_is_at_once_when_the_job_has_ended() -> None:
    job = Job(ThreadPool("jobs", 1), int)
    job.wait()
    called: list[int] = []
    job.at_end(lambda: called.append(1))
    assert called == [1]
