"""Containers as web sites: indexes, listings, error pages, redirects."""

from __future__ import annotations

import hmac
import html
import json
import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote, urljoin

import pytest
from harness.client import Answer, Client, log_in
from harness.layouts import ONE_DEVICE
from harness.s3 import S3
from harness.store import Store

pytestmark = ONE_DEVICE

READ, LIST = ".r:*", ".r:*,.rlistings"
DIRECTORY = {"Content-Type": "application/directory"}
# Names that would break a page that did not escape or quote them.
HOSTILE = [
    "<script>alert(1)<img src=x>", "a&b;c", "q?x#y%z", "quote\"'", "a:b", "http:evil", "ü 日本", "white\u00a0 space",
    "+", "%2e%2e", "back\\slash", "tab\tname",
]  # fmt: skip


@pytest.fixture
def make_site(owner: Client, new_container: Callable[[], str]) -> Callable[..., str]:
    """Makes a container with these headers after `X-Container-Meta-Web-`, readable by everyone."""

    def make(read: str = LIST, **web: str) -> str:
        name = new_container()
        meta = {f"X-Container-Meta-Web-{key.replace('_', '-').title()}": value for key, value in web.items()}
        assert owner.post(name, {"X-Container-Read": read, **meta}).status == 204
        return name

    return make


@pytest.fixture
def visitor(owner: Client) -> Iterator[Client]:
    client = owner.with_token(None)
    yield client
    client.close()


@pytest.fixture
def site(owner: Client, make_site: Callable[..., str]) -> str:
    name = make_site(index="index.html", error="err.html", listings="true")
    for path, body in (
        ("index.html", b"INDEX"), ("sub/index.html", b"SUB"), ("list/one.txt", b"1"), ("list/deep/two.txt", b"22"),
        ("404err.html", b"NOT HERE"), ("401err.html", b"LOG IN"),
    ):  # fmt: skip
        assert owner.put(f"{name}/{path}", body).status == 201
    return name


def links(answer: Answer) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'href="([^"]*)"', answer.text)]


def entries(answer: Answer) -> list[str]:
    """Names that a listing shows, without that of its parent."""
    return [
        html.unescape(name)
        for name in re.findall(r'class="item [^"]*"><td class="colname"><a [^>]*>([^<]*)<', answer.text)
    ]


def test_an_index_is_served_for_its_directory(owner: Client, visitor: Client, site: str) -> None:
    for path, body in (("/", b"INDEX"), ("/sub/", b"SUB")):
        answer = visitor.get(site + path)
        assert (answer.status, answer.body, answer["Content-Type"]) == (200, body, "text/html")
        head = visitor.head(site + path)
        assert (head.status, head["Content-Length"], head["Etag"]) == (200, str(len(body)), answer["Etag"])
    assert visitor.get(f"{site}/index.html").body == b"INDEX"


