"""Temporary URLs: what their keys, times and texts allow, and what they do not."""

from __future__ import annotations

import base64
import hmac
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from harness.client import Answer, Client
from harness.layouts import ONE_DEVICE
from harness.store import Store
from swiftclient.utils import generate_temp_url

pytestmark = ONE_DEVICE

KEY, OTHER_KEY, ACCOUNT_KEY, OTHER_ACCOUNT_KEY = "container-key", "schlüssel", "account-key", "account-key-2"
CONTENT = b"0123456789"


class Bearer:
    """A client without a token, which makes URLs of a container with a key. name: of the object."""

    def __init__(self, client: Client, container: str, name: str = "dir/o.txt") -> None:
        self.client = client
        self.container = container
        self.root = f"{client.root}/{container}"
        self.path = f"{self.root}/{name}"
        self.expires = int(time.time()) + 600

    def sign(
        self, method: str = "GET", path: str = "", key: str = KEY, expires: int | None = None, digest: str = "sha256"
    ) -> str:
        text = f"{method}\n{self.expires if expires is None else expires}\n{path or self.path}"
        return hmac.new(key.encode(), text.encode(), digest).hexdigest()

    def query(self, method: str = "GET", path: str = "", key: str = KEY) -> str:
        return f"temp_url_sig={self.sign(method, path, key)}&temp_url_expires={self.expires}"

    def send(
        self,
        method: str,
        query: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        target: str = "",
    ) -> Answer:
        return self.client.send(method, target or quote(self.path), headers, body, query)

    def get(self, query: str = "", **headers: str) -> Answer:
        return self.send("GET", query or self.query(), {name.replace("_", "-"): text for name, text in headers.items()})


@pytest.fixture
def bearer(owner: Client, container: str, anonymous: Client) -> Iterator[Bearer]:
    keys = {"X-Container-Meta-Temp-URL-Key": KEY, "X-Container-Meta-Temp-URL-Key-2": OTHER_KEY}
    assert owner.post(container, keys).status == 204
    keys = {"X-Account-Meta-Temp-URL-Key": ACCOUNT_KEY, "X-Account-Meta-Temp-URL-Key-2": OTHER_ACCOUNT_KEY}
    assert owner.post("", keys).status == 204
    headers = {
        "Content-Type": "text/plain", "X-Object-Meta-Secret": "hidden", "X-Object-Meta-Public-Color": "blue",
        "Expires": "Thu, 01 Jan 2099 00:00:00 GMT",
    }  # fmt: skip
    assert owner.put(f"{container}/dir/o.txt", CONTENT, headers).status == 201
    yield Bearer(anonymous, container)
    owner.post("", dict.fromkeys(keys, ""))


def refused(answer: Answer) -> bool:
    """401 without a word about the object."""
    return answer.status == 401 and CONTENT not in answer.body and answer.get("Etag") is None


# Reading


def test_a_download(bearer: Bearer) -> None:
    answer = bearer.get()
    assert (answer.status, answer.body, answer["Content-Type"]) == (200, CONTENT, "text/plain")
    assert answer["Content-Disposition"] == "attachment; filename=\"o.txt\"; filename*=UTF-8''o.txt"
    assert answer["Expires"] == time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(bearer.expires))
    assert answer["X-Object-Meta-Public-Color"] == "blue"
    assert answer.get("X-Object-Meta-Secret") is None


@pytest.mark.parametrize(
    ("parameters", "disposition"),
    [
        ("inline", "inline"),
        ("inline=", "inline"),
        ("inline&filename=a%20b%22c", "inline; filename=\"a b%22c\"; filename*=UTF-8''a%20b%22c"),
        ("filename=My+T%C3%A9st.pdf", "attachment; filename=\"My T%C3%A9st.pdf\"; filename*=UTF-8''My%20T%C3%A9st.pdf"),
        ("filename=a%0d%0aX-Evil:1", "attachment; filename=\"a%0D%0AX-Evil%3A1\"; filename*=UTF-8''a%0D%0AX-Evil%3A1"),
        ("filename=", "attachment; filename=\"o.txt\"; filename*=UTF-8''o.txt"),
        ("_=123", "attachment; filename=\"o.txt\"; filename*=UTF-8''o.txt"),
    ],
)
def test_the_file_name_of_a_download(bearer: Bearer, parameters: str, disposition: str) -> None:
    answer = bearer.get(f"{bearer.query()}&{parameters}")
    assert (answer.status, answer["Content-Disposition"]) == (200, disposition)


