"""What storage servers count and log of their requests."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from objstore.core.errors import NodeFailure
from objstore.middleware.storage_logging import StorageLogging, filter_factory
from objstore.runtime.metrics import Metrics
from objstore.web.responses import Response, call

LOGGER = logging.getLogger("test")


class Lines(list[str]):
    def write(self, line: str) -> None:
        self.append(line)


class Sender:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def request(self, name: str, seconds: float, transferred: int = 0) -> None:
        self.sent.append((name, seconds, transferred))


class Server:
    """An object server that answers one thing."""

    server_name = "object-server"

    def __init__(self, body: Any, status: int = 200) -> None:
        self.body = body
        self.status = status

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return Response(self.status, {"Content-Length": "10"}, self.body)(environ, start_response)


def asked(app: Any, lines: Lines | None = None, sender: Any = None, **environ: str) -> str:
    """What is counted of one request."""
    times = iter((1500000000.25, 1500000001.5))
    registry = Metrics(LOGGER)
    made = StorageLogging(app, registry=registry, lines=lines, sender=sender, now=lambda: next(times))
    answer = call(made, {"REQUEST_METHOD": "GET", "PATH_INFO": "/d1/3/a/c/o", **environ})
    answer.read()
    return registry.render().decode()


def pieces() -> Iterator[bytes]:
    yield b"12345"
    yield b"67890"


@pytest.mark.parametrize("body", [b"1234567890", pieces])
def test_requests_are_counted_with_what_they_carried(body: Any) -> None:
    page = asked(Server(body() if callable(body) else body), CONTENT_LENGTH="7")
    for line in (
        'objstore_server_requests_total{method="GET",server="object",status="200"} 1.0',
        'objstore_server_request_seconds_sum{method="GET",server="object"} 1.25',
        'objstore_server_received_bytes_total{server="object"} 7.0',
        'objstore_server_sent_bytes_total{server="object"} 10.0',
    ):
        assert line in page


def test_methods_that_nobody_knows_share_a_label() -> None:
    assert 'method="other",server="object",status="405"' in asked(Server(b"", 405), REQUEST_METHOD="BREW")


def test_a_request_is_a_line_in_the_fields_of_swift() -> None:
    lines = Lines()
    asked(
        Server(b"1234567890"),
        lines,
        PATH_INFO="/d1/3/a/c/o \xc3\xa4",
        QUERY_STRING="format=json",
        REMOTE_ADDR="10.0.0.9",
        HTTP_REFERER="GET http://h/v1/a/c/o",
        HTTP_USER_AGENT='proxy-server 7 "',
        HTTP_X_TRANS_ID="tx123-a",
        HTTP_X_BACKEND_STORAGE_POLICY_INDEX="1",
    )
    assert re.sub(r"\d+ 1$", "PID 1", lines[0]) == (
        '10.0.0.9 - - [14/Jul/2017:02:40:00 +0000] "GET /d1/3/a/c/o%20%C3%A4?format=json" 200 10'
        ' "GET http://h/v1/a/c/o" "tx123-a" "proxy-server 7 %22" 1.2500 "-" PID 1'
    )


def test_a_line_is_whole_whatever_a_client_sends() -> None:
    lines = Lines()
    asked(Server(b""), lines, HTTP_USER_AGENT="x\ny\u20ac", HTTP_REFERER="\x00")
    assert "\n" not in lines[0]
    assert lines[0].isascii()


def test_what_breaks_is_counted_as_it_is_answered() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise NodeFailure("gone")

    registry = Metrics(LOGGER)
    with pytest.raises(NodeFailure):
        call(StorageLogging(app, registry=registry), {"REQUEST_METHOD": "GET", "PATH_INFO": "/"})
    assert b'status="503"' in registry.render()


def test_a_body_that_is_given_up_counts_as_far_as_it_was_sent() -> None:
    registry = Metrics(LOGGER)
    answer = call(StorageLogging(Server(pieces()), registry=registry), {"REQUEST_METHOD": "GET", "PATH_INFO": "/"})
    next(iter(answer.body))
    answer.close()
    answer.close()
    page = registry.render()
    assert b'objstore_server_sent_bytes_total{server="object"} 5.0' in page
    assert b'objstore_server_requests_total{method="GET",server="object",status="200"} 1.0' in page


def test_statsd_hears_of_requests_by_swifts_names() -> None:
    sender = Sender()
    asked(Server(b"1234567890"), sender=sender)
    asked(Server(b"", 507), sender=sender, REQUEST_METHOD="PUT")
    assert sender.sent == [("object-server.GET", 1.25, 10), ("object-server.PUT.errors", 1.25, 0)]


@pytest.mark.parametrize("wanted", [True, False])
def test_lines_are_written_where_the_log_goes_if_they_are_wanted(wanted: bool, tmp_path: Any) -> None:
    path = tmp_path / "log"
    conf = {"log_to": str(path), "log_requests": str(wanted), "log_requests_delay": "0"}
    answer = call(filter_factory({}, **conf)(Server(b"")), {"REQUEST_METHOD": "GET", "PATH_INFO": "/d1/0/a"})
    answer.read()
    assert ('"GET /d1/0/a" 200' in path.read_text()) == wanted