@pytest.mark.parametrize("path", ["", "/sub", "/list", "/list/deep"])
def test_a_directory_without_slash_is_redirected(visitor: Client, site: str, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = visitor.request(method, site + path, {"Host": "www.example.com:81"}, query="a=b%20c&d")
        assert answer.status == 301
        assert answer["Location"] == f"http://www.example.com:81{visitor.root}/{site}{path}/?a=b%20c&d"


def test_a_redirect_keeps_the_encoding_of_the_path(owner: Client, visitor: Client, site: str) -> None:
    assert owner.put(f"{site}/a b/ü/x", b"").status == 201
    answer = visitor.send("GET", f"{visitor.root}/{site}/a%20b/%C3%BC")
    assert answer["Location"] == f"{visitor.endpoint}{visitor.root}/{site}/a%20b/%C3%BC/"
    answer = visitor.send("GET", f"{visitor.root}/{site}//evil.example.com/..%2f")
    assert answer.status == 404 and answer.body == b"NOT HERE"


def test_a_listing(visitor: Client, site: str) -> None:
    answer = visitor.get(f"{site}/list/")
    assert (answer.status, answer["Content-Type"]) == (200, "text/html; charset=UTF-8")
    assert links(answer) == ["../", "./deep/", "./one.txt"]
    assert entries(answer) == ["deep/", "one.txt"]
    assert f"Listing of {visitor.root}/{site}/list/" in answer.text
    assert '<span title="1 bytes">1 B</span>' in answer.text
    assert re.search(
        r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ">\d{4}-\d\d-\d\d \d\d:\d\d:\d\d</time>', answer.text
    )
    assert "color-scheme: light dark" in answer.text
    head = visitor.head(f"{site}/list/")
    assert (head.status, head["Content-Length"]) == (200, str(len(answer.body)))


def test_a_browser_or_a_script_may_ask_for_html_only(owner: Client, visitor: Client, site: str) -> None:
    for path in ("/", "/list/", ""):
        assert visitor.get(site + path, {"Accept": "text/html"}).status in (200, 301)
    assert owner.get(site, {"Accept": "text/html"}).status == 406


def test_an_index_of_json_is_not_taken_for_a_listing(
    owner: Client, visitor: Client, make_site: Callable[..., str]
) -> None:
    site = make_site(index="index.json")
    body = b'[{"name": "x"}]'
    assert owner.put(f"{site}/index.json", body, {"Content-Type": "application/json"}).status == 201
    answer = visitor.get(f"{site}/")
    assert (answer.body, answer["Content-Type"]) == (body, "application/json")


def test_every_link_of_a_listing_leads_to_its_object(
    owner: Client, visitor: Client, make_site: Callable[..., str]
) -> None:
    site = make_site(listings="on")
    for name in HOSTILE:
        assert owner.put(f"{site}/dir/{name}", name.encode()).status == 201
        assert owner.put(f"{site}/dir/{name}/below", b"").status == 201
    answer = visitor.get(f"{site}/dir/")
    assert sorted(entries(answer)) == sorted([*HOSTILE, *(f"{name}/" for name in HOSTILE)])
    assert "<script>" not in answer.text
    url = f"{visitor.root}/{site}/dir/"
    found = {}
    for link in links(answer)[1:]:
        target = urljoin(url, link)
        assert target.startswith(url)
        found[unquote(target[len(url) :])] = visitor.send("GET", target)
    for name in HOSTILE:
        assert found[name].body == name.encode()
        assert "below" in found[f"{name}/"].text


def test_a_hostile_path_in_the_title(visitor: Client, site: str, owner: Client) -> None:
    assert owner.put(f"{site}/<b>/x", b"").status == 201
    answer = visitor.send("GET", f"{visitor.root}/{site}/%3Cb%3E/")
    assert "&lt;b&gt;" in answer.text and "<b>" not in answer.text


def test_label_and_stylesheet(owner: Client, visitor: Client, make_site: Callable[..., str]) -> None:
    site = make_site(listings="yes", listings_label="My <files>", listings_css='css/"list".css')
    assert owner.put(f"{site}/a/b/c", b"").status == 201
    page = visitor.get(f"{site}/a/b/")
    assert "<title>Listing of My &lt;files&gt;/a/b/</title>" in page.text
    assert links(page)[0] == "../../css/%22list%22.css"
    assert "<style>" not in page.text
    for css in ("https://cdn.example.com/x.css", "/x.css"):
        owner.post(site, {"X-Container-Meta-Web-Listings-Css": css})
        assert links(visitor.get(f"{site}/a/b/"))[0] == css


def test_error_pages(visitor: Client, site: str) -> None:
    for path in ("none", "none/", "list/none", "sub/none/"):
        answer = visitor.get(f"{site}/{path}")
        assert (answer.status, answer.body, answer["Content-Type"]) == (404, b"NOT HERE", "text/html")
        head = visitor.head(f"{site}/{path}")
        assert (head.status, head["Content-Length"], head.body) == (404, "8", b"")
    answer = visitor.get(f"{site}/none", {"Range": "bytes=0-1", "If-None-Match": "*", "If-Match": '"x"'})
    assert (answer.status, answer.body) == (404, b"NOT HERE")


def test_without_the_page_the_error_is_the_usual_one(owner: Client, visitor: Client, site: str) -> None:
    assert owner.delete(f"{site}/404err.html").status == 204
    answer = visitor.get(f"{site}/none")
    assert answer.status == 404 and b"could not be found" in answer.body


def test_the_index_without_the_right_to_list(owner: Client, visitor: Client, site: str) -> None:
    assert owner.post(site, {"X-Container-Read": READ}).status == 204
    assert visitor.get(site).status == 301
    assert visitor.get(f"{site}/").body == b"INDEX"
    assert visitor.get(f"{site}/sub/").body == b"SUB"
    for path in ("list/", "none/"):
        answer = visitor.get(f"{site}/{path}")
        assert (answer.status, answer.body) == (401, b"LOG IN")
        assert answer["Www-Authenticate"].startswith("Swift realm=")
        assert visitor.head(f"{site}/{path}").status == 401
    assert visitor.get(f"{site}/none").body == b"NOT HERE"
    assert visitor.get(f"{site}/sub").status == 301
    for method in ("GET", "HEAD"):  # what only a listing shows is not known to this client
        assert visitor.request(method, f"{site}/list").status == 404


def test_a_private_site_is_not_shown(owner: Client, visitor: Client, site: str) -> None:
    assert owner.post(site, {"X-Container-Read": ""}).status == 204
    for path in ("", "/", "/index.html", "/sub", "/sub/", "/list/", "/none"):
        answer = visitor.get(site + path)
        assert answer.status == 401 and b"LOG IN" not in answer.body
        assert visitor.head(site + path).status == 401


def test_referrers(owner: Client, visitor: Client, site: str) -> None:
    assert owner.post(site, {"X-Container-Read": ".r:good.example.com,.rlistings"}).status == 204
    good = {"Referer": "http://good.example.com/"}
    assert visitor.get(f"{site}/", good).body == b"INDEX"
    assert visitor.get(f"{site}/list/", good).status == 200
    assert visitor.get(f"{site}/").status == 401


def test_conditions_and_ranges_are_those_of_the_index(visitor: Client, site: str) -> None:
    etag = visitor.head(f"{site}/")["Etag"]
    assert visitor.get(f"{site}/", {"If-None-Match": etag}).status == 304
    failed = visitor.get(f"{site}/", {"If-Match": '"other"'})
    assert failed.status == 412
    assert visitor.get(f"{site}/", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}).status == 304
    part = visitor.get(f"{site}/", {"Range": "bytes=1-2"})
    assert (part.status, part.body) == (206, b"ND")
    assert visitor.get(f"{site}/", {"Range": "bytes=10-"}).status == 416
    assert visitor.get(f"{site}/list/", {"Range": "bytes=1-2"}).status == 200


