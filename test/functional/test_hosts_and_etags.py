"""Filters that a pipeline does not have by default: domain_remap, cname_lookup, crossdomain and etag_quoter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from harness.client import Answer, Client, exchange, log_in
from harness.name_server import NameServer
from harness.processes import Serve
from harness.s3 import S3

DOMAIN = "store.test"
SITE = f"site.AUTH-admin.{DOMAIN}"
DATA = b"data"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def names() -> Iterator[NameServer]:
    with NameServer() as made:
        made.records["www.example.org"] = (SITE.lower(), 300)
        made.broken.add("broken.example.org")
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, names: NameServer) -> Iterator[Serve]:
    place: Path = tmp_path_factory.mktemp("hosts")
    made = Serve(place / "data", place / "log", workers=2)
    made.start()
    made.stop()
    conf = place / "data/etc/proxy-server.conf"
    text = conf.read_text()
    for old, new in (
        (" cache ", " crossdomain cache cname_lookup domain_remap "),
        (" info ", " info etag_quoter "),
        ("egg:objstore#s3\n", "egg:objstore#s3\ndomains = s3.test\n"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    text += f"""
[filter:crossdomain]
use = egg:objstore#crossdomain
cross_domain_policy = <allow-access-from domain="*.example.com" />
    <allow-access-from domain="www.example.org" secure="false" />

[filter:cname_lookup]
use = egg:objstore#cname_lookup
storage_domain = {DOMAIN}
nameservers = {names.address}
lookup_timeout = 1s

[filter:domain_remap]
use = egg:objstore#domain_remap
storage_domain = {DOMAIN}

[filter:etag_quoter]
use = egg:objstore#etag_quoter
"""
    conf.write_text(text)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(server: Serve) -> Iterator[Client]:
    known = server.credentials
    made = log_in(known["endpoint"], known["user"], known["key"])
    web = {"X-Container-Meta-Web-Index": "index.html", "X-Container-Meta-Web-Error": "err.html"}
    assert made.put("site", b"", {"X-Container-Read": ".r:*,.rlistings", **web}).status == 201
    for name, body in (
        ("index.html", b"INDEX"),
        ("sub/index.html", b"SUB"),
        ("404err.html", b"NONE"),
        ("info", b"INFO"),
    ):
        assert made.put(f"site/{name}", body).status == 201
    yield made
    made.close()


@pytest.fixture(scope="module")
def visitor(client: Client) -> Iterator[Client]:
    made = client.with_token(None)
    yield made
    made.close()


def visit(visitor: Client, host: str, target: str = "/", method: str = "GET") -> Answer:
    return visitor.send(method, target, {"Host": host})


@pytest.mark.parametrize("host", [SITE, SITE.lower(), SITE.upper(), f"{SITE}:81", f"{SITE}.", "www.example.org"])
def test_a_site_by_its_host(visitor: Client, client: Client, host: str) -> None:
    assert visit(visitor, host).body == b"INDEX"
    assert visit(visitor, host, "/sub/").body == b"SUB"
    assert visit(visitor, host, "/info").body == b"INFO"
    assert (visit(visitor, host, "/none").status, visit(visitor, host, "/none").body) == (404, b"NONE")
    moved = visit(visitor, host, "/sub?a=b")
    assert (moved.status, moved["Location"]) == (301, f"http://{host}/sub/?a=b")


def test_an_account_by_its_host(client: Client, visitor: Client) -> None:
    host = {"Host": f"AUTH-admin.{DOMAIN}"}
    assert visitor.send("GET", "/site/index.html", host).body == b"INDEX"
    assert "site" in client.send("GET", "/", host).lines
    assert visitor.send("GET", "/", host).status == 401
    assert client.send("PUT", "/site/put", host, DATA).status == 201
    assert client.get("site/put").body == DATA


def test_hosts_that_are_not_remapped(client: Client, visitor: Client) -> None:
    path = f"{visitor.root}/site/index.html"
    for host in (DOMAIN, "127.0.0.1", "127.0.0.1:1", "[::1]:80", "localhost", f"site.other-a.{DOMAIN}"):
        assert visit(visitor, host, path).body == b"INDEX"
    assert visit(visitor, f"a.b.c.{DOMAIN}", path).status == 400
    assert visit(visitor, "nowhere.example.org", path).status == 400
    assert visit(visitor, "broken.example.org", path).status == 503


def test_look_ups_are_remembered(visitor: Client, names: NameServer) -> None:
    for _ in range(20):
        assert visit(visitor, "www.example.org").status == 200
    assert names.asked.count("www.example.org") <= 2 * 2  # by two workers, perhaps twice at the same time


def test_a_browser_follows_the_redirect(server: Serve, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a client that resolves names, as `curl --resolve` does."""
    host, _, port = server.credentials["endpoint"].rpartition("/")[2].rpartition(":")
    from urllib3.util import connection

    real = connection.create_connection
    monkeypatch.setattr(
        connection, "create_connection", lambda address, *more, **kw: real((host, address[1]), *more, **kw)
    )
    answer = requests.get(f"http://{SITE}:{port}/sub", timeout=10)
    assert (answer.text, answer.url) == ("SUB", f"http://{SITE.lower()}:{port}/sub/")