def test_a_disposition_of_the_object_counts_unless_the_url_has_one(owner: Client, bearer: Bearer) -> None:
    owner.put(f"{bearer.container}/dir/o.txt", CONTENT, {"Content-Disposition": "attachment; filename=own"})
    assert bearer.get()["Content-Disposition"] == "attachment; filename=own"
    assert bearer.get(bearer.query() + "&inline")["Content-Disposition"] == "inline"
    assert 'filename="x"' in bearer.get(bearer.query() + "&filename=x")["Content-Disposition"]


def test_ranges_and_conditions(bearer: Bearer) -> None:
    part = bearer.get(Range="bytes=2-4")
    assert (part.status, part.body, part["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert part["Content-Disposition"].startswith("attachment")
    etag = bearer.get()["Etag"]
    for status, headers in ((304, {"If_None_Match": etag}), (412, {"If_Match": "x"}), (416, {"Range": "bytes=99-"})):
        answer = bearer.get(**headers)
        assert (answer.status, answer.get("X-Object-Meta-Secret")) == (status, None)


@pytest.mark.parametrize(("signed", "status"), [
    ("HEAD", 200), ("GET", 200), ("PUT", 200), ("POST", 200), ("DELETE", 401)
])  # fmt: skip
def test_a_head_by_the_url_of_another_method(bearer: Bearer, signed: str, status: int) -> None:
    assert bearer.send("HEAD", bearer.query(signed)).status == status
    assert bearer.get(bearer.query(signed)).status == (200 if signed == "GET" else 401)


@pytest.mark.parametrize("key", [KEY, OTHER_KEY, ACCOUNT_KEY, OTHER_ACCOUNT_KEY])
def test_each_of_the_four_keys_works(bearer: Bearer, key: str) -> None:
    assert bearer.get(bearer.query(key=key)).body == CONTENT


def test_keys_are_rotated(owner: Client, bearer: Bearer) -> None:
    first, second = bearer.query(), bearer.query(key=OTHER_KEY)
    assert owner.post(bearer.container, {"X-Container-Meta-Temp-URL-Key": "new"}).status == 204
    assert refused(bearer.get(first))
    assert bearer.get(second).status == 200
    assert bearer.get(bearer.query(key="new")).status == 200
    assert owner.post(bearer.container, {"X-Remove-Container-Meta-Temp-URL-Key-2": "x"}).status == 204
    assert refused(bearer.get(second))


def test_a_removed_key_signs_nothing(owner: Client, bearer: Bearer) -> None:
    names = ("X-Container-Meta-Temp-URL-Key", "X-Container-Meta-Temp-URL-Key-2")
    assert owner.post(bearer.container, dict.fromkeys(names, "")).status == 204
    assert refused(bearer.get(bearer.query(key="")))
    assert refused(bearer.get(bearer.query()))


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_digests_and_encodings(bearer: Bearer, digest: str) -> None:
    hexadecimal = bearer.sign(digest=digest)
    encoded = base64.b64encode(bytes.fromhex(hexadecimal)).decode()
    safe = encoded.translate(str.maketrans("+/", "-_")).rstrip("=")
    for signature in (hexadecimal, f"{digest}:{encoded}", f"{digest}:{safe}"):
        answer = bearer.get(f"temp_url_sig={quote(signature, safe='')}&temp_url_expires={bearer.expires}")
        assert answer.status == 200, signature
    for signature in (hexadecimal.upper(), hexadecimal[:-1], f"md5:{encoded}", f"{digest}:", f"{digest}:{encoded}A"):
        assert refused(bearer.get(f"temp_url_sig={quote(signature, safe='')}&temp_url_expires={bearer.expires}"))
    assert refused(bearer.get(f"temp_url_sig={bearer.sign(digest='md5')}&temp_url_expires={bearer.expires}"))


def test_the_time_as_iso_8601(bearer: Bearer) -> None:
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bearer.expires))
    assert bearer.get(f"temp_url_sig={bearer.sign()}&temp_url_expires={text}").status == 200
    for other in (
        text[:-1],
        text[:10],
        text.replace("Z", "%2B00:00"),
        text.replace("T", "%20"),
        "2026-13-01T00:00:00Z",
    ):
        assert refused(bearer.get(f"temp_url_sig={bearer.sign()}&temp_url_expires={other}"))