def test_a_token_means_the_api_unless_the_mode_is_web(owner: Client, site: str) -> None:
    assert "index.html" in owner.names(site)
    assert owner.get(f"{site}/sub").status == 404
    assert owner.get(f"{site}/list/").status == 404
    web = {"X-Web-Mode": "true"}
    assert owner.get(site, web).status == 301
    assert owner.get(f"{site}/", web).body == b"INDEX"
    assert owner.get(f"{site}/list/", web)["Content-Type"].startswith("text/html")
    assert owner.get(f"{site}/none", web).body == b"NOT HERE"
    assert owner.get(f"{site}/sub", {"X-Web-Mode": "false"}).status == 404


def test_an_owner_sees_its_private_site_in_web_mode(owner: Client, site: str) -> None:
    assert owner.post(site, {"X-Container-Read": ""}).status == 204
    assert owner.get(f"{site}/list/", {"X-Web-Mode": "yes"}).status == 200


def test_listings_that_are_disabled(owner: Client, visitor: Client, make_site: Callable[..., str]) -> None:
    site = make_site(index="index.html")
    assert owner.put(f"{site}/a/b", b"").status == 201
    assert visitor.get(f"{site}/a").status == 301
    for path in ("/", "/a/"):
        answer = visitor.get(site + path)
        assert answer.status == 404 and b"disabled" in answer.body and b"index.html" in answer.body
    owner.post(site, {"X-Container-Meta-Web-Listings": "false"})
    assert visitor.get(f"{site}/a/").status == 404


