"""The access log and the metrics of requests."""

import io
import logging
import re

import pytest

from objstore.core.errors import ClientGone, ConfigError, NodeFailure
from objstore.middleware.proxy_logging import ProxyLogging, filter_factory
from objstore.runtime.metrics import Metrics
from objstore.web.responses import Response, call

LOGGER = logging.getLogger("test")


class Lines(list):
    def write(self, line):
        self.append(line)


def logged(app, *, read=True, options=None, **environ):
    """The lines of one request, and what Prometheus would see."""
    lines, registry = Lines(), Metrics(LOGGER)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/AUTH_t/c/o", "wsgi.input": io.BytesIO()} | environ
    times = iter((1500000000.25, 1500000001.5))
    made = ProxyLogging(app, lines=lines, registry=registry, now=lambda: next(times), **(options or {}))
    answer = call(made, environ)
    if read:
        answer.read()
    else:
        next(iter(answer.body))
        answer.close()
    return lines, registry.render().decode()


def field(lines, number):
    return lines[0].split(" ")[number]


STATUS, PATH, TOKEN, RECEIVED, SENT, INFO = 6, 4, 9, 10, 11, 17


def test_all_fields_in_swifts_order():
    def app(environ, start_response):
        environ["objstore.log_info"] = ["a b", "x"]
        environ["wsgi.input"].read()
        return Response(201, {"X-Backend-Storage-Policy-Index": "1"}, b"12345")(environ, start_response)

    lines, _ = logged(
        app,
        REQUEST_METHOD="PUT",
        REMOTE_ADDR="10.0.0.9",
        SERVER_PROTOCOL="HTTP/1.1",
        CONTENT_LENGTH="3",
        HTTP_X_FORWARDED_FOR="1.2.3.4, 10.0.0.9",
        HTTP_REFERER="http://x/",
        HTTP_USER_AGENT="curl 8",
        HTTP_X_AUTH_TOKEN="AUTH_tk0123456789abcdef",
        HTTP_ETAG="abc",
        **{
            "objstore.trans_id": "tx1",
            "objstore.raw_target": "/v1/AUTH_t/c/o%20x?a=b",
            "wsgi.input": io.BytesIO(b"abc"),
        },
    )
    (line,) = lines
    assert line == (
        "1.2.3.4 10.0.0.9 14/Jul/2017/02/40/01 PUT /v1/AUTH_t/c/o%2520x%3Fa%3Db HTTP/1.1 201 http://x/ curl%208 "
        "AUTH_tk012345678... 3 5 abc tx1 - 1.2500 - a%20b%2Cx 1500000000.250000000 1500000001.500000000 1"
    )


def test_what_is_missing_is_a_dash():
    lines, _ = logged(Response(204))
    (line,) = lines
    assert line == (
        "- - 14/Jul/2017/02/40/01 GET /v1/AUTH_t/c/o - 204 - - - - - - - - 1.2500 - - "
        "1500000000.250000000 1500000001.500000000 -"
    )


def test_no_value_can_forge_a_line_or_a_field():
    lines, _ = logged(Response(200), HTTP_USER_AGENT="a\nb c\xe9", HTTP_REFERER="%0a")
    assert len(lines[0].split(" ")) == 21 and "\n" not in lines[0] and "%250a" in lines[0]


def test_signatures_in_the_query_are_obscured():
    target = "/v1/a/c/o?temp_url_sig=0123456789abcdef0123&X-Amz-Signature=ffffffffffffffffffff"
    path = field(logged(Response(200), **{"objstore.raw_target": target})[0], PATH)
    assert "cdef0123" not in path and "f" * 17 not in path and "0123456789abcdef..." in path


def test_secrets_in_logged_headers_are_obscured():
    options = {"log_headers": True, "headers_only": ["x-auth-token", "x-other"]}
    sent = {"HTTP_X_AUTH_TOKEN": "t" * 40, "HTTP_X_OTHER": "1", "HTTP_X_THIRD": "2"}
    told = field(logged(Response(200), options=options, **sent)[0], 14)
    assert told == "X-Auth-Token:%20" + "t" * 16 + "...%0AX-Other:%201"


def test_bytes_are_counted_by_every_way_of_reading():
    def app(environ, start_response):
        stream = environ["wsgi.input"]
        assert (stream.read(2), stream.readline(), stream.readinto(bytearray(2)), list(stream)) == (
            b"ab",
            b"c\n",
            2,
            [b"fg"],
        )
        assert not hasattr(stream, "read_chunk")
        return Response(200)(environ, start_response)

    lines, _ = logged(app, CONTENT_LENGTH="8", **{"wsgi.input": io.BytesIO(b"abc\ndefg")})
    assert field(lines, RECEIVED) == "8"


