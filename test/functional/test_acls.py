"""Who may do what: ACLs of containers and accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from harness.client import Client
from harness.layouts import ONE_DEVICE
from harness.store import Store

pytestmark = ONE_DEVICE


class Places:
    """A container of the owner's with an object in it, seen by `client`."""

    def __init__(self, container: str, owner: Client) -> None:
        self.container = container
        self.owner = owner

    def reads(self, client: Client, headers: dict[str, str] | None = None) -> bool:
        return self._all(client, ("GET", "HEAD"), f"{self.container}/object", headers)

    def lists(self, client: Client, headers: dict[str, str] | None = None) -> bool:
        return self._all(client, ("GET", "HEAD"), self.container, headers)

    def writes(self, client: Client) -> bool:
        return self._all(client, ("PUT", "POST"), f"{self.container}/object") and self._all(
            client, ("PUT", "DELETE"), f"{self.container}/other"
        )

    def changes(self, client: Client) -> bool:
        return self._all(client, ("POST",), self.container)

    def _all(self, client: Client, methods: tuple[str, ...], path: str, headers: dict[str, str] | None = None) -> bool:
        """Are all allowed? Fails where only some are."""
        allowed = set()
        for method in methods:
            answer = client.request(method, path, {"Content-Length": "0", **(headers or {})})
            allowed.add(answer.status < 300)
            if answer.status >= 300:
                assert answer.status == (403 if client.token else 401), (method, path, answer.status)
        (same,) = allowed
        return same

    def acl(self, read: str | None = None, write: str | None = None) -> None:
        headers = {"X-Container-Read": read, "X-Container-Write": write}
        answer = self.owner.post(self.container, {name: value for name, value in headers.items() if value is not None})
        assert answer.status == 204, answer


@pytest.fixture
def places(owner: Client, container: str) -> Places:
    owner.put(f"{container}/object", b"x")
    return Places(container, owner)


@pytest.fixture(scope="module")
def users(store: Store, owner: Client) -> Iterator[dict[str, Client]]:
    """Users of other accounts and one without rights in ours, all looking at the owner's account."""
    known = {
        "anna": store.add_user("friends:anna"),
        "bob": store.add_user("friends:bob", "--group", "editors"),
        "eve": store.add_user("others:eve", "--admin"),
        "colleague": store.add_user(f"{owner.account.removeprefix('AUTH_')}:colleague"),
    }
    yield {name: owner.with_token(client.token) for name, client in known.items()}


def test_without_an_acl_only_the_owner_gets_in(places: Places, users: dict[str, Client], anonymous: Client) -> None:
    for client in (*users.values(), anonymous):
        assert not places.reads(client)
        assert not places.lists(client)
        assert not places.writes(client)
        assert not places.changes(client)


@pytest.mark.parametrize(
    ("acl", "allowed"),
    [
        ("friends:anna", {"anna"}),
        ("friends:*", {"anna", "bob"}),
        ("friends", {"anna", "bob"}),
        ("*:anna", {"anna"}),
        ("*:*", {"anna", "bob", "eve", "colleague"}),
        ("editors", {"bob"}),
        ("others:eve, friends:anna", {"eve", "anna"}),
        (",,friends:anna,,", {"anna"}),
        ("friends:ann", set()),
        ("AUTH_others", {"eve"}),
        ("AUTH_friends", set()),  # which has no admins
        ("AUTH_others:eve", set()),
        ("nobody", set()),
        ("*", set()),
    ],
)
def test_who_is_named_reads_and_lists(
    places: Places, users: dict[str, Client], anonymous: Client, acl: str, allowed: set[str]
) -> None:
    places.acl(read=acl)
    assert {name for name, client in users.items() if places.reads(client)} == allowed
    assert {name for name, client in users.items() if places.lists(client)} == allowed
    assert not any(places.writes(client) for client in users.values())
    assert not places.reads(anonymous)


def test_who_may_write_does_not_read(places: Places, users: dict[str, Client], anonymous: Client) -> None:
    places.acl(write="friends:anna")
    assert places.writes(users["anna"])
    assert not places.reads(users["anna"])
    assert not places.lists(users["anna"])
    assert not places.changes(users["anna"])
    assert not places.writes(users["bob"])
    assert not places.writes(anonymous)


def test_everyone_reads_what_is_public(places: Places, users: dict[str, Client], anonymous: Client) -> None:
    places.acl(read=".r:*")
    assert places.reads(anonymous)
    assert places.reads(users["eve"])
    assert not places.lists(anonymous)
    assert not places.writes(anonymous)
    assert anonymous.get(f"{places.container}/nothing").status == 404
    places.acl(read=".r:*,.rlistings")
    assert places.lists(anonymous)
    places.acl(read="")
    assert not places.reads(anonymous)


def test_rlistings_alone_lets_nobody_in(places: Places, anonymous: Client) -> None:
    places.acl(read=".rlistings")
    assert not places.lists(anonymous)
    assert not places.reads(anonymous)


@pytest.mark.parametrize(
    ("acl", "referrer", "allowed"),
    [
        (".r:example.com", "http://example.com/page", True),
        (".r:example.com", "https://example.com:8080/", True),
        (".r:example.com", "http://www.example.com/", False),
        (".r:.example.com", "http://www.example.com/", True),
        (".r:.example.com", "http://example.com.evil.org/", False),
        (".r:*.example.com", "http://www.example.com/", True),
        (".r:*,.r:-evil.org", "http://evil.org/", False),
        (".r:*,.r:-evil.org", "http://good.org/", True),
        (".r:*,.r:-.evil.org", "http://www.evil.org/", False),
        (".r:-evil.org,.r:*", "http://evil.org/", True),
        (".referrer:example.com", "http://example.com/", True),
        (".r:example.com", "", False),
        (".r:example.com", "example.com", False),
        (".r:example.com", "http://[", False),
    ],
)
def test_referrers(places: Places, anonymous: Client, acl: str, referrer: str, allowed: bool) -> None:
    places.acl(read=acl)
    assert places.reads(anonymous, {"Referer": referrer}) is allowed


