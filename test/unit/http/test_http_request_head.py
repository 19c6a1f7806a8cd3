from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.http.request_head import HeadLimits, RequestHead, RequestRefused, end_of_head, parse_head

LIMITS = HeadLimits()


def parse(head: bytes, limits: HeadLimits = LIMITS) -> RequestHead:
    return parse_head(head, limits, {})


def environ(lines: bytes, line: bytes = b"GET /a HTTP/1.1") -> dict[str, Any]:
    return parse(line + b"\r\nHost: h\r\n" + lines + b"\r\n").environ


MALFORMED = {
    "no version": b"GET /\r\nHost: h\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    "a tab for a space": b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "space after the version": b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "control byte in the target": b"GET /a\x01b HTTP/1.1\r\nHost: h\r\n\r\n",
    "nul in the target": b"GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n",
    "method that is no token": b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
    "target without a slash": b"GET a HTTP/1.1\r\nHost: h\r\n\r\n",
    "asterisk with GET": b"GET * HTTP/1.1\r\nHost: h\r\n\r\n",
    "lower case protocol": b"GET / http/1.1\r\nHost: h\r\n\r\n",
    "version of two digits": b"GET / HTTP/1.10\r\nHost: h\r\n\r\n",
    "bare LF in the request line": b"GET / HTTP/1.1\nHost: h\r\n\r\n",
    "bare LF after a header": b"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n",
    "bare CR in a value": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
    "bare CR before a header": b"GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
    "folded first header": b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    "folded by a tab": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
    "tab before the colon": b"GET / HTTP/1.1\r\nHost: h\r\nA\t: b\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: h\r\nAb\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n",
    "nul in a value": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\n\r\n",
    "control byte in a value": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x1f\r\n\r\n",
    "delete in a value": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x7f\r\n\r\n",
    "non-ASCII in a name": b"GET / HTTP/1.1\r\nHost: h\r\n\xc3\xa4: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
    "no headers at all": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: h/x\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n",
    "host with a space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
}

SMUGGLING = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "the same length twice": b"Content-Length: 5\r\ncontent-length: 5\r\n",
    "a list of lengths": b"Content-Length: 5, 5\r\n",
    "plus": b"Content-Length: +5\r\n",
    "minus": b"Content-Length: -5\r\n",
    "underscore": b"Content-Length: 5_0\r\n",
    "hexadecimal": b"Content-Length: 0x5\r\n",
    "float": b"Content-Length: 5.0\r\n",
    "other digits": "Content-Length: ٥\r\n".encode(),
    "empty length": b"Content-Length: \r\n",
    "huge length": b"Content-Length: 99999999999999999999\r\n",
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "another coding": b"Transfer-Encoding: gzip\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked in two headers": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "quoted chunked": b'Transfer-Encoding: "chunked"\r\n',
    "vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "length under another name": b"Content_Length: 5\r\n",
    "coding under another name": b"Transfer_Encoding: chunked\r\n",
}