def test_a_url_ends(bearer: Bearer) -> None:
    expires = int(time.time()) + 2
    query = f"temp_url_sig={bearer.sign(expires=expires)}&temp_url_expires={expires}"
    assert bearer.get(query).status == 200
    time.sleep(3.1)
    assert refused(bearer.get(query))


@pytest.mark.parametrize(
    "expires",
    ["0", "-1", "1.5", "9" * 19, "9" * 4000, "", "never", "１７９５", "+{}", "0{}", " {}", "{}_0"],
)
def test_times_that_are_none(bearer: Bearer, expires: str) -> None:
    text = quote(expires.format(bearer.expires), safe="")
    assert refused(bearer.get(f"temp_url_sig={bearer.sign()}&temp_url_expires={text}"))


def test_a_distant_time_is_a_valid_header(bearer: Bearer) -> None:
    distant = 10**17
    answer = bearer.get(f"temp_url_sig={bearer.sign(expires=distant)}&temp_url_expires={distant}")
    assert (answer.status, answer["Expires"]) == (200, "Fri, 31 Dec 9999 23:59:59 GMT")


# What was not signed


def test_other_methods_paths_and_times_are_refused(owner: Client, bearer: Bearer) -> None:
    query = bearer.query()
    owner.put(f"{bearer.container}/dir/o.txt2", CONTENT)
    for method in ("PUT", "POST", "DELETE", "COPY", "PATCH", "FOO"):
        assert bearer.send(method, query, {"Content-Length": "0"}).status == 401, method
    root = quote(bearer.root)
    for target in (
        f"{root}/dir/o.txt2", f"{root}/dir/o.tx", f"{root}/dir/o.txt/", f"{root}/dir//o.txt", f"{root}/dir/./o.txt",
        f"{root}/x/../dir/o.txt", f"{root}/dir/o%252etxt", f"{root}/dir/o.txt%00", f"{root}/dir/o.txt%0a", root,
        f"{root}/", quote(bearer.client.root), f"/v1.0{root.removeprefix('/v1')}/dir/o.txt",
        f"{root}/dir/o.txt%3Ftemp_url_sig", f"{root}/DIR/o.txt", f"{root}/dir/%C0%AEo.txt",
    ):  # fmt: skip
        assert refused(bearer.send("GET", query, target=target)), target
    assert refused(bearer.get(query.replace(str(bearer.expires), str(bearer.expires + 1))))


def test_the_same_name_in_another_encoding_is_the_same_object(bearer: Bearer) -> None:
    """RFC 3986, 6.2.2.2: what is signed is the name itself, so that proxies may encode it as they like."""
    target = quote(bearer.path).replace("o.txt", "%6f%2Etxt")
    assert bearer.send("GET", bearer.query(), target=target).body == CONTENT


def test_parameters_that_are_repeated_or_missing(bearer: Bearer) -> None:
    good, expires = f"temp_url_sig={bearer.sign()}", f"temp_url_expires={bearer.expires}"
    for query in (
        good, expires, "temp_url_sig", "temp_url_", "temp_url_prefix=", f"temp_url_sig=&{expires}",
        f"{good}&{good}&{expires}", f"temp_url_sig=x&{good}&{expires}", f"{good}&temp_url_sig=x&{expires}",
        f"{good}&{expires}&temp_url_expires={bearer.expires + 9}", f"{good}&{expires}&temp%5Furl_expires=1",
        f"{good}&{expires}&filename=a&filename=b", f"{good}&{expires}&inline&inline", f"{good}&{expires}&filename=%ff",
        f"{good}&{expires}&temp_url_prefix=dir", f"{good}&{expires}&temp_url_ip_range=127.0.0.1",
        f"{good};{expires}", f"{good}&{expires}&" + "&".join("a" for _ in range(1500)),
    ):  # fmt: skip
        assert refused(bearer.get(query)), query[:200]