def test_a_site_that_has_only_error_pages(owner: Client, visitor: Client, make_site: Callable[..., str]) -> None:
    site = make_site(error="err.html")
    for name, body in (("404err.html", b"NOT HERE"), ("401err.html", b"LOG IN"), ("d/index.html", b"I"), ("d", b"")):
        owner.put(f"{site}/{name}", body, DIRECTORY)
    assert "404err.html" in visitor.names(site)
    assert visitor.get(f"{site}/d")["Content-Type"] == "application/directory"
    assert visitor.get(f"{site}/d/").body == visitor.get(f"{site}/none").body == b"NOT HERE"
    owner.post(site, {"X-Container-Read": READ})
    assert visitor.get(site).body == visitor.get(f"{site}/").body == b"LOG IN"


def test_web_mode_of_a_container_that_is_not_a_site(owner: Client, container: str, store: Store) -> None:
    owner.put(f"{container}/o", b"data")
    web = {"X-Web-Mode": "true"}
    assert owner.get(container, web).status == owner.get(f"{container}/", web).status == 404
    assert owner.get(f"{container}/o", web).body == b"data"
    store.add_user("other:web").close()
    stranger = log_in(store.endpoint, "other:web", "secret")
    for name in (container, f"{container}-none"):  # it does not reveal which containers exist
        answer = Client(owner.endpoint + owner.root, stranger.token).get(name, web)
        assert answer.status == 403
    stranger.close()


def test_a_container_without_these_settings_is_no_site(owner: Client, visitor: Client, container: str) -> None:
    owner.post(container, {"X-Container-Read": LIST})
    owner.put(f"{container}/d/index.html", b"")
    assert visitor.names(container) == ["d/index.html"]
    assert visitor.get(f"{container}/d").status == visitor.get(f"{container}/d/").status == 404


def test_settings_are_shown_and_removed(owner: Client, visitor: Client, site: str) -> None:
    assert owner.head(site)["X-Container-Meta-Web-Index"] == "index.html"
    for key in ("Index", "Error", "Listings"):
        owner.post(site, {f"X-Remove-Container-Meta-Web-{key}": "x"})
    assert visitor.get(f"{site}/")["Content-Type"].startswith("text/plain")


def test_markers_of_directories(owner: Client, visitor: Client, make_site: Callable[..., str]) -> None:
    site = make_site(index="index.html", listings="true")
    owner.put(f"{site}/full", b"", DIRECTORY)
    owner.put(f"{site}/full/x", b"x")
    owner.put(f"{site}/empty", b"", DIRECTORY)
    owner.put(f"{site}/data", b"12", DIRECTORY)
    owner.put(f"{site}/slash/", b"", DIRECTORY)
    owner.put(f"{site}/slash/x", b"x")
    owner.put(f"{site}/real/", b"data")
    assert visitor.get(f"{site}/full").status == 301
    assert entries(visitor.get(f"{site}/full/")) == ["x"]
    assert visitor.get(f"{site}/empty").status == 404
    assert visitor.get(f"{site}/data").body == b"12"
    assert visitor.get(f"{site}/data", {"Range": "bytes=0-0"}).body == b"1"
    assert visitor.get(f"{site}/slash").status == 301
    assert entries(visitor.get(f"{site}/slash/")) == ["x"]
    assert visitor.get(f"{site}/real/").body == b"data"
    owner.post(site, {"X-Container-Meta-Web-Directory-Type": "text/directory"})
    assert visitor.get(f"{site}/full")["Content-Type"] == "application/directory"
    owner.put(f"{site}/text", b"", {"Content-Type": "text/directory"})
    owner.put(f"{site}/text/x", b"x")
    assert visitor.get(f"{site}/text").status == 301


def test_changes_pass(owner: Client, visitor: Client, site: str) -> None:
    for method in ("PUT", "POST", "DELETE"):
        assert visitor.request(method, f"{site}/index.html", {"Content-Length": "0"}).status == 401
    assert owner.put(f"{site}/index.html", b"NEW", {"X-Web-Mode": "true"}).status == 201
    assert visitor.get(f"{site}/").body == b"NEW"


