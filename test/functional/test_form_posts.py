"""Uploads by forms, as browsers send them, and as nobody should."""

from __future__ import annotations

import base64
import hmac
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from harness.client import Answer, Client, receive_all
from harness.layouts import ONE_DEVICE

pytestmark = ONE_DEVICE

KEY = "form-key"
BOUNDARY = "----WebKitFormBoundaryAbC"
Item = tuple[str, str, str, bytes] | tuple[str, str]


def encoded(items: list[Item], end: bool = True) -> bytes:
    """A form of fields (name, value) and files (name, file name, type, content)."""
    made = []
    for item in items:
        made.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{item[0]}"'.encode())
        if len(item) == 2:
            made.append(f"\r\n\r\n{item[1]}\r\n".encode())
        else:
            kind = f"\r\nContent-Type: {item[2]}" if item[2] else ""
            made += [f'; filename="{item[1]}"{kind}\r\n\r\n'.encode(), item[3], b"\r\n"]
    return b"".join((*made, f"--{BOUNDARY}--\r\n".encode() if end else b""))


class Page:
    """A web page with a form that is sent to `prefix` of a container."""

    def __init__(self, client: Client, container: str) -> None:
        self.client = client
        self.container = container
        self.prefix = f"{client.root}/{container}/pre_"
        self.expires = int(time.time()) + 600

    def fields(
        self, size: int | str = 100, count: int | str = 3, redirect: str = "", key: str = KEY, digest: str = "sha256",
        expires: int | str | None = None, path: str = "",
    ) -> list[Item]:  # fmt: skip
        end = self.expires if expires is None else expires
        text = f"{path or self.prefix}\n{redirect}\n{size}\n{count}\n{end}"
        signature = hmac.new(key.encode(), text.encode(), digest).hexdigest()
        signed = [("max_file_size", size), ("max_file_count", count), ("expires", end), ("signature", signature)]
        return [*([("redirect", redirect)] if redirect else []), *((name, str(value)) for name, value in signed)]

    def send(self, body: bytes, path: str = "", **headers: str) -> Answer:
        sent = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.send("POST", quote(path or self.prefix), sent, body)

    def post(self, fields: list[Item], *files: tuple[str, bytes], **headers: str) -> Answer:
        items: list[Item] = [(f"file{n}", name, "text/plain", data) for n, (name, data) in enumerate(files)]
        return self.send(encoded([*fields, *items]), **headers)


@pytest.fixture
def page(owner: Client, container: str, anonymous: Client) -> Iterator[Page]:
    assert owner.post(container, {"X-Container-Meta-Temp-URL-Key": KEY}).status == 204
    assert owner.post("", {"X-Account-Meta-Temp-URL-Key": "account-key"}).status == 204
    yield Page(anonymous, container)
    owner.post("", {"X-Account-Meta-Temp-URL-Key": ""})


def refused(answer: Answer, text: str = "") -> bool:
    return answer.status == 401 and text in answer.text


# As browsers do


def test_files_are_stored_under_the_prefix(owner: Client, page: Page) -> None:
    answer = page.post(page.fields(), ("a.txt", b"one"), ("dir/ü b", b"two"))
    assert (answer.status, answer.body, answer["Content-Type"]) == (201, b"201 Created", "text/plain")
    assert owner.names(page.container) == ["pre_a.txt", "pre_dir/ü b"]
    stored = owner.get(f"{page.container}/pre_a.txt")
    assert (stored.body, stored["Content-Type"]) == (b"one", "text/plain")
    assert owner.get(f"{page.container}/pre_dir/ü b").body == b"two"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_form_for_a_whole_container(owner: Client, page: Page, slash: str) -> None:
    path = f"{page.client.root}/{page.container}{slash}"
    body = encoded([*page.fields(path=path), ("f", "a", "", b"x")])
    assert page.send(body, path).status == 201
    assert owner.names(page.container) == ["a"]


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        ("https://page.example/done", "https://page.example/done?status=201&message="),
        ("https://page.example/done?a=b", "https://page.example/done?a=b&status=201&message="),
        ("https://page.example/#part", "https://page.example/?status=201&message=#part"),
        ("/here", "/here?status=201&message="),
    ],
)
def test_a_redirect(page: Page, redirect: str, location: str) -> None:
    answer = page.post(page.fields(redirect=redirect), ("a", b"x"))
    assert (answer.status, answer["Location"]) == (303, location)