@pytest.mark.parametrize("key", ["x", "", "container-ke", "CONTAINER-KEY"])
def test_other_keys_are_refused(bearer: Bearer, key: str) -> None:
    assert refused(bearer.get(bearer.query(key=key)))


def test_a_token_neither_helps_nor_hurts(owner: Client, bearer: Bearer) -> None:
    bad = bearer.query(key="x")
    assert refused(owner.send("GET", quote(bearer.path), query=bad))
    assert owner.send("GET", quote(bearer.path), query=bearer.query()).status == 200
    assert bearer.get(X_Auth_Token="AUTH_tkxyz").status == 200


def test_the_rest_of_the_query_has_no_effect_on_a_read(bearer: Bearer) -> None:
    for query in ("multipart-manifest=get", "symlink=get", "version-id=1", "format=json"):
        answer = bearer.get(f"{bearer.query()}&{query}")
        assert (answer.status, answer.body) == (200, CONTENT)


def test_missing_things(owner: Client, bearer: Bearer) -> None:
    path = f"{bearer.root}/nothing"
    assert bearer.send("GET", bearer.query(path=path), target=path).status == 404
    path = f"{bearer.client.root}/no-container/o"
    assert refused(bearer.send("GET", bearer.query(path=path), target=path))
    assert bearer.send("GET", bearer.query(path=path, key=ACCOUNT_KEY), target=path).status == 404
    path = "/v1/AUTH_no-account-of-this-name/c/o"
    assert refused(bearer.send("GET", bearer.query(path=path), target=path))


# Changes


def test_an_upload(owner: Client, bearer: Bearer) -> None:
    path = f"{bearer.root}/new"
    headers = {"Content-Type": "text/x-new", "X-Object-Meta-A": "1", "X-Delete-After": "500", "X-Timestamp": "1.0"}
    assert bearer.send("PUT", bearer.query("PUT", path), headers, b"abc", path).status == 201
    stored = owner.get(f"{bearer.container}/new")
    assert (stored.body, stored["Content-Type"], stored["X-Object-Meta-A"]) == (b"abc", "text/x-new", "1")
    assert float(stored["X-Timestamp"]) > 1e9
    assert stored.get("X-Delete-At") is not None
    assert bearer.send("POST", bearer.query("POST", path), {"X-Object-Meta-B": "2"}, b"", path).status == 202
    assert owner.head(f"{bearer.container}/new")["X-Object-Meta-B"] == "2"
    assert refused(bearer.send("DELETE", bearer.query("PUT", path), target=path))
    assert bearer.send("DELETE", bearer.query("DELETE", path), target=path).status == 204
    assert owner.head(f"{bearer.container}/new").status == 404


@pytest.mark.parametrize(
    "header",
    [
        "X-Object-Manifest", "X-Symlink-Target", "X-Symlink-Target-Account", "X-Symlink-Target-Etag", "X-Copy-From",
        "X-Static-Large-Object",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["{}/dir/o.txt", ""])
def test_an_upload_cannot_refer_to_other_data(owner: Client, bearer: Bearer, header: str, value: str) -> None:
    path = f"{bearer.root}/new"
    for method in ("PUT", "POST"):
        sent = {header: value.format(bearer.container)}
        answer = bearer.send(method, bearer.query(method, path), sent, b"", path)
        assert (answer.status, header in answer.text) == (400, True), answer
    assert owner.head(f"{bearer.container}/new").status == 404


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ("PUT", "multipart-manifest=put"), ("DELETE", "multipart-manifest=delete"), ("DELETE", "version-id=1"),
        ("PUT", "symlink=get"), ("PUT", "extract-archive=tar"), ("POST", "bulk-delete"),
    ],
)  # fmt: skip
def test_a_change_cannot_be_made_another_one(owner: Client, bearer: Bearer, method: str, parameter: str) -> None:
    answer = bearer.send(method, f"{bearer.query(method)}&{parameter}", {"Content-Length": "0"})
    assert answer.status == 400, answer
    assert owner.get(f"{bearer.container}/dir/o.txt").body == CONTENT


# Prefixes and addresses


def of_prefix(bearer: Bearer, prefix: str, method: str = "GET", key: str = KEY) -> str:
    signature = bearer.sign(method, f"prefix:{bearer.root}/{prefix}", key)
    return f"temp_url_sig={signature}&temp_url_expires={bearer.expires}&temp_url_prefix={quote(prefix, safe='')}"


