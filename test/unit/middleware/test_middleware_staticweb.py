"""Web sites over a proxy in this process: pages of listings, redirects, temporary URLs."""

from __future__ import annotations

import re

import pytest
from harness.in_process import InProcess

from objstore.core.errors import ConfigError
from objstore.core.names import Name
from objstore.middleware.listing_formats import ListingFormats
from objstore.middleware.staticweb import SETTINGS, Site, StaticWeb, filter_factory
from objstore.web.responses import call

NAMES = [f"n{number:02}" for number in range(25)]
ROOT = "/v1/a/c"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = InProcess(tmp_path_factory.mktemp("store"), devices=1, replicas=1)
    web = {"Index": "index.html", "Listings": "true"}
    StaticWeb(made.proxy)  # announces the feature
    headers = {f"X_Container_Meta_Web_{key}": value for key, value in web.items()}
    assert made("PUT", Name("a", "c"), **headers).status == 201
    for name in ("sub/index.html", *(f"many/{name}" for name in NAMES)):
        assert made("PUT", Name("a", "c", name), name.encode()).status == 201
    return made


def visit(store, path, query="", method="GET", values=None, **environ):
    app = ListingFormats(StaticWeb(store.proxy, values))
    answer = call(
        app,
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "wsgi.url_scheme": "http",
            "HTTP_HOST": "host",
            "objstore.raw_target": path + (f"?{query}" if query else ""),
            **environ,
        },
    )
    return answer.status, answer.headers, answer.read().decode()


def settings_of(**values):
    return filter_factory({}, **values)(None).values


def test_all_entries_are_reached_page_by_page(store):
    values = settings_of(listing_limit="10")
    names, query, pages = [], "", 0
    while True:
        status, _, text = visit(store, f"{ROOT}/many/", query, values=values)
        assert status == 200
        pages += 1
        shown = re.findall(r'href="\./(n\d\d)"', text)
        assert len(shown) <= 10
        names += shown
        found = re.search(r'<a id="next" rel="next" href="\./\?([^"]*)"', text)
        if found is None:
            break
        query = found[1]
    assert (names, pages) == (NAMES, 3)
    assert visit(store, f"{ROOT}/many/", "marker=many%2Fzz", values=values)[0] == 200  # after the last one


def test_the_limit_is_that_of_the_cluster_at_most(store):
    assert StaticWeb(store.proxy, settings_of(listing_limit="99999999")).values.listing_limit == 10_000


@pytest.mark.parametrize(
    ("base", "location"),
    [
        ("", "http://host"), ("https:", "https://host"), ("https://", "https://host"),
        ("//www.example.com:8080", "http://www.example.com:8080"), ("https://www.example.com/", "https://www.example.com"),
    ],
)  # fmt: skip
def test_redirects_go_to_the_url_of_the_settings(store, base, location):
    status, headers, _ = visit(store, f"{ROOT}/sub", "x=1", values=settings_of(url_base=base))
    assert (status, headers["Location"]) == (301, f"{location}{ROOT}/sub/?x=1")


@pytest.mark.parametrize("base", ["www.example.com", "https://www.example.com/path", "//h?q", "a b"])
def test_a_url_with_more_than_scheme_and_host_is_refused(base):
    with pytest.raises(ConfigError, match="url_base"):
        settings_of(url_base=base)


def test_a_redirect_goes_to_the_host_and_path_that_the_client_knows(store):
    """Other filters may have replaced both."""
    seen = {"objstore.client_host": "www.example.org", "objstore.raw_target": "/s%75b"}
    status, headers, _ = visit(store, f"{ROOT}/sub", **seen)
    assert (status, headers["Location"]) == (301, "http://www.example.org/s%75b/")
    status, headers, _ = visit(store, f"{ROOT}/sub", **{"objstore.raw_target": '/\xfc"<\t'})
    assert headers["Location"] == "http://host/%FC%22%3C%09/"
    status, headers, _ = visit(store, f"{ROOT}/sub", SERVER_NAME="::1", SERVER_PORT="80", HTTP_HOST="")
    assert headers["Location"].startswith("http://")


def test_links_of_a_page_keep_the_temporary_url(store):
    query = "temp_url_sig=abc&temp_url_expires=99&temp_url_prefix=many/&inline"
    _, headers, text = visit(store, f"{ROOT}/many/", query, QUERY_STRING="")
    signed = "temp_url_prefix=many/&amp;temp_url_expires=99&amp;temp_url_sig=abc&amp;inline"
    assert f'href="./n00?{signed}"' in text and "../" not in text
    assert headers["Content-Disposition"] == "inline"
    _, headers, text = visit(store, f"{ROOT}/many/", "temp_url_sig=abc&temp_url_expires=99", QUERY_STRING="")
    assert 'href="./n00"' in text and headers["Content-Disposition"] == "inline"  # valid for this name alone
    assert "Content-Disposition" not in visit(store, f"{ROOT}/many/")[1]


def test_other_requests_pass(store):
    for method, path, environ in (
        ("GET", f"{ROOT}/many", {"objstore.preauthorized": True}),
        ("GET", "/v1/a", {}),
        ("GET", "/v9/a/c", {}),
        ("GET", "/", {}),
        ("GET", "/v1/a/other/", {}),
        ("OPTIONS", f"{ROOT}/many", {}),
    ):
        assert visit(store, path, method=method, **environ)[0] not in (301, 500)


def test_what_makes_a_site():
    assert Site.of({}) is None and Site.of({"web-listings-label": "x", "color": "red"}) is None
    site = Site.of({"web-index": " i.html ", "web-listings": "No"})
    assert site == Site("i.html", "", True, False, "", "", "application/directory")
    assert Site.of({"web-listings": "TRUE"}).listings


def test_the_defaults_are_those_of_the_table():
    assert [setting.name for setting in SETTINGS] == ["url_base", "listing_limit", "max_page_size"]