def test_a_redirect_tells_what_was_wrong(owner: Client, page: Page) -> None:
    fields = page.fields(count=1, redirect="https://page.example/")
    answer = page.post(fields, ("a", b"x"), ("b", b"x"))
    assert answer["Location"] == "https://page.example/?status=400&message=max%20file%20count%20exceeded"
    assert owner.names(page.container) == ["pre_a"]
    answer = page.post(fields)
    assert answer["Location"] == "https://page.example/?status=400&message=no%20files%20to%20process"
    assert page.post(fields, ("x" * 1100, b"x"))["Location"] == "https://page.example/?status=400&message="


def test_a_redirect_cannot_add_headers(owner: Client, page: Page) -> None:
    answer = page.post(page.fields(redirect="https://page.example/\r\nX-Evil: 1"), ("a", b"x"))
    assert (answer.status, answer.get("X-Evil"), owner.names(page.container)) == (400, None, [])
    answer = page.post(page.fields(redirect='https://page.example/"><script>'), ("a", b"x"))
    assert answer.status == 303
    assert b"<script>" not in answer.body


def test_a_redirect_that_nobody_signed_is_not_used(page: Page) -> None:
    for fields in (page.fields(key="x"), page.fields(count=0, key="x"), page.fields(expires=1)):
        for files in ((("a", b"x"),), ()):
            answer = page.post([("redirect", "https://evil.example/"), *fields], *files)
            assert refused(answer)
            assert answer.get("Location") is None


def test_fields_describe_the_files_after_them(owner: Client, page: Page) -> None:
    items: list[Item] = [
        *page.fields(count=9), ("f", "first", "text/plain", b"1"), ("Content-Type", "a/b"), ("x_delete_after", "1000"),
        ("content-encoding", "gzip"), ("x-object-meta-a", "1"), ("f", "second", "text/plain", b"2"),
        ("x_delete_at", str(page.expires)), ("x_delete_after", "2000"), ("f", "third", "", b"3"),
    ]  # fmt: skip
    before = int(time.time())
    assert page.send(encoded(items)).status == 201
    first, second, third = (owner.head(f"{page.container}/pre_{name}") for name in ("first", "second", "third"))
    assert [each["Content-Type"] for each in (first, second, third)] == ["text/plain", "a/b", "a/b"]
    assert [each.get("Content-Encoding") for each in (first, second, third)] == [None, "gzip", "gzip"]
    assert first.get("X-Delete-At") is None
    assert int(second["X-Delete-At"]) - before in range(995, 1010)
    assert int(third["X-Delete-At"]) - before in range(1995, 2010)
    assert second.get("X-Object-Meta-A") is None


@pytest.mark.parametrize(("name", "value"), [
    ("x_delete_at", "soon"), ("x_delete_at", ""), ("x_delete_at", "5"), ("x_delete_after", "-5"),
    ("x_delete_after", "x"), ("content-type", "a/b\r\nX-Object-Meta-A: 1"), ("content-encoding", "a\0b"),
])  # fmt: skip
def test_descriptions_that_cannot_be(owner: Client, page: Page, name: str, value: str) -> None:
    assert page.post([*page.fields(), (name, value)], ("a", b"x")).status == 400
    assert owner.names(page.container) == []


def test_inputs_without_a_file_do_not_count(owner: Client, page: Page) -> None:
    answer = page.post(page.fields(count=1), ("", b""), ("", b"what"), ("b", b"x"))
    assert (answer.status, owner.names(page.container)) == (201, ["pre_b"])
    answer = page.post(page.fields(), ("", b""))
    assert (answer.status, answer.text) == (400, "400 Bad Request\r\nFormPost: No Files To Process")


def test_the_key_of_the_account_works_too(owner: Client, page: Page) -> None:
    assert page.post(page.fields(key="account-key"), ("a", b"x")).status == 201


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_digests(page: Page, digest: str) -> None:
    fields = page.fields(digest=digest)
    assert page.post(fields, ("a", b"x")).status == 201
    name, signature = fields[-1][:2]
    text = f"{digest}:{base64.b64encode(bytes.fromhex(signature)).decode()}"
    assert page.post([*fields[:-1], (name, text)], ("a", b"x")).status == 201
    assert refused(page.post(page.fields(digest="md5"), ("a", b"x")))


def test_browsers_of_other_origins(owner: Client, page: Page) -> None:
    owner.post(page.container, {"X-Container-Meta-Access-Control-Allow-Origin": "https://page.example"})
    for redirect in ("", "https://page.example/"):
        answer = page.post(page.fields(redirect=redirect), ("a", b"x"), Origin="https://page.example")
        assert answer["Access-Control-Allow-Origin"] == "https://page.example"
    answer = page.post(page.fields(), ("a", b"x"), Origin="https://evil.example")
    assert (answer.status, answer.get("Access-Control-Allow-Origin")) == (201, None)


