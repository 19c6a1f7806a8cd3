"""Rates of requests to the devices of a storage server."""

from __future__ import annotations

from typing import Any

import pytest

from objstore.middleware.backend_ratelimit import BackendRatelimit, DeviceRates, filter_factory
from objstore.web.responses import Response, call


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_burst_of_the_buffer_and_then_the_rate(time: Time) -> None:
    rates = DeviceRates({"": 10.0}, 1.0, time)
    assert [rates.admit("d1", "GET") for _ in range(20)].count(True) == 11
    assert [rates.admit("d2", "GET") for _ in range(20)].count(True) == 11
    time.now += 0.5
    assert [rates.admit("d1", "PUT") for _ in range(20)].count(True) == 5
    time.now += 100
    assert [rates.admit("d1", "PUT") for _ in range(20)].count(True) == 11


def test_a_method_has_a_rate_of_its_own(time: Time) -> None:
    rates = DeviceRates({"": 100.0, "PUT": 1.0}, 1.0, time)
    assert [rates.admit("d", "PUT") for _ in range(5)] == [True, True, False, False, False]
    assert rates.admit("d", "GET")


def test_what_one_rate_refuses_does_not_count_for_the_other(time: Time) -> None:
    rates = DeviceRates({"": 3.0, "PUT": 1.0}, 1.0, time)
    assert [rates.admit("d", "PUT") for _ in range(9)].count(True) == 2
    assert [rates.admit("d", "GET") for _ in range(9)].count(True) == 2


def test_names_of_devices_do_not_fill_the_memory(time: Time) -> None:
    rates = DeviceRates({"": 1.0}, 1.0, time)
    for number in range(20_000):
        rates.admit(f"d{number}", "GET")
    assert len(rates._due) <= 4096


def passing(environ: dict[str, Any], start_response: Any) -> Any:
    return Response(200)(environ, start_response)


def ask(app: Any, method: str, path: str = "/d1/5/AUTH_t/c", query: str = "") -> int:
    return call(app, {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}).status


def test_requests_above_the_rate_are_answered_529() -> None:
    app = filter_factory({}, requests_per_device_per_second="1", requests_per_device_rate_buffer="0")(passing)
    assert [ask(app, "PUT"), ask(app, "GET"), ask(app, "GET", "/d2/5/AUTH_t")] == [200, 529, 200]
    assert ask(app, "REPLICATE", "/d1") == 529
    # Not to a device, or to give a lease back.
    assert [ask(app, "GET", "/healthcheck"), ask(app, "OPTIONS", "*"), ask(app, "UNLOCK")] == [200, 200, 200]


def test_updates_are_told_from_other_posts() -> None:
    conf = {"update_requests_per_device_per_second": "1", "requests_per_device_rate_buffer": "0"}
    app = filter_factory({}, **conf)(passing)
    assert [ask(app, "POST", query="rows=1"), ask(app, "POST", query="rows=1"), ask(app, "POST")] == [200, 529, 200]


def test_without_rates_the_filter_is_left_out() -> None:
    assert filter_factory({})(passing) is passing
    assert isinstance(filter_factory({}, get_requests_per_device_per_second="2")(passing), BackendRatelimit)