def test_buckets_by_their_hosts_are_left_alone(server: Serve) -> None:
    known = server.credentials
    s3 = S3(known["endpoint"], known["access_key"], known["secret_key"])
    headers = {"Host": "bucket.s3.test"}
    assert s3.put("/", b"", headers).status == 200
    assert s3.put("/crossdomain.xml", b"key", headers).status == 200
    assert s3.get("/crossdomain.xml", headers).body == b"key"
    for host in ("s3.test", DOMAIN, SITE, "www.example.org"):  # a signature means S3, with the bucket in the path
        assert s3.get("/bucket/crossdomain.xml", {"Host": host}).body == b"key"
    s3.close()


def test_the_policy_of_cross_domain_requests(visitor: Client) -> None:
    answer = visitor.send("GET", "/crossdomain.xml")
    assert (answer.status, answer["Content-Type"]) == (200, "application/xml")
    assert b'domain="*.example.com"' in answer.body and b"www.example.org" in answer.body
    assert visitor.send("HEAD", "/crossdomain.xml").status == 200
    assert visitor.send("PUT", "/crossdomain.xml", {"Content-Length": "0"}).status != 200


def test_info(visitor: Client) -> None:
    info = visitor.send("GET", "/info").json
    assert info["crossdomain"] == {}
    assert info["domain_remap"] == {"default_reseller_prefix": None}
    assert info["cname_lookup"] == {"lookup_depth": 1}
    assert info["etag_quoter"] == {"enable_by_default": False}


@pytest.mark.parametrize(
    "host", [b"a" * 3000, b"%00." + DOMAIN.encode(), b"x y." + DOMAIN.encode(), b"\xff." + DOMAIN.encode()]
)
def test_hosts_that_cannot_be(server: Serve, client: Client, host: bytes) -> None:
    address = ("127.0.0.1", int(server.credentials["endpoint"].rpartition(":")[2]))
    answer = exchange(address, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert answer[9:12] in (b"400", b"403", b"404", b"412", b"503")


# Etags


@pytest.fixture
def container(client: Client) -> Iterator[str]:
    assert client.put("etags").status == 201
    assert client.put("etags/o", DATA).status == 201
    yield "etags"
    client.wipe("etags")


def etag(client: Client, path: str = "etags/o") -> str:
    return client.head(path)["Etag"]


CHOICE = "X-Container-Rfc-Compliant-Etags"
OF_ACCOUNT = "X-Account-Rfc-Compliant-Etags"


def test_etags_are_quoted_if_the_container_wants_it(client: Client, container: str) -> None:
    assert etag(client) == MD5
    assert client.post(container, {CHOICE: "yes"}).status == 204
    assert client.head(container)[CHOICE] == "True"
    quoted = f'"{MD5}"'
    assert etag(client) == client.get("etags/o")["Etag"] == quoted
    assert client.put("etags/new", DATA)["Etag"] == quoted
    assert client.copy("etags/o", "etags/copy")["Etag"] == quoted
    assert client.get("etags/o", {"Range": "bytes=1-1"})["Etag"] == quoted
    for tag in (MD5, quoted):
        assert client.get("etags/o", {"If-None-Match": tag}).status == 304
        assert client.get("etags/o", {"If-Match": tag}).status == 200
    assert client.get("etags/o", {"If-None-Match": MD5})["Etag"] == quoted
    assert client.get("etags/o", {"If-Match": '"x"'})["Etag"] == quoted
    assert client.get(container, format="json").json[0]["hash"] == MD5


@pytest.mark.parametrize(("value", "shown"), [("false", "False"), ("0", "False"), ("banana", "False"), ("1", "True")])
def test_a_choice_is_yes_or_no(client: Client, container: str, value: str, shown: str) -> None:
    assert client.post(container, {CHOICE: value}).status == 204
    assert client.head(container)[CHOICE] == shown
    assert etag(client) == (f'"{MD5}"' if shown == "True" else MD5)


@pytest.mark.parametrize("removal", [{CHOICE: ""}, {f"X-Remove-{CHOICE[2:]}": "x"}])
def test_a_choice_is_taken_back(client: Client, container: str, removal: dict[str, str]) -> None:
    client.post(container, {CHOICE: "true"})
    assert client.post(container, removal).status == 204
    assert client.head(container).get(CHOICE) is None
    assert etag(client) == MD5


def test_the_account_decides_for_its_containers(client: Client, container: str) -> None:
    assert client.post("", {OF_ACCOUNT: "true"}).status == 204
    try:
        assert client.head("")[OF_ACCOUNT] == "True"
        assert etag(client) == f'"{MD5}"'
        client.post(container, {CHOICE: "false"})
        assert etag(client) == MD5
    finally:
        assert client.post("", {f"X-Remove-{OF_ACCOUNT[2:]}": "x"}).status == 204
    assert client.head("").get(OF_ACCOUNT) is None


def test_a_new_container_with_its_choice(client: Client) -> None:
    assert client.put("born", b"", {CHOICE: "true"}).status == 201
    client.put("born/o", DATA)
    assert etag(client, "born/o") == f'"{MD5}"'
    client.wipe("born")


def test_the_index_of_a_site_is_quoted_too(client: Client, visitor: Client) -> None:
    client.post("site", {CHOICE: "true"})
    assert visit(visitor, SITE)["Etag"].startswith('"')
    client.post("site", {CHOICE: ""})


def test_without_the_filter_the_choice_is_refused(owner: Client) -> None:
    assert owner.put("etags-refused", b"", {CHOICE: "true"}).status == 501
    assert owner.post("", {OF_ACCOUNT: "true"}).status == 501
