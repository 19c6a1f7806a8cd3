"""The filter of form posts over a layer in memory: the requests that come of a form."""

from __future__ import annotations

import hmac
import io
from typing import Any

import pytest

from objstore.core.names import Name
from objstore.layers.interface import AccountOptions, ContainerOptions
from objstore.layers.memory import MemoryLayer
from objstore.middleware.formpost import FormPost, FormPostSettings, filter_factory
from objstore.runtime import settings
from objstore.web.context import RequestContext
from objstore.web.requests import ENVIRON_KEY
from objstore.web.responses import Answer, Response, call

NOW = 1_000_000
PATH = "/v1/AUTH_a/c/pre"


class Below:
    """The pipeline below. requests: environ and body of each that came through."""

    def __init__(self, *statuses: int) -> None:
        self.layer = MemoryLayer()
        self.features: list[str] = []
        self.support = self.features.append
        self.requests: list[tuple[dict[str, Any], bytes]] = []
        self._statuses = iter(statuses)
        context = RequestContext()
        self.layer.create_account(context, Name("AUTH_a"), AccountOptions({}))
        headers = {"X-Container-Meta-Temp-Url-Key-2": "ck"}
        self.layer.create_container(context, Name("AUTH_a", "c"), ContainerOptions(headers))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = b"".join(iter(lambda: environ["wsgi.input"].read(3), b""))
        self.requests.append((environ, body))
        return Response(next(self._statuses, 201), {"Vary": "Origin", "Etag": "x"})(environ, start_response)


def signed(size: int = 10, count: int = 2, digest: str = "sha256", **more: str) -> dict[str, str]:
    text = f"{PATH}\n{more.get('redirect', '')}\n{size}\n{count}\n{NOW + 5}"
    signature = hmac.new(b"ck", text.encode(), digest).hexdigest()
    fields = {"max_file_size": str(size), "max_file_count": str(count), "expires": str(NOW + 5), "signature": signature}
    return {**more, **fields}


def post(
    below: Below, fields: dict[str, str], *files: str, conf: dict[str, str] | None = None, **environ: Any
) -> Answer:
    parts = [f'name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    parts += [f'name="f"; filename="{name}"\r\nContent-Type: a/b\r\n\r\nof {name}' for name in files]
    body = "".join(f"--B\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--B--"
    made = {
        "REQUEST_METHOD": "POST", "PATH_INFO": PATH, "QUERY_STRING": "multipart-manifest=put",
        "CONTENT_TYPE": "multipart/form-data; boundary=B", "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body.encode()), **environ,
    }  # fmt: skip
    return call(FormPost(below, settings.read(FormPostSettings, conf or {}), lambda: NOW), made)


def test_each_file_is_a_put_of_a_bearer() -> None:
    below = Below()
    kept, dropped = (
        {"User-Agent": "u", "Origin": "o"},
        {"X-Auth-Token": "t", "X-Object-Meta-A": "1", "Range": "bytes=0-1"},
    )
    headers = {ENVIRON_KEY[name]: value for name, value in {**kept, **dropped}.items()}
    answer = post(below, signed(), "a", "b", **headers)
    assert (answer.status, answer.headers["Vary"], "Etag" in answer.headers) == (201, "Origin", False)
    assert [(environ["PATH_INFO"], body) for environ, body in below.requests] == [
        (f"{PATH}a", b"of a"), (f"{PATH}b", b"of b")
    ]  # fmt: skip
    for environ, _ in below.requests:
        assert environ["REQUEST_METHOD"] == "PUT"
        assert environ["objstore.identity"].scope == Name("AUTH_a", "c")
        assert environ["CONTENT_TYPE"] == "a/b"
        assert (environ["QUERY_STRING"], "CONTENT_LENGTH" in environ) == ("", False)
        sent = {key for key in environ if key.startswith("HTTP_")}
        assert sent == {"HTTP_USER_AGENT", "HTTP_ORIGIN", "HTTP_TRANSFER_ENCODING"}


def test_each_file_sees_the_container_as_it_then_is() -> None:
    """A quota counts the files before it: what one request has looked up does not count for the next."""
    below = Below()
    post(below, signed(), "a", "b")
    first, second = (RequestContext.of(environ) for environ, _ in below.requests)
    assert first is not second
    assert first.infos is not second.infos


@pytest.mark.parametrize("status", [400, 404, 413, 503])
def test_a_file_that_is_not_stored_ends_the_form(status: int) -> None:
    below = Below(201, status, 201)
    answer = post(below, signed(count=3), "a", "b", "c")
    assert answer.status == status
    assert answer.read().startswith(str(status).encode())
    assert len(below.requests) == 2
    answer = post(Below(201, status), signed(redirect="http://r/#x"), "a", "b")
    assert (answer.status, answer.headers["Location"]) == (303, f"http://r/?status={status}&message=#x")


def test_the_signature_is_checked_before_a_file_is_read() -> None:
    for fields in ({}, {**signed(), "expires": str(NOW - 1)}, {**signed(), "max_file_size": "11"}):
        below = Below()
        log: list[str] = []
        answer = post(below, fields, "a", **{"objstore.log_info": log})
        assert (answer.status, below.requests, log) == (401, [], ["denied:formpost"])


def test_limits_and_digests_are_settings() -> None:
    many = {f"n{number}": "" for number in range(20)}
    assert post(Below(), {**signed(), **many}, "a").status == 201
    assert post(Below(), {**signed(), **many}, "a", conf={"max_fields": "20"}).status == 400
    assert post(Below(), {**signed(), **many}, "a", conf={"max_fields_size": "1K"}).status == 400
    assert post(Below(), signed(digest="sha1"), "a").status == 201
    assert post(Below(), signed(digest="sha1"), "a", conf={"allowed_digests": "sha512"}).status == 401


@pytest.mark.parametrize("redirect", ["javascript:alert(1)", "JavaScript:x", "data:text/html,x"])
def test_a_page_has_no_link_to_a_script(redirect: str) -> None:
    answer = post(Below(), signed(redirect=redirect), "a")
    assert answer.status == 303
    assert b"<a" not in answer.read()


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, False), ({"REQUEST_METHOD": "PUT"}, True), ({"CONTENT_TYPE": "text/plain"}, True),
        ({"CONTENT_TYPE": "multipart/form-data"}, True), ({"objstore.preauthorized": True}, True),
    ],
)  # fmt: skip
def test_what_is_no_form_passes(changes: dict[str, Any], passes: bool) -> None:
    below = Below()
    post(below, {}, "a", **changes)
    assert bool(below.requests) is passes


def test_the_filter_reports_to_the_proxy_and_to_info() -> None:
    below = Below()
    made = filter_factory({}, allowed_digests="sha256")(below)
    assert below.features == ["formpost"]
    assert made.info() == {"formpost": {"allowed_digests": ["sha256"], "deprecated_digests": []}}
