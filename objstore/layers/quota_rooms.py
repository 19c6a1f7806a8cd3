"""The contract between the layer of quotas and the innermost layer, which keeps their reservations."""

from __future__ import annotations

from typing import Protocol

from objstore.core.names import Name
from objstore.core.quota_rooms import RoomRelease, RoomRequest, Standing
from objstore.layers.interface import ObjectLayer
from objstore.web.context import RequestContext


class Rooms(Protocol):
    """Room within quotas. A holder is a container or an account that has a quota.

    Each operation may raise NodeFailure if too few nodes answer.
    """

    def standing(self, context: RequestContext, container: Name, key: str) -> Standing | None:
        """Return the state of a name and the totals of its container; None if there is no such container."""
        ...

    def reserve(self, context: RequestContext, holder: Name, room: RoomRequest) -> str | None:
        """Reserve room, and return the verdict of the holder's quotas; None if there is no such holder."""
        ...

    def release(self, context: RequestContext, holder: Name, ended: RoomRelease) -> None:
        """End a reservation, as far as nodes answer; on others it ends by its time."""
        ...


def of(layer: ObjectLayer) -> Rooms:
    """Return the rooms of a stack."""
    found: object = layer
    while not hasattr(found, "rooms"):
        found = found.inner  # type: ignore[attr-defined]
    rooms: Rooms = found.rooms
    return rooms