def test_a_url_for_a_prefix(owner: Client, bearer: Bearer) -> None:
    owner.put(f"{bearer.container}/dür/a b", CONTENT)
    for prefix in ("dir/", "di", "", "dir/o.txt"):
        assert bearer.get(of_prefix(bearer, prefix)).body == CONTENT
        assert bearer.get(of_prefix(bearer, prefix, key=ACCOUNT_KEY)).body == CONTENT
    target = quote(f"{bearer.root}/dür/a b")
    assert bearer.send("GET", of_prefix(bearer, "dür/a "), target=target).body == CONTENT
    assert refused(bearer.send("GET", of_prefix(bearer, "dir/"), target=target))
    assert refused(bearer.get(of_prefix(bearer, "dir/o.txt2")))
    assert refused(bearer.get(of_prefix(bearer, "dir/").replace("prefix=dir%2F", "prefix=d")))
    assert refused(bearer.get(of_prefix(bearer, "dir/").partition("&temp_url_prefix")[0]))
    assert refused(bearer.get(f"{bearer.query()}&temp_url_prefix=dir%2Fo.txt"))
    upload = bearer.send("PUT", of_prefix(bearer, "dir/", "PUT"), None, b"new", f"{bearer.root}/dir/new")
    assert upload.status == 201


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        ("127.0.0.1", True), ("127.0.0.0/8", True), ("0.0.0.0/0", True), ("10.0.0.0/8", False), ("127.0.0.2", False),
        ("127.0.0.1/8", False), ("::/0", False), ("here", False), ("", False), ("127.0.0.1\n", False), ("é", False),
    ],
)  # fmt: skip
def test_a_url_for_some_addresses(bearer: Bearer, addresses: str, allowed: bool) -> None:
    text = f"ip={addresses}\nGET\n{bearer.expires}\n{bearer.path}"
    signature = hmac.new(KEY.encode(), text.encode(), "sha256").hexdigest()
    query = f"temp_url_sig={signature}&temp_url_expires={bearer.expires}"
    forged = {"X_Forwarded_For": "10.0.0.1", "X_Cluster_Client_Ip": "10.0.0.1"}
    answer = bearer.get(f"{query}&temp_url_ip_range={quote(addresses, safe='')}", **forged)
    assert (answer.status == 200) is allowed
    assert allowed or refused(answer)
    assert refused(bearer.get(query))
    assert refused(bearer.get(f"{query}&temp_url_ip_range=0.0.0.0%2F0")) or addresses == "0.0.0.0/0"


# Keys, owners and other features


def test_only_owners_see_and_set_keys(store: Store, owner: Client, bearer: Bearer) -> None:
    reader = store.add_user("other:reader")
    names = ("X-Container-Meta-Temp-URL-Key", "X-Container-Meta-Temp-URL-Key-2")
    assert owner.post(bearer.container, {"X-Container-Read": "other:reader", "X-Container-Write": "other:reader"})
    assert [owner.head(bearer.container)[name] for name in names] == [KEY, OTHER_KEY]
    seen = reader.with_token(reader.token)
    seen.root = owner.root
    answer = seen.head(bearer.container)
    assert answer.status == 204
    assert [answer.get(name) for name in names] == [None, None]
    acl = '{"read-write":["other:reader"]}'
    assert owner.post("", {"X-Account-Access-Control": acl}).status == 204
    try:
        answer = seen.head("")
        assert answer.status == 204
        assert answer.get("X-Account-Meta-Temp-URL-Key") is None
        seen.post("", {"X-Account-Meta-Temp-URL-Key": "mine"})
        seen.post(bearer.container, {"X-Container-Meta-Temp-URL-Key": "mine"})
        assert owner.head("")["X-Account-Meta-Temp-URL-Key"] == ACCOUNT_KEY
        assert owner.head(bearer.container)["X-Container-Meta-Temp-URL-Key"] == KEY
    finally:
        owner.post("", {"X-Account-Access-Control": ""})


