"""Targets and signatures of container synchronisation."""

from __future__ import annotations

import pytest

from objstore.core.container_sync import SignedRequest, SyncRealm, SyncTarget, new_auth, parse_target, verifies
from objstore.core.errors import InvalidInput
from objstore.core.names import Name

REALM = SyncRealm("realm1", ("new", "old"), {})
REQUEST = SignedRequest("PUT", "/v1/AUTH_a/c/o%20x", "1500000000.00001")


@pytest.mark.parametrize("text", ["//realm1/two/AUTH_a/c", "//Realm1/TWO/AUTH_a/c/"])
def test_a_target_names_realm_cluster_and_container(text: str) -> None:
    assert parse_target(text) == SyncTarget("REALM1", "TWO", Name("AUTH_a", "c"))


@pytest.mark.parametrize(
    "text",
    ["", "/", "//", "//r/c/a", "//r/c/a/", "//r/c/a/b/o", "//r//a/c", "http://host/v1/a/c", "//r/c/a/\0versions"],
)
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(InvalidInput, match="//realm/cluster/account/container"):
        parse_target(text)


def test_a_signature_is_that_of_swift() -> None:
    """HMAC-SHA1 over method, path, timestamp, nonce and the user's key, with the key of the realm."""
    assert verifies(REALM, REQUEST, "nonce", "7a500e4c428de58e71082d0a5a1b03357becdc6a", ["user"])
    realm, nonce, made = new_auth(REALM, REQUEST, "user").split()
    assert realm == "realm1"
    assert verifies(REALM, REQUEST, nonce, made, ["user"])


def test_a_former_key_of_the_realm_verifies_and_does_not_sign() -> None:
    _, nonce, made = new_auth(REALM._replace(keys=("old",)), REQUEST, "user").split()
    assert verifies(REALM, REQUEST, nonce, made, ["user"])
    _, nonce, made = new_auth(REALM, REQUEST, "user").split()
    assert not verifies(REALM._replace(keys=("old",)), REQUEST, nonce, made, ["user"])


@pytest.mark.parametrize(
    ("other", "user_key"),
    [
        (REQUEST._replace(method="DELETE"), "user"),
        (REQUEST._replace(path="/v1/AUTH_a/c/p"), "user"),
        (REQUEST._replace(timestamp="1500000000.00002"), "user"),
        (REQUEST, "other"),
    ],
)
def test_a_signature_is_of_one_request_and_one_key(other: SignedRequest, user_key: str) -> None:
    _, nonce, made = new_auth(REALM, REQUEST, "user").split()
    assert not verifies(REALM, other, nonce, made, [user_key])
    assert not verifies(REALM, REQUEST, nonce + "0", made, ["user"])
    assert not verifies(REALM, REQUEST, nonce, "\udcff", ["user"])
