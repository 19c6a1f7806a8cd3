"""Code that the account server and the container server share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from objstore.core.errors import MALFORMED, InvalidInput
from objstore.core.limits import Limits
from objstore.core.metadata import check_sendable
from objstore.core.names import HashSalt
from objstore.server.answers import answer
from objstore.server.database_replication import DatabaseReplication
from objstore.server.devices import Devices
from objstore.server.request import Request
from objstore.server.storage_server import StorageServer
from objstore.store.databases import live_metadata
from objstore.web.constraints import check_metadata
from objstore.wire.messages import NodeResponse

MAX_ROWS_BODY = 64 << 20  # bytes of one update
LISTING = {"Content-Type": "application/json; charset=utf-8"}
Row = TypeVar("Row")


class Settable(NamedTuple):
    """The headers of a request that an account or container stores. kind: 'Account' or 'Container'."""

    kind: str
    prefixes: tuple[str, ...]
    names: frozenset[str] = frozenset()

    def sent(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that a request sets; an empty value removes. Raises InvalidInput if no answer could have
        them."""
        changes = {
            name: value for name, value in headers.items() if name in self.names or name.startswith(self.prefixes)
        }
        check_sendable(changes)
        return changes

    def check(self, stored: Any, changes: Mapping[str, str], limits: Limits) -> None:
        """Raise InvalidInput if the changed metadata would be too large."""
        check_metadata(self.kind, {**live_metadata(stored), **changes}, limits)


def post_metadata(request: Request, store: Any, settable: Settable, limits: Limits) -> NodeResponse:
    timestamp = request.timestamp()
    info = store.info(request.location)
    changes = settable.sent(request.headers)
    if changes:
        settable.check(info.metadata, changes, limits)
        store.set_metadata(request.location, changes, timestamp)
    return answer(204)


def read_rows(request: Request, decode: Callable[[Mapping[str, object]], Row]) -> list[Row]:
    """Return the rows in the body of a request. Raises InvalidInput."""
    try:
        return [decode(item) for item in request.body.json(MAX_ROWS_BODY)]
    except MALFORMED as failure:
        raise InvalidInput(f"not rows: {failure!r}") from None


class DatabaseVerbs(Protocol):
    def put(self, request: Request) -> NodeResponse: ...
    def get(self, request: Request) -> NodeResponse: ...
    def post(self, request: Request) -> NodeResponse: ...
    def delete(self, request: Request) -> NodeResponse: ...


def database_server(
    kind: str,
    verbs: DatabaseVerbs,
    devices: Devices,
    salt: HashSalt,
    logger: logging.Logger,
    replicate: DatabaseReplication,
) -> StorageServer:
    by_method = {"PUT": verbs.put, "GET": verbs.get, "HEAD": verbs.get, "POST": verbs.post, "DELETE": verbs.delete}
    return StorageServer(kind, devices, salt, by_method, logger, replicate)