def test_cross_origin_requests(owner: Client, visitor: Client, site: str) -> None:
    owner.post(site, {"X-Container-Meta-Access-Control-Allow-Origin": "http://a.example.com"})
    origin = {"Origin": "http://a.example.com"}
    for path in ("/", "/list/", "/none", "/list/one.txt"):
        assert visitor.get(site + path, origin)["Access-Control-Allow-Origin"] == "http://a.example.com"


def test_a_deleted_index_leaves_the_listing(owner: Client, visitor: Client, site: str) -> None:
    owner.delete(f"{site}/index.html")
    answer = visitor.get(f"{site}/")
    assert answer.status == 200 and "index.html" not in entries(answer)
    assert visitor.get(site).status == 301


@pytest.mark.parametrize("path", ["%00", "%FF", "sub/%00/", "a%FF/"])
def test_names_that_cannot_be(visitor: Client, site: str, path: str) -> None:
    assert visitor.send("GET", f"{visitor.root}/{site}/{path}").status in (400, 404, 412)


@pytest.mark.parametrize(
    "query", ["marker=%FF", "marker=" + "x" * 2000, "marker=%00", "&&=&", "format=xml", "limit=99999999"]
)
def test_odd_queries_of_a_listing(visitor: Client, site: str, query: str) -> None:
    assert visitor.request("GET", f"{site}/list/", query=query).status in (200, 400, 412)
    assert visitor.request("GET", f"{site}/", query=query).status in (200, 400, 412)


def signed(visitor: Client, path: str, prefix: str | None = None, key: str = "site-key") -> str:
    """The query of a temporary URL of an object, or of all with a prefix."""
    expires = int(time.time()) + 600
    of = f"{visitor.root}/{path}" if prefix is None else f"prefix:{visitor.root}/{path}"
    signature = hmac.new(key.encode(), f"GET\n{expires}\n{of}".encode(), "sha256").hexdigest()
    more = "" if prefix is None else f"&temp_url_prefix={quote(prefix)}"
    return f"temp_url_sig={signature}&temp_url_expires={expires}{more}"


def test_a_private_site_by_temporary_urls(owner: Client, visitor: Client, site: str) -> None:
    owner.post(site, {"X-Container-Read": "", "X-Container-Meta-Temp-Url-Key": "site-key"})
    query = signed(visitor, f"{site}/list/", "list/")
    page = visitor.request("GET", f"{site}/list/", query=query)
    assert (page.status, page["Content-Disposition"]) == (200, "inline")
    assert entries(page) == ["deep/", "one.txt"]
    assert len(links(page)) == 2  # without that of the parent, which the URL does not open
    url = f"{visitor.root}/{site}/list/"
    assert visitor.send("GET", urljoin(url, links(page)[1])).body == b"1"
    deeper = visitor.send("GET", urljoin(url, links(page)[0]))
    assert entries(deeper) == ["two.txt"] and len(links(deeper)) == 2
    assert visitor.send("GET", urljoin(f"{url}deep/", links(deeper)[0])).body == page.body
    moved = visitor.request("GET", f"{site}/list/deep", query=query)
    assert moved.status == 301 and visitor.send("GET", moved["Location"].removeprefix(visitor.endpoint)).status == 200
    assert visitor.request("GET", f"{site}/list/none", query=query).body == b"NOT HERE"
    for path in ("/", "/sub/", "/index.html", ""):
        assert visitor.request("GET", site + path, query=query).status == 401
    assert visitor.request("GET", f"{site}/sub/", query=signed(visitor, f"{site}/sub/")).body == b"SUB"
    assert visitor.get(f"{site}/list/").status == 401


def test_a_page_of_a_temporary_url_leads_on_below_its_prefix_only(owner: Client, visitor: Client, site: str) -> None:
    owner.post(site, {"X-Container-Read": "", "X-Container-Meta-Temp-Url-Key": "site-key"})
    query = signed(visitor, f"{site}/list/", "list/")
    after = visitor.request("GET", f"{site}/list/", query=f"marker=list/deep/&{query}")
    assert entries(after) == ["one.txt"]
    assert entries(visitor.request("GET", f"{site}/list/", query=f"marker=&prefix=&delimiter=x&{query}")) == [
        "deep/",
        "one.txt",
    ]