@pytest.mark.parametrize("head", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_head_is_refused(head: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse(head)
    assert refused.value.status == 400
    assert str(refused.value)


@pytest.mark.parametrize("lines", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_doubtful_framing_is_refused(lines: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        environ(lines, b"PUT /a HTTP/1.1")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"a" * 8200 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + (b"A: " + b"b" * 7000 + b"\r\n") * 10 + b"\r\n", 431),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", 501),
    ],
)
def test_refusals_name_what_is_wrong(head: bytes, status: int) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse(head)
    assert refused.value.status == status


def test_environ_of_a_plain_request() -> None:
    head = parse(b"PUT /v1/a%20b/%C3%A4?x=%20&y HTTP/1.1\r\nHost: h:80\r\nX-Foo: bar \r\nContent-Length: 3\r\n\r\n")
    assert head.method == "PUT"
    assert (head.length, head.keep_alive, head.expects_continue, head.http10) == (3, True, False, False)
    assert head.environ["PATH_INFO"] == "/v1/a b/\xc3\xa4"
    assert head.environ["QUERY_STRING"] == "x=%20&y"
    assert head.environ["objstore.raw_target"] == "/v1/a%20b/%C3%A4?x=%20&y"
    assert head.environ["CONTENT_LENGTH"] == "3"
    assert head.environ["HTTP_X_FOO"] == "bar"
    assert head.environ["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_bytes_beyond_ascii_are_latin_1() -> None:
    head = parse("GET /ä?ö HTTP/1.1\r\nHost: h\r\nA: ü\r\n\r\n".encode())
    assert head.environ["PATH_INFO"].encode("latin-1").decode() == "/ä"
    assert head.environ["QUERY_STRING"].encode("latin-1").decode() == "ö"
    assert head.environ["HTTP_A"].encode("latin-1").decode() == "ü"


def test_broken_escapes_are_left_to_the_application() -> None:
    assert parse(b"GET /%zz%4 HTTP/1.1\r\nHost: h\r\n\r\n").environ["PATH_INFO"] == "/%zz%4"


def test_paths_are_not_normalized() -> None:
    assert parse(b"GET //a//../%2e/b/ HTTP/1.1\r\nHost: h\r\n\r\n").environ["PATH_INFO"] == "//a//.././b/"


def test_absolute_target_goes_before_the_host_header() -> None:
    fields = parse(b"GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n").environ
    assert (fields["HTTP_HOST"], fields["PATH_INFO"], fields["QUERY_STRING"]) == ("other:81", "/p", "q")
    assert parse(b"GET http://other HTTP/1.1\r\nHost: h\r\n\r\n").environ["PATH_INFO"] == "/"


def test_asterisk_is_for_options() -> None:
    assert parse(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").environ["PATH_INFO"] == "*"


def test_any_token_is_a_method() -> None:
    assert parse(b"REPLICATE /a HTTP/1.1\r\nHost: h\r\n\r\n").method == "REPLICATE"


def test_repeated_headers_are_joined() -> None:
    fields = environ(b"A: 1\r\na: 2\r\nCookie: x\r\nCookie: y\r\n")
    assert fields["HTTP_A"] == "1,2"
    assert fields["HTTP_COOKIE"] == "x; y"


def test_headers_are_kept_as_sent() -> None:
    fields = environ(b"x-amz-meta-My_Key:  v \r\n")
    assert list(fields["objstore.headers"]) == [("Host", "h"), ("x-amz-meta-My_Key", "v")]


def test_offered_upgrade_is_passed_over() -> None:
    assert environ(b"Connection: Upgrade\r\nUpgrade: h2c\r\nX-Last: 1\r\n")["HTTP_X_LAST"] == "1"


@pytest.mark.parametrize(
    ("line", "connection", "kept"),
    [
        (b"GET / HTTP/1.1", b"", True),
        (b"GET / HTTP/1.1", b"Connection: close\r\n", False),
        (b"GET / HTTP/1.1", b"Connection: TE, Close\r\n", False),
        (b"GET / HTTP/1.0", b"", False),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_keep_alive(line: bytes, connection: bytes, kept: bool) -> None:
    assert parse(line + b"\r\nHost: h\r\n" + connection + b"\r\n").keep_alive is kept


def test_host_is_not_needed_in_http_1_0() -> None:
    assert parse(b"GET / HTTP/1.0\r\n\r\n").http10


@pytest.mark.parametrize("value", [b"", b"the-unexpected", b"100", b'200-ok, x="100-continue"'])
def test_unknown_expectation_is_ignored(value: bytes) -> None:
    assert not parse(b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: " + value + b"\r\n\r\n").expects_continue


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b"x , 100-continue", b"100-continue\r\nExpect: y"])
def test_expectation_in_any_letter_case(value: bytes) -> None:
    assert parse(b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: " + value + b"\r\n\r\n").expects_continue
    assert not parse(b"PUT / HTTP/1.0\r\nHost: h\r\nExpect: " + value + b"\r\n\r\n").expects_continue


def test_endless_lines_are_refused_before_they_end() -> None:
    with pytest.raises(RequestRefused) as refused:
        end_of_head(b"GET /" + b"a" * 9000, LIMITS)
    assert refused.value.status == 414
    with pytest.raises(RequestRefused) as refused:
        end_of_head(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000, LIMITS)
    assert refused.value.status == 431


def test_bare_line_feeds_do_not_wait_for_the_timeout() -> None:
    with pytest.raises(RequestRefused):
        end_of_head(b"GET / HTTP/1.1\nHost: h\n\n", LIMITS)


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    try:
        parse(data + b"\r\n\r\n")
    except RequestRefused:
        pass


_CHUNKS = st.sampled_from(
    [
        b"GET",
        b" ",
        b"/",
        b"HTTP/1.1",
        b"\r\n",
        b"Host: h",
        b"Content-Length",
        b":",
        b"5",
        b"Transfer-Encoding: chunked",
        b"\n",
        b"\r",
        b"\t",
        b"\0",
        b"Expect: 100-continue",
        b"\xff",
        b"Connection: close",
        b"http://h/x?y#z",
        b"%",
    ]
)


@given(st.lists(_CHUNKS, max_size=30))
def test_shuffled_pieces_of_heads_are_taken_or_refused(pieces: list[bytes]) -> None:
    data = b"".join(pieces) + b"\r\n\r\n"
    try:
        head = parse(data)
    except RequestRefused:
        return
    assert head.environ["REQUEST_METHOD"] == head.method
    assert data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n")
