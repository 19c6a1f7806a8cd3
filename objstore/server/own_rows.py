"""The row of an object in a container whose database is on the same device as the object.

It needs no request to the container's server: the engine hands it to the journal of rows right after the change, in the
thread that made that durable, so that both take one hand-over. What the journal does not take goes the ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.lives import LIFE
from objstore.core.names import HashSalt, Location
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.server.containers import listed_row
from objstore.server.request import Request
from objstore.store.interface import Sequel
from objstore.wire.messages import UpdateTarget

_MAX_KNOWN = 4096


class _OwnContainer(NamedTuple):
    """A container on a device of this process. device: its name."""

    device: str
    location: Location


class OwnRows:
    """Finds out which rows need no request. is_own: whether a node's servers are those of this process."""

    def __init__(self, salt: HashSalt, is_own: Callable[[Node], bool]) -> None:
        self._salt = salt
        self._is_own = is_own
        self._known: dict[str, _OwnContainer | None] = {}

    def sequel(self, request: Request, encoded: str, row: Mapping[str, Any]) -> Sequel | None:
        """Return what joins the row to its container once the object is durable; None if that takes a request.

        encoded: the target of the update, as in the request.
        """
        try:
            own = self._known[encoded]
        except KeyError:
            own = self._find(encoded)
        if own is None or own.device != request.device.name:
            return None
        life = request.headers.get(LIFE)
        try:
            return request.device.containers.row_after(
                own.location, listed_row(row), Timestamp.parse(life) if life else None
            )
        except InvalidInput:  # to be refused by the container's server
            return None

    def _find(self, encoded: str) -> _OwnContainer | None:
        target = UpdateTarget.decode(encoded)
        own = None
        if len(target.nodes) == 1:
            ((_, node),) = target.nodes
            if self._is_own(node):
                own = _OwnContainer(node.device, Location(target.partition, self._salt.hash(target.name)))
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[encoded] = own
        return own
