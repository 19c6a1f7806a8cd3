"""Metrics: what one process counts, what many count together."""

import os

from objstore.runtime import metrics
from objstore.runtime.metrics import Metrics


def lines_of(rendered: bytes) -> dict[str, float]:
    pairs = [line.rsplit(" ", 1) for line in rendered.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_a_counter_without_labels():
    registry = Metrics()
    hits = registry.counter("hits_total", "Hits.")
    hits.inc()
    hits.inc(2.5)
    assert lines_of(registry.render()) == {"hits_total": 3.5}


def test_label_values_are_kept_apart():
    registry = Metrics()
    requests = registry.counters("requests_total", "Requests.", ("method", "status"))
    requests["GET", 200].inc()
    requests["GET", 200].inc()
    requests["PUT", 201].inc()
    assert lines_of(registry.render()) == {
        'requests_total{method="GET",status="200"}': 2,
        'requests_total{method="PUT",status="201"}': 1,
    }


def test_histogram_buckets_are_cumulative_and_bounds_inclusive():
    registry = Metrics()
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
    first, second = Metrics(str(tmp_path)), Metrics(str(tmp_path))
    first.counters("a_total", "A.", ("x",))["1"].inc()
    second.counter("b_total", "B.").inc()
    second.counters("a_total", "A.", ("x",))["1"].inc(2)
    assert lines_of(first.render()) == lines_of(second.render()) == {'a_total{x="1"}': 3, "b_total": 1}


def test_counters_of_an_ended_worker_stay_and_its_gauges_go(tmp_path):
    child = os.fork()
    if child == 0:
        try:
            registry = Metrics(str(tmp_path))
            registry.gauge("open", "Open.").set(5)
            registry.counter("hits_total", "Hits.").inc(3)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    # Nobody has taken the ended worker's place yet.
    assert lines_of(metrics.render(metrics.workers(str(tmp_path)))) == {"hits_total": 3}
    heir = Metrics(str(tmp_path))
    heir.counter("hits_total", "Hits.").inc()
    assert sorted(os.listdir(tmp_path)) == ["0.cells", "0.names"]
    assert lines_of(heir.render()) == {"hits_total": 4, "open": 0}


def test_what_does_not_fit_is_dropped_without_harm():
    registry = Metrics()
    many = registry.histograms("h", "H.", ("n",), bounds=tuple(float(n) for n in range(60)))
    for number in range(2000):
        many[number].observe(1.0)
    first = registry.counter("late_total", "Late.")
    first.inc()
    told = lines_of(registry.render())
    assert told['h_count{n="0"}'] == 1
    assert 'h_count{n="1999"}' not in told


def test_clear_forgets_earlier_runs(tmp_path):
    registry = Metrics(str(tmp_path))
    registry.counter("hits_total", "Hits.").inc()
    metrics.clear(str(tmp_path))
    assert Metrics(str(tmp_path)).render() == b""


def test_workers_forked_from_one_registry_count_apart(tmp_path):
    hits = Metrics(str(tmp_path)).counters("hits_total", "Hits.", ("who",))
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(20_000):
                    hits["all"].inc()
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert lines_of(metrics.render(metrics.workers(str(tmp_path)))) == {'hits_total{who="all"}': 40_000}


def test_a_directory_that_nobody_has_counted_in_yet_holds_nothing(tmp_path):
    assert metrics.render(metrics.workers(str(tmp_path / "missing"))) == b""
