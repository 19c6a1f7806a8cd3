"""The filters together, in the order of doc/middleware.md and as PasteDeploy makes them."""

import io
import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from paste.deploy import loadapp

from objstore.assembly.kinds import PROXY_FILTERS
from objstore.web.responses import Response, call

DOC = Path(__file__).parents[3] / "doc" / "middleware.md"
FILTERS = (
    "catch_errors", "gatekeeper", "healthcheck", "metrics", "proxy_logging", "cache", "info", "listing_formats",
)  # fmt: skip

# Filters that look for parts of a whole proxy below them.
NEEDS_THE_PROXY = ("container_sync", "s3", "tempurl", "formpost", "tempauth", "bulk", "staticweb", "slo")


def row(text):
    return text.replace("|", "\\|") or " "


def settings_of(name):
    """The table of a filter's settings, as it stands in the page."""
    table = import_module(f"objstore.middleware.{name}").SETTINGS
    lines = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for setting in table:
        default = setting.default if len(setting.default) < 60 else "Swift's"
        lines.append(f"| `{setting.name}` | {f'`{default}`' if default else ''} | {row(setting.help)} |")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "name",
    [
        *FILTERS,
        "backend_ratelimit",
        "copy",
        "crossdomain",
        "etag_quoter",
        "formpost",
        "list_endpoints",
        "manifests",
        "name_check",
        "ratelimit",
        "read_only",
        "recon",
        "staticweb",
        "storage_logging",
        "tempurl",
    ],
)
def test_the_page_tells_every_setting(name):
    if import_module(f"objstore.middleware.{name}").SETTINGS:
        assert settings_of(name) in DOC.read_text()


@pytest.mark.parametrize("name", ["domain_remap", "cname_lookup"])
def test_the_page_of_hosts_tells_every_setting(name):
    assert settings_of(name) in (DOC.parent / "hosts.md").read_text()


def test_the_pages_pipeline_is_this_one():
    report = re.search(r"^pipeline = (.*) proxy-server$", DOC.read_text(), re.MULTILINE)[1].split()
    assert [name for name in report if name not in NEEDS_THE_PROXY] == list(FILTERS)
    assert tuple(report) == PROXY_FILTERS


def proxy_factory(global_conf, **local_conf):
    """An account with one container, as the proxy would answer."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/v1/AUTH_t/fault":
            raise ZeroDivisionError
        assert "objstore.cache" in environ
        rows = [{"name": "c", "count": 1, "bytes": 2, "last_modified": "2026-01-01T00:00:00.000000"}]
        headers = {"Content-Type": "application/json; charset=utf-8", "X-Backend-Timestamp": "1"}
        return Response(200, headers, json.dumps(rows).encode())(environ, start_response)

    return app


@pytest.fixture
def app(tmp_path):
    sections = [
        f"[filter:{name}]\npaste.filter_factory = objstore.middleware.{name}:filter_factory" for name in FILTERS
    ]
    conf = tmp_path / "proxy.conf"
    conf.write_text(
        f"[DEFAULT]\nlog_to = none\naccess_log_to = {tmp_path / 'access'}\naccess_log_delay = 0\n"
        f"metrics_directory = {tmp_path / 'metrics'}\n"
        f"[pipeline:main]\npipeline = {' '.join(FILTERS)} proxy-server\n"
        f"[app:proxy-server]\npaste.app_factory = test_middleware_pipeline_proxy:proxy_factory\n" + "\n".join(sections)
    )
    import sys

    sys.modules["test_middleware_pipeline_proxy"] = sys.modules[__name__]
    yield loadapp(f"config:{conf}")
    del sys.modules["test_middleware_pipeline_proxy"]


def ask(app, path, **environ):
    base = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "127.0.0.1"}
    answer = call(app, base | {"wsgi.input": io.BytesIO()} | environ)
    return answer, answer.read()


def test_a_listing_through_all_filters(app, tmp_path):
    answer, body = ask(app, "/v1/AUTH_t", HTTP_X_TIMESTAMP="1")
    assert (answer.status, body) == (200, b"c\n") and "X-Backend-Timestamp" not in answer.headers
    line = (tmp_path / "access").read_text().split(" ")
    assert line[13] == answer.headers["X-Trans-Id"] and line[6] == "200" and line[11] == "2"


def test_a_fault_is_answered_logged_and_counted(app, tmp_path):
    assert ask(app, "/v1/AUTH_t/fault")[0].status == 500
    assert (tmp_path / "access").read_text().split(" ")[6] == "500"
    assert b'kind="container",method="GET",status="500"} 1.0' in ask(app, "/metrics")[1]


def test_the_front_answers_for_itself(app):
    assert ask(app, "/healthcheck")[1] == b"OK" and json.loads(ask(app, "/info")[1]) == {}


if __name__ == "__main__":  # print the tables for the page
    for each in (*FILTERS, "recon"):
        print(f"### {each}\n\n{settings_of(each)}\n")


class BucketHosts:
    """A filter below that knows hosts of buckets, as the S3 filter does."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return Response(418)(environ, start_response)

    def names_bucket(self, environ):
        return environ["HTTP_HOST"] == "bucket.s3.test"


@pytest.mark.parametrize("path", ["/healthcheck", "/metrics", "/info"])
def test_paths_of_ours_are_keys_to_the_host_of_a_bucket(path):
    """Such a key could be written by the bucket's host, and was never read."""
    app = BucketHosts(None)
    for name in ("info", "metrics", "healthcheck"):
        app = import_module(f"objstore.middleware.{name}").filter_factory({})(app)
    for host, status in (("bucket.s3.test", 418), ("s3.test", 200)):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": host, "REMOTE_ADDR": "127.0.0.1"}
        assert call(app, environ).status == status