def test_the_info(owner: Client) -> None:
    section = owner.send("GET", "/info").json["formpost"]
    assert section == {"allowed_digests": ["sha1", "sha256", "sha512"], "deprecated_digests": ["sha1"]}


# What was not signed


def test_what_was_not_signed_is_refused(owner: Client, page: Page, new_container: Callable[[], str]) -> None:
    for fields in (
        page.fields(key="x"), page.fields(path="/v1/other/c/pre_"), page.fields()[:-1], [],
        [*page.fields(), ("signature", "x")], [*page.fields(), ("max_file_size", "101")],
        [*page.fields(), ("max_file_count", "4")], [*page.fields(), ("expires", str(page.expires + 1))],
        [*page.fields(), ("redirect", "https://evil.example/")],
    ):  # fmt: skip
        assert refused(page.post(fields, ("a", b"x"))), fields
    assert refused(page.post(page.fields(expires=int(time.time()) - 2), ("a", b"x")), "Form Expired")
    other = f"{page.client.root}/{new_container()}/"
    assert refused(page.send(encoded([*page.fields(path=other), ("f", "a", "", b"x")]), other))
    for path in (page.client.root, f"{page.client.root}/", page.prefix.replace("/v1/", "/v1.0/")):
        assert refused(page.send(encoded([*page.fields(path=path), ("f", "a", "", b"x")]), path))
    assert refused(page.send(encoded([("f", "a", "", b"x"), *page.fields()])))  # fields come first
    assert owner.names(page.container) == []


def test_a_token_does_not_replace_the_signature(owner: Client, page: Page) -> None:
    page.client.token = owner.token
    assert refused(page.post(page.fields(key="x"), ("a", b"x")))
    page.client.token = "AUTH_tkinvalid"
    assert page.post(page.fields(), ("a", b"x")).status == 201


def test_fields_after_a_file_cannot_change_what_was_signed(owner: Client, page: Page) -> None:
    items = [*page.fields(count=1), ("f", "a", "", b"x"), ("max_file_count", "2"), ("f", "b", "", b"x")]
    assert refused(page.send(encoded(items)))
    assert owner.names(page.container) == ["pre_a"]


def test_headers_of_the_request_do_not_reach_the_files(owner: Client, page: Page) -> None:
    headers = {
        "X_Object_Meta_A": "1", "X_Object_Manifest": f"{page.container}/x", "X_Symlink_Target": "c/o",
        "X_Delete_At": "1", "X_Copy_From": f"{page.container}/x", "If_None_Match": "*", "Etag": "x",
    }  # fmt: skip
    for _ in range(2):
        assert page.post(page.fields(), ("a", b"x"), **headers).status == 201
    stored = owner.get(f"{page.container}/pre_a")
    assert stored.body == b"x"
    assert [stored.get(name.replace("_", "-")) for name in ("X_Object_Meta_A", "X_Object_Manifest", "X_Delete_At")] == [
        None, None, None,
    ]  # fmt: skip
    assert page.send(encoded([*page.fields(), ("f", "b", "", b"x")]), f"{page.prefix}").status == 201


@pytest.mark.parametrize("name", ["../up", "./a", "a?b#c%41", "x/y\\z", "a/", "//"])
def test_a_file_name_is_a_name_and_nothing_else(owner: Client, page: Page, name: str) -> None:
    assert page.post(page.fields(), (name, b"x")).status == 201
    assert owner.names(page.container) == [f"pre_{name}"]


@pytest.mark.parametrize("name", ["a\0b", "x" * 1100])
def test_file_names_that_cannot_be(owner: Client, page: Page, name: str) -> None:
    assert page.post(page.fields(), ("good", b"x"), (name, b"x"), ("later", b"x")).status in (400, 412)
    assert owner.names(page.container) == ["pre_good"]


# Limits and broken forms


@pytest.mark.parametrize("size", [0, 1, 100, 70_000, 3_000_000])
def test_nothing_of_a_file_that_is_too_large_is_left(owner: Client, page: Page, size: int) -> None:
    fields = page.fields(size=size, redirect="https://page.example/")
    answer = page.post(fields, ("fits", b"x" * size), ("large", b"x" * (size + 1)), ("later", b""))
    assert (answer.status, answer.text, answer.get("Location")) == (400, "FormPost: max_file_size exceeded", None)
    assert owner.names(page.container) == ["pre_fits"]
    assert owner.get(f"{page.container}/pre_fits").body == b"x" * size
    assert owner.head(f"{page.container}/pre_large").status == 404


def test_an_object_survives_a_larger_one_that_is_refused(owner: Client, page: Page) -> None:
    assert page.post(page.fields(), ("a", b"old")).status == 201
    assert page.post(page.fields(), ("a", b"x" * 101)).status == 400
    assert owner.get(f"{page.container}/pre_a").body == b"old"


