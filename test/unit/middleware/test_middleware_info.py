"""/info, and its signed part."""

import json

import pytest

from objstore.middleware.info import filter_factory, sign, without
from objstore.web import features
from objstore.web.responses import Response, call


class Proxy:
    def info(self):
        return {"swift": {"version": "1", "valid_api_versions": ["v1"]}, "slo": {"max": 1}}

    def admin_info(self):
        return {"swift_admin": {"nodes": 3}}

    def __call__(self, environ, start_response):
        return Response(418)(environ, start_response)


class Filter:
    """A filter that tells of itself, and corrects the one below."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)

    def info(self):
        return {"tempurl": {"methods": ["GET"], "digests": ["sha1"]}, "slo": {"max": 2}}


class Silent:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


def ask(method="GET", query="", path="/info", environ=None, **conf):
    app = filter_factory({}, **conf)(Silent(Filter(Proxy())))
    answer = call(app, {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query} | (environ or {}))
    return answer, answer.read()


def told(**options):
    return json.loads(ask(**options)[1])


def signed(expires, method="GET", digest="sha1", key=b"secret"):
    return f"swiftinfo_sig={sign(method, expires, key, digest).decode()}&swiftinfo_expires={expires}"


FUTURE = 4_000_000_000


def test_sections_of_all_apps_below():
    assert told() == {
        "swift": {"version": "1"},
        "slo": {"max": 2},
        "tempurl": {"methods": ["GET"], "digests": ["sha1"]},
    }
    assert ask()[0].headers["Content-Type"] == "application/json; charset=UTF-8"


def test_disallowed_sections_and_keys_are_hidden():
    assert told(disallowed_sections="slo, tempurl.methods") == {
        "swift": {"version": "1", "valid_api_versions": ["v1"]},
        "tempurl": {"digests": ["sha1"]},
    }


def test_hiding_leaves_the_original_as_it_is():
    sections = {"a": {"b": {"c": 1, "d": 2}}}
    assert without(sections, ["a.b.c", "a.x.y", "z", "z.y"]) == {"a": {"b": {"d": 2}}}
    assert sections == {"a": {"b": {"c": 1, "d": 2}}}


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_a_signed_request_sees_all(digest):
    sections = told(query=signed(FUTURE, digest=digest), admin_key="secret", disallowed_sections="slo")
    assert sections["admin"] == {"swift_admin": {"nodes": 3}, "disallowed_sections": ["slo"]} and "slo" in sections


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("HEAD", signed(FUTURE), 200),
        ("HEAD", signed(FUTURE, "HEAD"), 200),
        ("GET", signed(FUTURE, "HEAD"), 401),
        ("GET", signed(1000), 401),
        ("GET", signed(FUTURE, key=b"other"), 401),
        ("GET", "swiftinfo_sig=00&swiftinfo_expires=soon", 401),
        ("GET", "swiftinfo_expires=4000000000", 401),
        ("GET", signed(FUTURE, digest="sha512"), 401),
        ("GET", "swiftinfo_sig=%C3%A9", 401),
    ],
)
def test_signatures(method, query, status):
    assert ask(method, query, admin_key="secret", allowed_digests="sha1")[0].status == status


def test_without_a_key_no_signature_is_good():
    assert ask(query=signed(FUTURE, key=b""))[0].status == 403


def test_methods_and_other_paths():
    assert ask("OPTIONS")[0].headers["Allow"] == "HEAD, GET, OPTIONS"
    assert ask("PUT")[0].status == 405 and ask(path="/v1/a")[0].status == 418
    assert ask("HEAD")[1] == b""


def test_info_can_be_withheld():
    assert ask(expose_info="no")[0].status == 403


def test_browsers_may_read_it():
    assert ask(environ={"HTTP_ORIGIN": "http://x"})[0].headers["Access-Control-Allow-Origin"] == "http://x"


def test_filters_before_this_one_are_shown_too():
    class Above:
        def __init__(self, app):
            self.app = app
            features.show(app, {"domain_remap": {"default_reseller_prefix": None}})

        def __call__(self, environ, start_response):
            return self.app(environ, start_response)

    app = Above(Silent(filter_factory({})(Filter(Proxy()))))
    sections = json.loads(call(app, {"REQUEST_METHOD": "GET", "PATH_INFO": "/info", "QUERY_STRING": ""}).read())
    assert sections["domain_remap"] == {"default_reseller_prefix": None} and sections["slo"] == {"max": 2}
    Above(Silent(None))  # without the filter `info`
