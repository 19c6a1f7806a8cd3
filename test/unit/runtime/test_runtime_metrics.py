"""Metrics: what one process counts, what many count together."""

import logging
import os
import time

import pytest

from objstore.runtime import metrics
from objstore.runtime.metrics import Metrics

LOGGER = logging.getLogger("test")


def lines_of(rendered: bytes) -> dict[str, float]:
    pairs = [line.rsplit(" ", 1) for line in rendered.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_a_counter_without_labels():
    registry = Metrics(LOGGER)
    hits = registry.counter("hits_total", "Hits.")
    hits.inc()
    hits.inc(2.5)
    assert lines_of(registry.render()) == {"hits_total": 3.5}


def test_label_values_are_kept_apart():
    registry = Metrics(LOGGER)
    requests = registry.counters("requests_total", "Requests.", ("method", "status"))
    requests["GET", 200].inc()
    requests["GET", 200].inc()
    requests["PUT", 201].inc()
    assert lines_of(registry.render()) == {
        'requests_total{method="GET",status="200"}': 2,
        'requests_total{method="PUT",status="201"}': 1,
    }


def test_histogram_buckets_are_cumulative_and_bounds_inclusive():
    registry = Metrics(LOGGER)
    latency = registry.histograms("latency_seconds", "Latency.", bounds=(0.1, 1.0))[()]
    for value in (0.05, 0.1, 0.5, 7.0):
        latency.observe(value)
    told = lines_of(registry.render())
    assert told['latency_seconds_bucket{le="0.1"}'] == 2
    assert told['latency_seconds_bucket{le="1.0"}'] == 3
    assert told['latency_seconds_bucket{le="+Inf"}'] == 4
    assert told["latency_seconds_count"] == 4
    assert abs(told["latency_seconds_sum"] - 7.65) < 1e-9


def test_workers_of_a_directory_are_summed_up(tmp_path):
    first, second = Metrics(LOGGER, str(tmp_path)), Metrics(LOGGER, str(tmp_path))
    first.counters("a_total", "A.", ("x",))["1"].inc()
    second.counter("b_total", "B.").inc()
    second.counters("a_total", "A.", ("x",))["1"].inc(2)
    first.publish()
    second.publish()
    assert lines_of(first.render()) == lines_of(second.render()) == {'a_total{x="1"}': 3, "b_total": 1}


def test_counters_of_an_ended_worker_stay_and_its_gauges_go(tmp_path):
    child = os.fork()
    if child == 0:
        try:
            registry = Metrics(LOGGER, str(tmp_path))
            registry.gauge("open", "Open.").set(5)
            registry.counter("hits_total", "Hits.").inc(3)
            registry.publish()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    # Nobody has taken the ended worker's place yet.
    assert lines_of(metrics.render(metrics.workers(str(tmp_path)))) == {"hits_total": 3}
    heir = Metrics(LOGGER, str(tmp_path))
    heir.counter("hits_total", "Hits.").inc()
    assert sorted(os.listdir(tmp_path)) == ["0.cells", "0.names"]
    assert lines_of(heir.render()) == {"hits_total": 4, "open": 0}


def test_what_does_not_fit_is_dropped_without_harm():
    registry = Metrics(LOGGER)
    many = registry.histograms("h", "H.", ("n",), bounds=tuple(float(n) for n in range(60)))
    for number in range(2000):
        many[number].observe(1.0)
    first = registry.counter("late_total", "Late.")
    first.inc()
    told = lines_of(registry.render())
    assert told['h_count{n="0"}'] == 1
    assert 'h_count{n="1999"}' not in told


def test_workers_forked_from_one_registry_count_apart(tmp_path):
    registry = Metrics(LOGGER, str(tmp_path))
    hits = registry.counters("hits_total", "Hits.", ("who",))
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(20_000):
                    hits["all"].inc()
                registry.publish()
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert lines_of(metrics.render(metrics.workers(str(tmp_path)))) == {'hits_total{who="all"}': 40_000}


def test_a_directory_that_nobody_has_counted_in_yet_holds_nothing(tmp_path):
    assert metrics.render(metrics.workers(str(tmp_path / "missing"))) == b""


def test_a_worker_publishes_by_itself(tmp_path):
    Metrics(LOGGER, str(tmp_path)).counter("first_total", "F.")
    registry = Metrics(LOGGER, str(tmp_path))
    registry.counter("hits_total", "Hits.").inc()
    deadline = time.monotonic() + 20 * metrics.PUBLISH_INTERVAL
    while b"hits_total 1.0" not in metrics.render(metrics.workers(str(tmp_path))):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_files_cut_short_by_another_program_do_not_kill_a_worker(tmp_path):
    """Mapped cells killed the process with SIGBUS."""
    registry = Metrics(LOGGER, str(tmp_path))
    hits = registry.counter("hits_total", "Hits.")
    registry.publish()
    os.truncate(tmp_path / "0.cells", 0)
    hits.inc()
    assert lines_of(registry.render()) == {"hits_total": 1}


@pytest.mark.parametrize("file", ["0.cells", "0.names"])
def test_a_full_disk_costs_no_count(tmp_path, file):
    (tmp_path / file).symlink_to("/dev/full")
    registry = Metrics(LOGGER, str(tmp_path))
    hits = registry.counter("hits_total", "Hits.")
    hits.inc()
    registry.publish()
    hits.inc()
    assert hits.get() == 2


def test_a_name_half_written_before_a_crash_is_dropped(tmp_path):
    registry = Metrics(LOGGER, str(tmp_path))
    registry.counter("hits_total", "Hits.").inc()
    registry.publish()
    for name, data in (
        ("1.names", (tmp_path / "0.names").read_bytes()),
        ("1.cells", (tmp_path / "0.cells").read_bytes()),
    ):
        (tmp_path / name).write_bytes(data)
    with open(tmp_path / "1.names", "ab") as names:
        names.write(b'["counter", "los')
    heir = Metrics(LOGGER, str(tmp_path))
    heir.counter("more_total", "More.").inc()
    assert lines_of(heir.render()) == {"hits_total": 2, "more_total": 1}


def test_names_that_make_no_sense_are_forgotten(tmp_path):
    (tmp_path / "0.names").write_bytes(b"\x00\x00\n[]\n")
    (tmp_path / "0.cells").write_bytes(b"\xff" * 20)
    registry = Metrics(LOGGER, str(tmp_path))
    registry.counter("hits_total", "Hits.").inc()
    assert lines_of(registry.render()) == {"hits_total": 1}