def test_a_quota_counts_the_files_before(owner: Client, page: Page) -> None:
    assert owner.post(page.container, {"X-Container-Meta-Quota-Bytes": "10"}).status == 204
    answer = page.post(page.fields(), ("a", b"x" * 6), ("b", b"x" * 6), ("c", b"x"))
    assert (answer.status, owner.names(page.container)) == (413, ["pre_a"])


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "", "9" * 30, "１"])
@pytest.mark.parametrize("name", ["size", "count", "expires"])
def test_numbers_that_are_none(page: Page, name: str, number: str) -> None:
    answer = page.post(page.fields(**{name: number}), ("a", b"x"))  # type: ignore[arg-type]
    assert (answer.status, "not an integer" in answer.text) == (400, True)


def test_a_missing_container(page: Page) -> None:
    path = f"{page.client.root}/no-such-container/"
    body = encoded([*page.fields(path=path, key="account-key"), ("f", "a", "", b"x")])
    answer = page.send(body, path)
    assert (answer.status, answer.text) == (404, "404 Not Found")


@pytest.mark.parametrize("cut", [1, 2, 4, 30, 70, 120, 200])
def test_a_form_that_ends_early_stores_nothing_of_its_last_file(owner: Client, page: Page, cut: int) -> None:
    whole = encoded([*page.fields(), ("f", "a", "text/plain", b"content")])
    # Without the line end after it the last boundary is whole; without its last two characters it ends the file alone.
    assert page.send(whole[: -cut - 2]).status == 400
    assert owner.names(page.container) == (["pre_a"] if cut <= 2 else [])


def test_a_client_that_leaves_stores_nothing(owner: Client, page: Page) -> None:
    body = encoded([*page.fields(size=10**9), ("f", "a", "text/plain", b"x" * 200_000)], end=False)
    head = f"POST {page.prefix} HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    for framing in (f"Content-Length: {len(body) + 1000}\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"):
        with socket.create_connection(page.client.address, 10) as sock:
            chunk = body if "Length" in framing else f"{len(body):x}\r\n".encode() + body + b"\r\n"
            sock.sendall((head + framing).encode() + chunk)
            time.sleep(0.3)
    time.sleep(0.5)
    assert owner.names(page.container) == []


def test_a_slow_client_is_served(owner: Client, page: Page) -> None:
    body = encoded([*page.fields(), ("f", "a", "text/plain", b"content")])
    head = (
        f"POST {page.prefix} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
    with socket.create_connection(page.client.address, 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(head.encode())
        for start in range(0, len(body), 11):
            sock.sendall(body[start : start + 11])
            time.sleep(0.01)
        assert receive_all(sock).startswith(b"HTTP/1.1 201")
    assert owner.get(f"{page.container}/pre_a").body == b"content"


def test_forms_without_end(owner: Client, page: Page) -> None:
    fields: list[Item] = [(f"name{number}", "") for number in range(100_000)]
    for body in (
        encoded([*fields, *page.fields(), ("f", "a", "", b"x")]),
        encoded([*page.fields(), ("name", "x" * 5_000_000), ("f", "a", "", b"x")]),
        encoded([*page.fields(), ("f", "a", "x" * 5_000_000, b"x")]),
        encoded([*page.fields(), ("f" * 5_000_000, "a", "", b"x")]),
        encoded([*page.fields(count=10**6), *[("f", "", "", b"")] * 100_000]),
        b"x" * 5_000_000,
        b"\r\n" * 1_000_000,
    ):
        try:
            answer = page.send(body)
        except OSError:  # the server does not wait for the rest of a form that it has refused
            page.client.close()
        else:
            assert answer.status in (400, 413)
    assert owner.names(page.container) == []


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 300}",
        "text/plain",
    ],
)
def test_a_form_without_a_boundary_is_none(page: Page, content_type: str) -> None:
    body = encoded([*page.fields(), ("f", "a", "", b"x")])
    answer = page.client.send("POST", quote(page.prefix), {"Content-Type": content_type}, body)
    assert answer.status == 401


@pytest.mark.parametrize("body", [b"", b"--", b"--x--\r\n", encoded([]), encoded([], end=False) + b"--\xff\r\n\r\n"])
def test_bodies_that_are_no_form(page: Page, body: bytes) -> None:
    assert page.send(body).status in (400, 401)


def test_a_large_file_through_a_form(owner: Client, page: Page) -> None:
    content = bytes(range(256)) * (24 << 12)  # 24 MiB
    assert page.post(page.fields(size=len(content)), ("large", content)).status == 201
    assert owner.get(f"{page.container}/pre_large").body == content