def test_the_key_of_one_container_opens_no_other(
    owner: Client, bearer: Bearer, new_container: Callable[[], str]
) -> None:
    other = new_container()
    owner.put(f"{other}/o", CONTENT)
    path = f"{bearer.client.root}/{other}/o"
    assert refused(bearer.send("GET", bearer.query(path=path), target=path))
    assert bearer.send("GET", bearer.query(path=path, key=ACCOUNT_KEY), target=path).status == 200


def test_browsers(owner: Client, bearer: Bearer) -> None:
    origin = "https://page.example"
    owner.post(bearer.container, {"X-Container-Meta-Access-Control-Allow-Origin": origin})
    answer = bearer.get(Origin=origin)
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (200, origin)
    exposed = answer["Access-Control-Expose-Headers"].split(", ")
    assert "x-object-meta-public-color" in exposed
    assert "x-object-meta-secret" not in exposed
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    answer = bearer.send("OPTIONS", bearer.query("PUT"), asked)
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (200, origin)


def test_the_info(owner: Client) -> None:
    section = owner.send("GET", "/info").json["tempurl"]
    assert section["methods"] == ["GET", "HEAD", "PUT", "POST", "DELETE"]
    assert section["allowed_digests"] == ["sha1", "sha256", "sha512"]
    assert section["deprecated_digests"] == ["sha1"]
    assert section["outgoing_allow_headers"] == ["x-object-meta-public-*"]


@pytest.mark.parametrize("options", [
    {}, {"prefix": True}, {"iso8601": True}, {"ip_range": "127.0.0.0/8"}, {"digest": "sha512"}, {"digest": "sha1"},
])  # fmt: skip
def test_urls_of_swiftclient(bearer: Bearer, options: dict[str, object]) -> None:
    path = f"{bearer.root}/dir/" if options.get("prefix") else bearer.path
    url = generate_temp_url(path, 300, KEY, "GET", **options)
    if options.get("prefix"):
        url = url.replace("/dir/?", "/dir/o.txt?")
    with urllib.request.urlopen(bearer.client.endpoint + url) as response:
        assert response.read() == CONTENT


