"""The context that all work for one client's request shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from objstore.web import traces

if TYPE_CHECKING:
    from objstore.core.names import Name
    from objstore.web.infos import Cache
    from objstore.web.requests import Environ

_KEY = "objstore.context"


class RequestContext:
    """The context of a request, handed down from its language to the nodes.

    trans_id: the transaction id, '' for none. cache: what the `cache` filter provides, None without that filter.
    cache_state: of the cache when the request began. infos: what this request has looked up by now, by name: it sees
    each account and container in one state. last: the last name whose container was looked up; last_container: its
    info. reseller: the client may exceed the quotas of accounts. trace: headers for requests to nodes, which carry the
    transaction id.
    """

    __slots__ = ("cache", "cache_state", "infos", "last", "last_container", "reseller", "trace", "trans_id")

    def __init__(self, trans_id: str = "", cache: Cache | None = None, cache_state: object = None) -> None:
        self.trans_id = trans_id
        self.cache = cache
        self.cache_state = cache_state
        self.infos: dict[Name, Any] = {}
        self.last: Name | None = None
        self.last_container: Any = None
        self.reseller = False
        self.trace = {traces.HEADER: trans_id} if trans_id else {}

    def forget(self, name: Name) -> None:
        """Look up an account or container again."""
        self.infos.pop(name, None)
        self.last = None

    @classmethod
    def of(cls, environ: Environ) -> RequestContext:
        """The context of the request with this environ, made when first asked for."""
        known: RequestContext | None = environ.get(_KEY)
        if known is None:
            cache = environ.get("objstore.cache")
            state = None if cache is None else cache.state()
            known = environ[_KEY] = cls(environ.get(traces.KEY, ""), cache, state)
        return known