def test_a_temporary_url_of_all_names_opens_the_site_and_no_listing_of_the_container(
    owner: Client, visitor: Client, site: str, new_container: Callable[[], str]
) -> None:
    plain = new_container()
    assert owner.put(f"{plain}/one", b"1").status == 201
    for container in (site, plain):
        owner.post(container, {"X-Container-Read": "", "X-Container-Meta-Temp-Url-Key": "site-key"})
    query = signed(visitor, f"{site}/", "")
    moved = visitor.request("GET", site, query=query)
    assert moved.status == 301
    assert visitor.send("GET", moved["Location"].removeprefix(visitor.endpoint)).body == b"INDEX"
    assert visitor.request("GET", f"{site}/list/", query=query).status == 200
    query = signed(visitor, f"{plain}/", "")
    assert visitor.request("GET", f"{plain}/one", query=query).body == b"1"
    for path in (plain, f"{plain}/"):
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            assert visitor.request(method, path, query=query).status == 401
        for more in ("&format=json", "&versions", "&prefix=o", "&limit=1"):
            assert visitor.request("GET", path, query=query + more).status == 401


def test_a_versioned_site_shows_current_versions(store: Store, owner: Client, visitor: Client, site: str) -> None:
    known = store.started_here().credentials
    s3 = S3(store.endpoint, known["access_key"], known["secret_key"])
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert s3.put(f"/{site}?versioning", enabled).status == 200
    assert owner.put(f"{site}/index.html", b"NEW").status == 201
    assert visitor.get(f"{site}/").body == b"NEW"
    assert owner.delete(f"{site}/list/one.txt").status == 204
    assert entries(visitor.get(f"{site}/list/")) == ["deep/"]
    assert owner.delete(f"{site}/list/deep/two.txt").status == 204
    assert (visitor.get(f"{site}/list").status, visitor.get(f"{site}/list/").status) == (404, 404)
    assert owner.delete(f"{site}/404err.html").status == 204
    assert b"could not be found" in visitor.get(f"{site}/none").body
    s3.close()


def test_pages_that_are_links_or_large_objects(
    owner: Client, visitor: Client, site: str, new_container: Callable[[], str]
) -> None:
    other = new_container()
    assert owner.put(f"{other}/part", b"LARGE").status == 201
    manifest = json.dumps([{"path": f"/{other}/part"}, {"path": f"/{other}/part"}]).encode()
    assert owner.request("PUT", f"{site}/large/index.html", {}, manifest, {"multipart-manifest": "put"}).status == 201
    assert owner.put(f"{site}/link/index.html", b"", {"X-Symlink-Target": f"{other}/part"}).status == 201
    for path in ("large/", "link/"):  # clients may not read the container of the data
        assert visitor.get(f"{site}/{path}").body == b"LOG IN"
    owner.post(other, {"X-Container-Read": READ})
    assert visitor.get(f"{site}/large/").body == b"LARGELARGE"
    assert visitor.get(f"{site}/large/", {"Range": "bytes=4-5"}).body == b"EL"
    assert visitor.get(f"{site}/link/").body == b"LARGE"
    assert (visitor.head(f"{site}/large/")["Content-Length"], visitor.head(f"{site}/link/")["Content-Length"]) == (
        "10",
        "5",
    )
    owner.put(f"{site}/404err.html", b"", {"X-Symlink-Target": f"{other}/part"})
    assert (visitor.get(f"{site}/none").status, visitor.get(f"{site}/none").body) == (404, b"LARGE")
    owner.post(site, {"X-Remove-Container-Meta-Web-Index": "x"})
    assert "10 B" in visitor.get(f"{site}/large/").text


def test_the_feature_is_in_info(owner: Client) -> None:
    assert owner.send("GET", "/info").json["staticweb"] == {}