def test_large_pieces_pass_uncopied_and_other_attributes_are_the_streams():
    piece = b"x" * 10

    class Stream:
        awaits_continue = True

        def read_chunk(self, most):
            return piece

    def app(environ, start_response):
        assert environ["wsgi.input"].read_chunk(100) is piece and environ["wsgi.input"].awaits_continue
        return Response(200)(environ, start_response)

    lines, _ = logged(app, HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input": Stream()})
    assert field(lines, RECEIVED) == "10"


def test_a_buffer_is_filled_from_a_stream_that_cannot():
    class Stream:
        def read(self, size):
            return b"abc"[:size]

    def app(environ, start_response):
        buffer = bytearray(5)
        assert (environ["wsgi.input"].readinto(buffer), bytes(buffer)) == (3, b"abc\0\0")
        return Response(200)(environ, start_response)

    lines, _ = logged(app, HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input": Stream()})
    assert field(lines, RECEIVED) == "3"


def test_a_request_without_body_keeps_its_input():
    stream = io.BytesIO()

    def app(environ, start_response):
        assert environ["wsgi.input"] is stream
        return Response(200)(environ, start_response)

    assert field(logged(app, **{"wsgi.input": stream})[0], STATUS) == "200"


def streamed(environ, start_response):
    start_response("200 OK", [("Content-Length", "6")])
    return iter([b"one", b"two"])


def test_a_streamed_body_is_logged_once_at_its_end():
    lines, _ = logged(streamed)
    assert len(lines) == 1 and (field(lines, STATUS), field(lines, SENT)) == ("200", "6")


def test_a_client_that_leaves_in_the_middle_is_499():
    lines, page = logged(streamed, read=False)
    assert (field(lines, STATUS), field(lines, SENT)) == ("499", "3")
    assert 'objstore_requests_total{kind="object",method="GET",status="499"} 1.0' in page


def test_a_server_that_stops_at_content_length_is_not_a_client_that_left():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        return iter([b"one", b""])

    assert field(logged(app, read=False)[0], STATUS) == "200"


def test_a_client_that_breaks_off_its_upload_is_499():
    class Stream:
        def read(self, *_):
            raise ClientGone

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except ClientGone:
            return Response(500)(environ, start_response)

    assert field(logged(app, CONTENT_LENGTH="5", **{"wsgi.input": Stream()})[0], STATUS) == "499"


def test_what_the_app_raises_is_logged_as_the_status_it_becomes():
    def app(environ, start_response):
        raise NodeFailure

    with pytest.raises(NodeFailure):
        logged(app)
    lines, registry = Lines(), Metrics(LOGGER)
    with pytest.raises(NodeFailure):
        call(ProxyLogging(app, lines=lines, registry=registry), {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/a"})
    assert field(lines, STATUS) == "503"


def test_twice_in_a_pipeline_logs_once():
    outer, inner = Lines(), Lines()
    registry = Metrics(LOGGER)
    app = ProxyLogging(ProxyLogging(Response(200), lines=inner, registry=registry), lines=outer, registry=registry)
    call(app, {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/a"}).read()
    assert (len(outer), len(inner)) == (1, 0)


def test_subrequests_are_logged_with_their_source_if_wanted():
    assert logged(Response(200), **{"objstore.source": "copy"})[0] == []
    lines, _ = logged(Response(200), options={"subrequests": True}, **{"objstore.source": "copy"})
    assert field(lines, 16) == "copy"


def test_metrics_by_kind():
    for path, kind in (
        ("/v1/a", "account"),
        ("/v1/a/c/", "container"),
        ("/v1/a/c/o/p", "object"),
        ("/info", "other"),
    ):
        _, page = logged(Response(200, body=b"12"), PATH_INFO=path)
        assert f'objstore_requests_total{{kind="{kind}",method="GET",status="200"}} 1.0' in page
        assert f'objstore_sent_bytes_total{{kind="{kind}"}} 2.0' in page
        assert f'objstore_request_seconds_sum{{kind="{kind}",method="GET"}} 1.25' in page


def test_made_up_methods_make_no_new_series():
    assert 'method="other"' in logged(Response(405), REQUEST_METHOD="FROBNICATE")[1]


def test_a_template_of_ones_own(tmp_path):
    path = tmp_path / "log"
    made = filter_factory(
        {},
        access_log_to=str(path),
        access_log_delay="0",
        log_msg_template="100% {method} {container}/{object} {status_int}",
    )
    call(made(Response(200)), {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/a/c/o p"}).read()
    assert re.fullmatch(r"100% GET c/o%20p 200\n", path.read_text())


@pytest.mark.parametrize("template", ["{method} {nonsense}", "{method"])
def test_a_wrong_template_is_refused_at_start(template):
    with pytest.raises(ConfigError, match="log_msg_template"):
        filter_factory({}, log_msg_template=template)(Response(200))


def test_statsd_hears_of_requests_by_swifts_names():
    class Sender:
        def request(self, name, seconds, transferred):
            self.sent = (name, seconds, transferred)

    sender = Sender()
    logged(Response(200, {}, b"12345"), options={"sender": sender})
    assert [sender.sent] == [("proxy-server.object.GET.200", 1.25, 5)]


def test_requests_of_s3_count_by_level_and_operation():
    def app(environ, start_response):
        environ["objstore.kind"], environ["objstore.operation"] = "object", "PutObject"
        return Response(200)(environ, start_response)

    _, page = logged(app, REQUEST_METHOD="PUT", PATH_INFO="/bucket/key")
    assert 'objstore_requests_total{kind="object",method="PUT",status="200"} 1.0' in page
    assert 'objstore_s3_requests_total{operation="PutObject",status="200"} 1.0' in page
    assert 'objstore_s3_request_seconds_sum{operation="PutObject"} 1.25' in page
    assert "objstore_s3" not in logged(Response(200))[1]
