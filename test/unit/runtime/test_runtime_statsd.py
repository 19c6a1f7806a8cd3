"""Metrics sent to statsd."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from objstore.core.errors import ConfigError
from objstore.runtime import settings, statsd
from objstore.runtime.statsd import Statsd

LOGGER = logging.getLogger("test.statsd")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def read(**conf: str) -> Any:
    return settings.read(statsd.StatsdSettings, conf)


def test_lines_are_those_of_the_protocol(server: socket.socket) -> None:
    host, port = server.getsockname()
    sender = statsd.of(read(statsd_host=host, statsd_port=str(port), statsd_prefix="a.b"), LOGGER)
    assert sender is not None
    sender.count("object-updater.units", 3)
    sender.gauge("object auditor:left|x", 1.5)
    sender.request("object-server.GET", 0.0125)
    sender.request("proxy-server.object.GET.200", 0.002, 4096)
    assert [server.recv(1000) for _ in range(4)] == [
        b"a.b.object-updater.units:3|c",
        b"a.b.object_auditor_left_x:1.5|g",
        b"a.b.object-server.GET.timing:12.5000|ms",
        b"a.b.proxy-server.object.GET.200.timing:2.0000|ms\na.b.proxy-server.object.GET.200.xfer:4096|c",
    ]


def test_of_many_requests_a_sample_is_told(server: socket.socket) -> None:
    chances = iter([0.3, 0.05])
    sender = Statsd(server.getsockname(), socket.AF_INET, sample_rate=0.1, chance=lambda: next(chances))
    sender.request("x", 1)
    sender.request("y", 1)
    assert server.recv(1000) == b"y.timing:1000.0000|ms|@0.1"


def test_nobody_listening_does_no_harm(server: socket.socket) -> None:
    address = server.getsockname()
    server.close()
    sender = Statsd(address, socket.AF_INET)
    for _ in range(10):
        sender.count("x", 1)
    assert sender.lost > 0  # by what ICMP tells


def test_without_a_host_nothing_is_sent() -> None:
    assert statsd.of(read(), LOGGER) is None


def test_a_host_that_is_not_known_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert statsd.of(read(statsd_host="nowhere.invalid"), LOGGER) is None
    assert "statsd_host" in caplog.text


@pytest.mark.parametrize(("name", "value"), [("statsd_sample_rate", "0"), ("statsd_port", "70000")])
def test_settings_out_of_bounds_are_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        read(**{name: value})