@pytest.mark.parametrize(
    ("read", "write"), [(".r:", None), (".x:y", None), (".r:-", None), (None, ".r:*"), (None, ".referer:example.com")]
)
def test_an_acl_that_says_nothing_sensible_is_refused(places: Places, read: str | None, write: str | None) -> None:
    headers = {"X-Container-Read": read} if read else {"X-Container-Write": write or ""}
    assert places.owner.post(places.container, headers).status == 400


def test_the_owner_sees_acls_in_their_normal_form(places: Places, users: dict[str, Client]) -> None:
    places.acl(read=" .referrer:*  , .rlistings , friends:anna ", write="friends:bob")
    head = places.owner.head(places.container)
    assert head["X-Container-Read"] == ".r:*,.rlistings,friends:anna"
    assert head["X-Container-Write"] == "friends:bob"
    seen = users["anna"].head(places.container)
    assert seen.status == 204
    assert seen.get("X-Container-Read") is None
    assert seen.get("X-Container-Write") is None


@pytest.mark.parametrize("removal", [{"X-Container-Read": ""}, {"X-Remove-Container-Read": "x"}])
def test_an_acl_is_removed(places: Places, anonymous: Client, removal: dict[str, str]) -> None:
    places.acl(read=".r:*")
    assert places.reads(anonymous)
    places.owner.post(places.container, removal)
    assert not places.reads(anonymous)
    assert places.owner.head(places.container).get("X-Container-Read") is None


def test_another_accounts_acl_does_not_make_an_owner(places: Places, users: dict[str, Client]) -> None:
    places.acl(read="friends:anna", write="friends:anna")
    mine = {"X-Container-Read": ".r:*", "Content-Length": "0"}
    assert users["anna"].request("POST", places.container, mine).status == 403
    assert users["anna"].request("PUT", places.container, mine).status == 403
    assert users["anna"].request("DELETE", places.container).status == 403
    assert users["anna"].head().status == 403


class TestAccountAcls:
    @pytest.fixture
    def account(self, store: Store) -> Iterator[Client]:
        owner = store.add_user("shared:owner", "--admin")
        owner.put("container", headers={"X-Container-Meta-A": "1"})
        owner.put("container/object", b"x")
        yield owner
        owner.post("", {"X-Account-Access-Control": "{}"})

    @staticmethod
    def grant(owner: Client, **levels: list[str]) -> None:
        acl = {name.replace("_", "-"): names for name, names in levels.items()}
        assert owner.post("", {"X-Account-Access-Control": json.dumps(acl)}).status == 204

    @pytest.fixture
    def guest(self, account: Client, store: Store) -> Client:
        return account.with_token(store.add_user("guests:gina").token)

    def test_read_only(self, account: Client, guest: Client) -> None:
        assert guest.get("container/object").status == 403
        self.grant(account, read_only=["guests:gina"])
        assert guest.head().status == 204
        assert guest.get("container").status == 200
        assert guest.get("container/object").status == 200
        assert guest.put("container/new", b"x").status == 403
        assert guest.put("new").status == 403
        assert guest.post("", {"X-Account-Meta-A": "1"}).status == 403

    def test_admins_of_an_account(self, account: Client, guest: Client, store: Store) -> None:
        admin = account.with_token(store.add_user("guests:greta", "--admin").token)
        self.grant(account, read_only=["AUTH_guests"])
        assert (admin.head().status, admin.get("container/object").status) == (204, 200)
        assert admin.put("container/new", b"x").status == 403
        assert guest.head().status == 403

    def test_read_write(self, account: Client, guest: Client) -> None:
        self.grant(account, read_write=["guests:gina"])
        assert guest.put("container/new", b"x").status == 201
        assert guest.put("another").status == 201
        assert guest.delete("another").status == 204
        assert guest.post("", {"X-Account-Meta-A": "1"}).status == 403
        assert guest.head().get("X-Account-Access-Control") is None

    def test_admin(self, account: Client, guest: Client) -> None:
        self.grant(account, admin=["guests:gina"])
        assert guest.post("", {"X-Account-Meta-A": "1"}).status == 204
        assert json.loads(guest.head()["X-Account-Access-Control"]) == {"admin": ["guests:gina"]}
        assert guest.post("container", {"X-Container-Read": ".r:*"}).status == 204
        assert guest.head("container")["X-Container-Read"] == ".r:*"
        assert guest.delete().status == 403

    @pytest.mark.parametrize("acl", ["x", "[]", '{"boss": ["a"]}', '{"admin": "a"}', '{"admin": [1]}', "[" * 3000])
    def test_what_is_no_acl_is_refused(self, account: Client, acl: str) -> None:
        assert account.post("", {"X-Account-Access-Control": acl}).status == 400

    def test_the_list_is_taken_back(self, account: Client, guest: Client) -> None:
        self.grant(account, read_only=["guests:gina"])
        assert guest.head().status == 204
        assert account.post("", {"X-Account-Access-Control": ""}).status == 204
        assert guest.head().status == 403
