"""Cached information about accounts and containers for filters and the proxy.

An info is the answer to a HEAD of the account or container, kept in the cache that the
`cache` filter provides, for as long as that says. A change through this host
makes it stale at once (see `middleware.cache`); a change through another host is seen after
`ttl` seconds, or at once where hosts share a memcached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

from objstore.core import quotas
from objstore.core.names import Name
from objstore.core.timestamps import ZERO
from objstore.core.versions import keeps_versions
from objstore.web.context import RequestContext

TTL = 60.0  # seconds; defaults of the `cache` filter's settings
TTL_MISSING = 3.0


class _AccountFields(NamedTuple):
    status: int
    container_count: int
    object_count: int
    bytes_used: int
    meta: Mapping[str, str]
    sysmeta: Mapping[str, str]


class AccountInfo(_AccountFields):
    """status: of the HEAD, 200 to 299 where it exists. meta: user metadata by its lower-case name
    without prefix; sysmeta likewise. Decisions that depend on nothing else are kept with it."""

    @cached_property
    def exists(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def has_quota(self) -> bool:
        return quotas.account_has(self.sysmeta)


class _ContainerFields(NamedTuple):
    status: int
    policy_index: int
    object_count: int
    bytes_used: int
    read_acl: str
    write_acl: str
    meta: Mapping[str, str]
    sysmeta: Mapping[str, str]
    life: str = ZERO.internal


class ContainerInfo(_ContainerFields):
    """See `AccountInfo`. read_acl, write_acl: as set by X-Container-Read and -Write.

    life: timestamp of the container's last deletion, in internal form: another one for each time that it was made.
    """

    @cached_property
    def exists(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def has_quota(self) -> bool:
        return quotas.container_has(self.meta)

    @cached_property
    def keeps_versions(self) -> bool:
        return keeps_versions(self.sysmeta)


Info = TypeVar("Info", AccountInfo, ContainerInfo)


class Cache(Protocol):
    """The interface of environ['objstore.cache'], which the `cache` filter provides; keys and values as here.

    info_ttl, missing_ttl: seconds to cache an info, and a negative look-up.
    """

    info_ttl: float
    missing_ttl: float

    def state(self) -> object:
        """The state of all entries, for `get`; None if there is none."""
        ...

    def get(self, key: str, kind: type[object], state: object = None) -> Any:
        """The value last set, of type `kind` (a NamedTuple of JSON values), or None.

        state: of the time when the request began; a value that was valid then is good enough. None for now.
        """
        ...

    def set(self, key: str, value: object, ttl: float, token: object = None) -> None:
        """Keep a value for `ttl` seconds, unless the key was deleted since `token` was taken."""
        ...

    def token(self, key: str) -> object:
        """Taken before a value is looked up, so that a change meanwhile is not overlooked."""
        ...

    def delete(self, key: str) -> None:
        """Make every worker of this host (of all hosts, with memcached) forget the key."""
        ...


# Asks for the status and the headers (canonical name to text) of an account or container.
Head = Callable[[RequestContext, Name], tuple[int, Mapping[str, str]]]


def forget(context: RequestContext, name: Name) -> None:
    """To be called after every change to an account or container."""
    context.forget(name)
    if context.cache is not None:
        context.cache.delete(name.path)


def look_up(context: RequestContext, name: Name, kind: type[Info], head: Head) -> Info:
    """Return the info of an account or container: as this request has seen it, from the cache, or by asking for it."""
    known: Info | None = context.infos.get(name)
    if known is not None:
        return known
    cache = context.cache
    if cache is None:
        known = from_headers(kind, *head(context, name))
    else:
        key = name.path
        known = cache.get(key, kind, context.cache_state)
        if known is None:
            token = cache.token(key)
            known = from_headers(kind, *head(context, name))
            # Only what is sure is worth remembering: a 503 is gone a moment later.
            if known.exists or known.status in (404, 410):
                cache.set(key, known, cache.info_ttl if known.exists else cache.missing_ttl, token)
    context.infos[name] = known
    return known


def from_headers(kind: type[Info], status: int, headers: Mapping[str, str]) -> Info:
    """Return the info that an answer about an account or container comes to."""
    noun = "Account" if kind is AccountInfo else "Container"
    values: dict[str, Any] = {
        "status": status,
        "object_count": int(headers.get(f"X-{noun}-Object-Count", 0)),
        "bytes_used": int(headers.get(f"X-{noun}-Bytes-Used", 0)),
        "meta": _prefixed(headers, f"X-{noun}-Meta-"),
        "sysmeta": _prefixed(headers, f"X-{noun}-Sysmeta-"),
    }
    if kind is AccountInfo:
        values["container_count"] = int(headers.get("X-Account-Container-Count", 0))
    else:
        values["policy_index"] = int(headers.get("X-Backend-Storage-Policy-Index", 0))
        values["read_acl"] = headers.get("X-Container-Read", "")
        values["life"] = headers.get("X-Backend-Delete-Timestamp", ZERO.internal)
        values["write_acl"] = headers.get("X-Container-Write", "")
    return kind(**values)


def _prefixed(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    skip = len(prefix)
    return {name[skip:].lower(): value for name, value in headers.items() if name.startswith(prefix)}
