"""Logging in (Swift's auth v1), tokens, and what those get who have none."""

from __future__ import annotations

import pytest
from harness.client import Client
from harness.layouts import ONE_DEVICE
from harness.processes import run
from harness.store import Store

pytestmark = ONE_DEVICE


@pytest.fixture
def visitor(store: Store) -> Client:
    return Client(store.endpoint)


@pytest.mark.parametrize("target", ["/auth/v1.0", "/auth/v1.0/", "/auth/v1"])
@pytest.mark.parametrize("names", [("X-Auth-User", "X-Auth-Key"), ("X-Storage-User", "X-Storage-Pass")])
def test_a_log_in_tells_token_and_storage_url(
    store: Store, visitor: Client, target: str, names: tuple[str, str]
) -> None:
    answer = visitor.send("GET", target, dict(zip(names, (store.user, store.key), strict=True)))
    assert answer.status == 200
    assert answer["X-Storage-Url"].startswith(f"{store.endpoint}/v1/AUTH_")
    assert answer["X-Auth-Token"] == answer["X-Storage-Token"]
    assert int(answer["X-Auth-Token-Expires"]) > 60
    assert Client(answer["X-Storage-Url"], answer["X-Auth-Token"]).head().status == 204


def test_the_storage_url_is_that_of_the_host_asked(store: Store, visitor: Client) -> None:
    told = {"X-Auth-User": store.user, "X-Auth-Key": store.key, "Host": "store.example:81"}
    answer = visitor.send("GET", "/auth/v1.0", told)
    assert answer["X-Storage-Url"].startswith("http://store.example:81/v1/AUTH_")


@pytest.mark.parametrize("headers", [
    {},
    {"X-Auth-User": "admin:admin"},
    {"X-Auth-Key": "key"},
    {"X-Auth-User": "admin:admin", "X-Auth-Key": "wrong"},
    {"X-Auth-User": "admin:admin", "X-Auth-Key": ""},
    {"X-Auth-User": "nobody:nobody", "X-Auth-Key": "wrong"},
    {"X-Auth-User": "admin", "X-Auth-Key": "wrong"},
    {"X-Auth-User": "für:日本", "X-Auth-Key": "wrong"},
])  # fmt: skip
def test_a_wrong_log_in_is_refused_without_saying_why(visitor: Client, headers: dict[str, str]) -> None:
    answer = visitor.send("GET", "/auth/v1.0", headers)
    assert answer.status == 401
    assert answer["Www-Authenticate"].startswith("Swift realm=")
    assert answer.get("X-Auth-Token") is None


@pytest.mark.parametrize("token", [None, "", "x", "AUTH_tk", "AUTH_tk" + "0" * 32, "für", "AUTH_" + "A" * 4000])
def test_no_token_no_access(owner: Client, container: str, token: str | None) -> None:
    stranger = owner.with_token(token)
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        for path in ("", container, f"{container}/object"):
            answer = stranger.request(method, path, {"Content-Length": "0"})
            assert answer.status == 401, (method, path)
            assert answer["Www-Authenticate"].startswith("Swift realm=")


def test_every_letter_of_a_token_counts(owner: Client) -> None:
    assert owner.token is not None
    # The last letter may hold bits that mean nothing.
    for position in range(len("AUTH_tk"), len(owner.token) - 1, 5):
        letter = "A" if owner.token[position] != "A" else "B"
        forged = owner.token[:position] + letter + owner.token[position + 1 :]
        assert owner.with_token(forged).head().status == 401, position


def test_storage_token_is_another_name_for_auth_token(owner: Client) -> None:
    assert owner.token is not None
    assert owner.with_token(None).head("", {"X-Storage-Token": owner.token}).status == 204


def test_other_methods_do_not_log_in(store: Store, visitor: Client) -> None:
    told = {"X-Auth-User": store.user, "X-Auth-Key": store.key, "Content-Length": "0"}
    assert visitor.send("POST", "/auth/v1.0", told).status == 405
    assert visitor.send("GET", "/auth/v9", told).status in (400, 404)


def test_users_reach_their_own_account_only(store: Store, owner: Client) -> None:
    other = store.add_user("auth:anna", "--admin")
    assert other.account == "AUTH_auth"
    assert other.head().status == 204
    assert owner.with_token(other.token).head().status == 403


def test_a_user_without_rights_reaches_nothing(store: Store) -> None:
    store.add_user("auth2:anna", "--admin").put("c")
    plain = store.add_user("auth2:bob")
    assert plain.head().status == 403
    assert plain.get("c").status == 403
    assert plain.put("c/object", b"x").status == 403


def test_a_removed_user_is_out_at_once(store: Store) -> None:
    client = store.add_user("auth3:anna", "--admin")
    assert client.head().status == 204
    run("user", "remove", "auth3:anna", "--data", str(store.started_here().data))
    assert client.head().status == 401
    told = {"X-Auth-User": "auth3:anna", "X-Auth-Key": "secret"}
    assert client.send("GET", "/auth/v1.0", told).status == 401


def test_hashed_keys_log_in_too(store: Store) -> None:
    assert store.add_user("auth4:anna", "--admin", "--hash").head().status == 204
