"""Synchronisation of containers between clusters: targets and signatures (Swift: Container Synchronization).

A container with X-Container-Sync-To and X-Container-Sync-Key is copied, change by change, to a container of another
cluster, or of this one. Clusters that trust each other share the keys of a *realm*. Each request of the daemon that
copies is signed with the key of the realm and with that of the user, which both containers must have.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.names import Name

SYNC_TO = "X-Container-Sync-To"
SYNC_KEY = "X-Container-Sync-Key"
SYNC_AUTH = "X-Container-Sync-Auth"
# In the environ of a request with a valid signature: links and manifests in it are as they were at the source, where
# they were checked; the objects that they refer to may come later.
SYNCED = "objstore.container_sync"


class SyncRealm(NamedTuple):
    """keys: the first signs, any of them verifies. clusters: URL of the API, with a slash at its end, by upper-case
    name."""

    name: str
    keys: tuple[str, ...]
    clusters: Mapping[str, str]


class SyncTarget(NamedTuple):
    """Another container. realm and cluster: in upper case."""

    realm: str
    cluster: str
    name: Name


def parse_target(text: str) -> SyncTarget:
    """Parse X-Container-Sync-To: `//realm/cluster/account/container`. Raises InvalidInput."""
    if not text.startswith("//"):
        raise InvalidInput(f"{SYNC_TO} must be of the form //realm/cluster/account/container")
    parts = text.rstrip("/")[2:].split("/", 3)
    if len(parts) != 4 or not all(parts) or "/" in parts[3] or "\0" in text:
        raise InvalidInput(f"{SYNC_TO} must be of the form //realm/cluster/account/container")
    realm, cluster, account, container = parts
    return SyncTarget(realm.upper(), cluster.upper(), Name(account, container))


class SignedRequest(NamedTuple):
    """The parts of a request that its signature covers. path: percent-encoded. timestamp: as X-Timestamp has it."""

    method: str
    path: str
    timestamp: str


def new_auth(realm: SyncRealm, request: SignedRequest, user_key: str) -> str:
    """Return the value of X-Container-Sync-Auth: realm, nonce, signature."""
    nonce = secrets.token_hex(16)
    return f"{realm.name} {nonce} {_signature(realm.keys[0], request, nonce, user_key)}"


def verifies(realm: SyncRealm, request: SignedRequest, nonce: str, signature: str, user_keys: Iterable[str]) -> bool:
    """Return whether a signature is that of the request, by any key of the realm and any of the user's."""
    expected = [_signature(key, request, nonce, user_key) for user_key in user_keys for key in realm.keys]
    given = signature.encode("utf-8", "surrogateescape")
    return any(hmac.compare_digest(one.encode(), given) for one in expected)


def _signature(key: str, request: SignedRequest, nonce: str, user_key: str) -> str:
    """HMAC-SHA1 in hex, as Swift's clusters sign and verify."""
    text = "\n".join((request.method, request.path, request.timestamp, nonce, user_key))
    return hmac.new(key.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha1).hexdigest()
