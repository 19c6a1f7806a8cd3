"""Listings in the form that the client wants."""

import json

import pytest
from lxml import etree

from objstore.middleware.listing_formats import ListingFormats
from objstore.web.responses import Response, call, error

ROWS = [
    {
        "name": "é",
        "hash": "0" * 32,
        "bytes": 1,
        "content_type": "text/plain",
        "last_modified": "2026-01-01T00:00:00.000000",
    },
    {"subdir": "x/"},
]


class Below:
    """A proxy that lists, and remembers what it was asked."""

    def __init__(self, rows=ROWS, **options):
        self.rows = rows
        self.options = options
        self.asked = None

    def __call__(self, environ, start_response):
        self.asked = (environ.get("QUERY_STRING"), environ.get("HTTP_ACCEPT"))
        headers = {"Content-Type": "application/json; charset=utf-8", "X-Container-Object-Count": "2"}
        body = json.dumps(self.rows).encode()
        return Response(200, headers | self.options, body)(environ, start_response)


def ask(below, path="/v1/AUTH_t/c", method="GET", query="", accept=None):
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    if accept is not None:
        environ["HTTP_ACCEPT"] = accept
    answer = call(ListingFormats(below), environ)
    return answer, answer.read()


def test_text_is_the_default_and_below_it_is_json():
    below = Below()
    answer, body = ask(below, query="prefix=%C3%A9+a%26&limit=2")
    assert (answer.status, body.decode()) == (200, "é\nx/\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(body)) and answer.headers["X-Container-Object-Count"] == "2"
    assert answer.headers["Vary"] == "Accept"
    assert below.asked == ("prefix=%C3%A9+a%26&limit=2&format=json", "application/json")


def test_json_passes_byte_for_byte():
    answer, body = ask(Below(), query="format=json")
    assert body == json.dumps(ROWS).encode() and answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("accept", ["application/xml", "text/xml"])
def test_xml_by_accept(accept):
    answer, body = ask(Below(), accept=accept)
    assert answer.headers["Content-Type"] == f"{accept}; charset=utf-8"
    assert etree.fromstring(body).get("name") == "c"


def test_an_account_as_xml():
    rows = [{"name": "c", "count": 1, "bytes": 2, "last_modified": "2026-01-01T00:00:00.000000"}]
    _, body = ask(Below(rows), path="/v1/AUTH_%C3%A9".replace("%C3%A9", "\xc3\xa9"), query="format=xml")
    root = etree.fromstring(body)
    assert (root.tag, root.get("name"), root[0].tag) == ("account", "AUTH_é", "container")


def test_an_empty_listing_is_204_as_text_and_200_as_json():
    answer, body = ask(Below([]))
    assert (answer.status, body, answer.headers["Content-Length"]) == (204, b"", "0")
    answer, body = ask(Below([]), query="format=json")
    assert (answer.status, body) == (200, b"[]")
    answer, body = ask(Below([]), query="format=xml")
    assert answer.status == 200 and len(etree.fromstring(body)) == 0


def test_a_listing_of_which_no_form_fits_is_406():
    assert ask(Below(), accept="text/html")[0].status == 406
    assert ask(Below(), method="HEAD", accept="text/html")[0].status == 406


def test_a_page_of_a_web_site_passes_in_any_form():
    """An index may be JSON, and browsers may accept HTML alone."""

    def below(environ, start_response):
        environ["objstore.web_page"] = True
        return Response(200, {"Content-Type": "application/json"}, b'[{"name": "x"}]')(environ, start_response)

    for accept in ("text/html", "text/plain", None):
        answer, body = ask(below, accept=accept)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        assert body == b'[{"name": "x"}]'


def test_head_tells_the_type_and_not_the_length_of_another():
    answer, body = ask(Below(), method="HEAD", accept="application/xml")
    assert (answer.headers["Content-Type"], body) == ("application/xml; charset=utf-8", b"")
    assert "Content-Length" not in answer.headers


def test_head_without_a_type_below_tells_one():
    answer, _ = ask(Response(204), method="HEAD", query="format=json")
    assert (answer.status, answer.headers["Content-Type"]) == (204, "application/json; charset=utf-8")


@pytest.mark.parametrize(
    ("path", "method"),
    [("/v1/AUTH_t/c/o", "GET"), ("/v1/AUTH_t/c", "PUT"), ("/info", "GET"), ("/v2/AUTH_t", "GET"), ("/v1/", "GET")],
)
def test_what_is_no_listing_is_not_touched(path, method):
    below = Below()
    _, body = ask(below, path, method, "a=b&format=xml", "text/html")
    assert below.asked == ("a=b&format=xml", "text/html") and body == json.dumps(ROWS).encode()


def test_a_trailing_slash_is_a_listing_still():
    assert ask(Below(), "/v1/AUTH_t/c/")[1] == ask(Below(), "/v1/AUTH_t/c")[1]


def test_errors_and_pages_of_others_pass():
    assert ask(error(404))[0].headers["Content-Type"].startswith("text/html")
    page = Response(200, {"Content-Type": "text/html"}, b"<html/>")
    assert ask(page)[1] == b"<html/>"
    answer, body = ask(Response(200, {"Content-Type": "application/json"}, b'{"no": "listing"}'), query="format=xml")
    assert body == b'{"no": "listing"}' and answer.headers["Content-Type"].startswith("application/json")


def test_a_query_that_is_not_utf8_is_refused():
    assert ask(Below(), query="prefix=%ff")[0].status == 400
