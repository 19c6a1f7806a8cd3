"""Requests of browsers for pages of other origins."""

from __future__ import annotations

import pytest
from harness.client import Client
from harness.layouts import ONE_DEVICE

pytestmark = ONE_DEVICE

ORIGIN = "https://page.example"
ALLOW = "X-Container-Meta-Access-Control-Allow-Origin"


@pytest.fixture
def path(owner: Client, container: str) -> str:
    owner.put(f"{container}/object", b"x", {"X-Object-Meta-Color": "blue"})
    return f"{container}/object"


def allow(owner: Client, container: str, origins: str, **more: str) -> None:
    headers = {f"X-Container-Meta-Access-Control-{name.replace('_', '-')}": value for name, value in more.items()}
    assert owner.post(container, {ALLOW: origins, **headers}).status == 204


def words(header: str) -> set[str]:
    return {word.strip().lower() for word in header.split(",")}


def test_without_permission_a_browser_is_told_nothing(owner: Client, path: str) -> None:
    answer = owner.get(path, {"Origin": ORIGIN})
    assert answer.status == 200
    assert answer.get("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize(
    ("origins", "origin", "told"),
    [
        ("*", ORIGIN, "*"),
        (ORIGIN, ORIGIN, ORIGIN),
        (f"https://other.example {ORIGIN}", ORIGIN, ORIGIN),
        (ORIGIN, "https://evil.example", None),
        (ORIGIN, ORIGIN + ".evil.example", None),
        (ORIGIN, "http://page.example", None),
        (ORIGIN, "null", None),
    ],
)
def test_the_container_says_which_origins_may_read(
    owner: Client, container: str, path: str, origins: str, origin: str, told: str | None
) -> None:
    allow(owner, container, origins)
    for method in ("GET", "HEAD"):
        answer = owner.request(method, path, {"Origin": origin})
        assert answer.status == 200
        assert answer.get("Access-Control-Allow-Origin") == told
    if told == ORIGIN:
        assert "origin" in words(owner.get(path, {"Origin": origin})["Vary"])


def test_what_a_script_may_see(owner: Client, container: str, path: str) -> None:
    allow(owner, container, "*", Expose_Headers="X-Own X-Other")
    exposed = words(owner.get(path, {"Origin": ORIGIN})["Access-Control-Expose-Headers"])
    assert {"etag", "x-timestamp", "x-trans-id", "last-modified", "content-type"} <= exposed
    assert {"x-own", "x-other", "x-object-meta-color"} <= exposed


def test_a_refusal_is_shown_to_the_script_too(owner: Client, container: str) -> None:
    allow(owner, container, "*")
    answer = owner.get(f"{container}/nothing", {"Origin": ORIGIN})
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (404, "*")


def test_a_preflight_needs_no_token(owner: Client, container: str, path: str, anonymous: Client) -> None:
    allow(owner, container, ORIGIN, Max_Age="60")
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-auth-token, x-object-meta-color",
    }
    answer = anonymous.request("OPTIONS", path, asked)
    assert (answer.status, answer.body) == (200, b"")
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert answer["Access-Control-Max-Age"] == "60"
    assert {"get", "head", "put", "post", "delete", "copy", "options"} == words(answer["Access-Control-Allow-Methods"])
    assert {"x-auth-token", "x-object-meta-color"} <= words(answer["Access-Control-Allow-Headers"])


@pytest.mark.parametrize(("origin", "method"), [("https://evil.example", "PUT"), (ORIGIN, "TRACE"), (ORIGIN, "")])
def test_a_preflight_for_what_is_not_allowed(
    owner: Client, container: str, path: str, anonymous: Client, origin: str, method: str
) -> None:
    allow(owner, container, ORIGIN)
    answer = anonymous.request("OPTIONS", path, {"Origin": origin, "Access-Control-Request-Method": method})
    assert answer.status == 401
    assert answer.get("Access-Control-Allow-Origin") is None


def test_a_container_that_is_not_there_allows_nothing(anonymous: Client) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    assert anonymous.request("OPTIONS", "no-such-container/object", asked).status == 401


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("", {"get", "head", "post", "put", "delete", "options"}),
        ("container", {"get", "head", "put", "post", "delete", "options"}),
        ("container/object", {"get", "head", "put", "post", "delete", "copy", "options"}),
    ],
)
def test_options_without_an_origin_tells_the_methods(anonymous: Client, path: str, methods: set[str]) -> None:
    answer = anonymous.request("OPTIONS", path)
    assert answer.status == 200
    assert words(answer["Allow"]) == methods