def test_the_command_swift_tempurl(bearer: Bearer, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("swift"))
    made = subprocess.run(
        [program, "tempurl", "GET", "300", bearer.path, KEY], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    with urllib.request.urlopen(bearer.client.endpoint + made.stdout.strip()) as response:
        assert response.read() == CONTENT
        assert response.headers["Content-Disposition"].startswith("attachment")


# Objects that refer to others


@pytest.fixture
def other(owner: Client, new_container: Callable[[], str]) -> str:
    """A container with an object `o`, which everyone may read."""
    name = new_container()
    assert owner.put(f"{name}/o", CONTENT).status == 201
    assert owner.post(name, {"X-Container-Read": ".r:*"}).status == 204
    return name


def put_manifest(owner: Client, path: str, *segments: str) -> None:
    body = json.dumps([{"path": f"/{segment}"} for segment in segments]).encode()
    assert owner.request("PUT", path, None, body, "multipart-manifest=put").status == 201


def read(bearer: Bearer, name: str, key: str, method: str = "GET") -> Answer:
    path = f"{bearer.root}/{name}"
    return bearer.send(method, bearer.query(method, path, key), target=path)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_large_object_opens_with_the_key_that_covers_its_segments(
    owner: Client, bearer: Bearer, other: str, method: str
) -> None:
    here = f"{bearer.container}/dir/o.txt"
    put_manifest(owner, f"{bearer.container}/slo", here)
    put_manifest(owner, f"{bearer.container}/beyond", here, f"{other}/o")
    put_manifest(owner, f"{bearer.container}/nested", f"{bearer.container}/beyond")
    for key in (KEY, ACCOUNT_KEY):
        answer = read(bearer, "slo", key, method)
        assert (answer.status, answer["Content-Length"]) == (200, "10")
        assert answer["Content-Disposition"].startswith("attachment")
    for name in ("beyond", "nested"):
        assert read(bearer, name, ACCOUNT_KEY, method)["Content-Length"] == "20"
        # A HEAD reads no list but that of the object itself.
        assert refused(read(bearer, name, KEY, method)) or (name, method) == ("nested", "HEAD")
    assert read(bearer, "beyond", ACCOUNT_KEY).body == CONTENT * 2


def test_a_range_within_the_container_is_refused_too(owner: Client, bearer: Bearer, other: str) -> None:
    """Ranges change nothing in the scope of a key."""
    put_manifest(owner, f"{bearer.container}/beyond", f"{bearer.container}/dir/o.txt", f"{other}/o")
    path = f"{bearer.root}/beyond"
    answer = bearer.send("GET", bearer.query(path=path), {"Range": "bytes=0-4"}, target=path)
    assert answer.status in (206, 401)
    answer = bearer.send("GET", bearer.query(path=path), {"Range": "bytes=12-14"}, target=path)
    assert refused(answer)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_opens_with_the_key_that_covers_its_target(
    owner: Client, bearer: Bearer, other: str, method: str
) -> None:
    assert (
        owner.put(f"{bearer.container}/link", b"", {"X-Symlink-Target": f"{bearer.container}/dir/o.txt"}).status == 201
    )
    assert owner.put(f"{bearer.container}/beyond", b"", {"X-Symlink-Target": f"{other}/o"}).status == 201
    assert owner.put(f"{bearer.container}/chain", b"", {"X-Symlink-Target": f"{bearer.container}/beyond"}).status == 201
    for key in (KEY, ACCOUNT_KEY):
        answer = read(bearer, "link", key, method)
        assert (answer.status, answer["Content-Length"]) == (200, "10")
        assert 'filename="link"' in answer["Content-Disposition"]
        assert answer.get("X-Object-Meta-Secret") is None
    for name in ("beyond", "chain"):
        assert read(bearer, name, ACCOUNT_KEY, method).status == 200
        assert refused(read(bearer, name, KEY, method)), name


def test_an_upload_does_not_follow_a_link(owner: Client, bearer: Bearer, other: str) -> None:
    assert owner.put(f"{bearer.container}/link", b"", {"X-Symlink-Target": f"{other}/o"}).status == 201
    path = f"{bearer.root}/link"
    assert bearer.send("POST", bearer.query("POST", path), {"X-Object-Meta-A": "1"}, b"", path).status == 307
    assert bearer.send("PUT", bearer.query("PUT", path), None, b"new", path).status == 201
    assert owner.get(f"{other}/o").body == CONTENT
    assert owner.get(f"{bearer.container}/link").body == b"new"
    assert owner.put(f"{bearer.container}/link", b"", {"X-Symlink-Target": f"{other}/o"}).status == 201
    assert bearer.send("DELETE", bearer.query("DELETE", path), target=path).status == 204
    assert owner.get(f"{other}/o").body == CONTENT
    assert owner.head(f"{bearer.container}/link").status == 404


def test_versions_are_not_opened_by_the_url_of_a_name(owner: Client, bearer: Bearer) -> None:
    assert owner.post(bearer.container, {"X-Versions-Enabled": "true"}).status == 204
    path = f"{bearer.root}/dir/o.txt"
    assert owner.put(f"{bearer.container}/dir/o.txt", b"new").status == 201
    rows = owner.get(bearer.container, format="json", versions="").json
    old = next(row["version_id"] for row in rows if not row["is_latest"])
    query = f"{bearer.query(path=path)}&version-id={old}"
    assert bearer.send("GET", query, target=path).body == b"new"
    query = f"{bearer.query('DELETE', path)}&version-id={old}"
    assert bearer.send("DELETE", query, target=path).status == 400
    assert len(owner.get(bearer.container, format="json", versions="").json) == len(rows)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_dynamic_large_object_opens_with_the_key_that_covers_its_segments(
    owner: Client, bearer: Bearer, other: str, method: str
) -> None:
    assert owner.post(other, {"X-Container-Read": ".r:*,.rlistings"}).status == 204
    for name, prefix in (("dlo", f"{bearer.container}/dir/"), ("beyond", f"{other}/o")):
        assert owner.put(f"{bearer.container}/{name}", b"", {"X-Object-Manifest": prefix}).status == 201
    for key in (KEY, ACCOUNT_KEY):
        answer = read(bearer, "dlo", key, method)
        assert (answer.status, answer["Content-Length"]) == (200, "10")
    assert read(bearer, "beyond", ACCOUNT_KEY, method)["Content-Length"] == "10"
    assert refused(read(bearer, "beyond", KEY, method))
