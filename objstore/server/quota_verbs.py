"""Room within quotas: the requests of proxies to the databases of containers and accounts."""

from __future__ import annotations

from typing import Protocol

from objstore.core.errors import InvalidInput
from objstore.core.names import Location
from objstore.core.quota_rooms import RoomRelease, RoomRequest
from objstore.server.answers import answer
from objstore.server.request import Request
from objstore.store.databases import ContainerStore
from objstore.wire import quotas
from objstore.wire.messages import NodeResponse


class _Store(Protocol):
    """The part of both stores that is used here."""

    def reserve(self, location: Location, claim: RoomRequest, /) -> str: ...
    def end_reservation(self, location: Location, ended: RoomRelease, /) -> None: ...


def room(request: Request, store: _Store, what: str) -> NodeResponse:
    """Reserve room (`wire.quotas.RESERVE`), or end a reservation (RELEASE)."""
    body = request.body.read(quotas.MAX_BODY)
    if what == quotas.RESERVE:
        verdict = store.reserve(request.location, quotas.decode_reserve(body))
        return answer(200, {quotas.ANSWER: verdict})
    if what == quotas.RELEASE:
        store.end_reservation(request.location, quotas.decode_release(body))
        return answer(204)
    raise InvalidInput(f"no request about quotas: {what[:100]!r}")


def room_or_standing(request: Request, store: ContainerStore, what: str) -> NodeResponse:
    """Do as `room`; or answer with the standing of a name (STANDING)."""
    if what != quotas.STANDING:
        return room(request, store, what)
    standing = store.standing(request.location, quotas.decode_key(request.body.read(quotas.MAX_BODY)))
    return answer(200, {quotas.ANSWER: quotas.encode_standing(standing)})
