"""Every request gets a transaction id and an answer."""

import logging
import re

import pytest

from objstore.core.errors import ClientGone, InvalidInput, NodeFailure, NotFound
from objstore.middleware.catch_errors import CatchErrors, filter_factory
from objstore.web.responses import Response, call

logger = logging.getLogger("test-catch-errors")


def ask(app, **environ):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/a/c/o"} | environ
    return call(app, environ), environ


def guarded(app, **options):
    return CatchErrors(app, logger=logger, **options)


def raising(failure):
    def app(environ, start_response):
        raise failure

    return app


def test_the_id_is_swifts_and_is_told_everywhere():
    answer, environ = ask(guarded(Response(200), now=lambda: 0x65000000 + 0.9))
    trans_id = answer.headers["X-Trans-Id"]
    assert re.fullmatch(r"tx[0-9a-f]{21}-0065000000", trans_id)
    assert answer.headers["X-Openstack-Request-Id"] == trans_id
    assert environ["objstore.trans_id"] == environ["HTTP_X_TRANS_ID"] == trans_id


def test_the_clients_own_id_is_not_taken_but_its_extra_is():
    extra = "a b" + "c" * 40
    answer, _ = ask(guarded(Response(200), suffix="-ams"), HTTP_X_TRANS_ID="mine", HTTP_X_TRANS_ID_EXTRA=extra)
    assert re.fullmatch(r"tx[0-9a-f]{21}-[0-9a-f]{10}-ams-a%20bc{29}", answer.headers["X-Trans-Id"])


def test_ids_do_not_repeat():
    app = guarded(Response(200))
    assert len({ask(app)[0].headers["X-Trans-Id"] for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("failure", "status", "page"),
    [
        (InvalidInput("no such thing"), 400, b"no such thing"),
        (NotFound("secret path"), 404, b"The resource could not be found."),
        (NodeFailure("10.0.0.1"), 503, b"unavailable"),
        (ZeroDivisionError("secret"), 500, b"An error occurred"),
    ],
)
def test_errors_become_responses_that_tell_no_secrets(failure, status, page):
    answer, _ = ask(guarded(raising(failure)))
    body = answer.read()
    assert answer.status == status and page in body and b"secret" not in body and b"10.0.0.1" not in body
    assert answer.headers["X-Trans-Id"] and int(answer.headers["Content-Length"]) == len(body)


def test_a_fault_is_logged_with_its_traceback_and_id(caplog):
    answer, _ = ask(guarded(raising(ZeroDivisionError("x"))))
    record = caplog.records[-1]
    assert record.exc_info and record.trans_id == answer.headers["X-Trans-Id"] and "/v1/a/c/o" in record.getMessage()


def test_a_body_that_fails_at_its_first_piece_becomes_an_error_response():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        raise ZeroDivisionError
        yield b""

    started = []
    body = guarded(app)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *args: started.append(args))
    assert b"".join(body) == b"An error occurred"
    # PEP 3333: exc_info says that the head not yet sent is to be replaced.
    assert started[-1][0].startswith("500 ") and started[-1][2][0] is ZeroDivisionError


def test_a_body_that_fails_in_the_middle_is_logged_and_raised(caplog):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"one"
        raise NodeFailure("disk gone")

    body = iter(guarded(app)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *args: None))
    assert next(body) == b"one"
    with pytest.raises(NodeFailure):
        next(body)
    assert caplog.records[-1].levelno == logging.WARNING and "aborted: NodeFailure: disk gone" in caplog.text


def test_a_client_that_goes_is_no_error(caplog):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"one"
        raise ClientGone

    with pytest.raises(ClientGone):
        list(guarded(app)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *args: None))
    assert not caplog.records


def test_closing_reaches_the_body_below():
    closed = []

    class Body:
        def __iter__(self):
            return iter([b"one", b"two"])

        def close(self):
            closed.append(True)

    answer, _ = ask(guarded(Response(200, body=Body())))
    answer.close()
    assert closed == [True]


def test_headers_of_the_app_are_not_changed_in_place():
    shared = [("A", "b")]

    def app(environ, start_response):
        start_response("200 OK", shared)
        return (b"",)

    ask(guarded(app))
    assert shared == [("A", "b")]


def test_made_by_paste_deploy():
    made = filter_factory({"log_to": "none"}, trans_id_suffix="-x")(Response(200))
    assert ask(made)[0].headers["X-Trans-Id"].endswith("-x")
