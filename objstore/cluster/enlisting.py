"""The end of a PUT: the object's row is in its container, or the object is taken back.

An object server sends the row right after it has written the object. A container server refuses it when the container
was deleted, or is being deleted, since the proxy looked at it (the *life* that the proxy saw, `LIFE`, ended).

Why one of the two is refused, the PUT or the deletion of its container: each replica of the container takes the row and
then refuses its deletion, or is deleted and then refuses the row. Both need a majority of the replicas.

Rows that could not be sent are in the spools of object servers. They are taken whenever they come, as the PUT was
answered: one that comes after a deletion brings the container back, with its metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from objstore.cluster.object_write import ObjectChange
from objstore.cluster.quorum import quorum_size
from objstore.cluster.writes import Written
from objstore.core.lives import LIFE
from objstore.core.timestamps import Timestamp
from objstore.core.versions import LISTED, keeps_versions
from objstore.layers.interface import ObjectLayer
from objstore.runtime import green
from objstore.swift.request import ProxyRequest
from objstore.web import infos
from objstore.web.infos import ContainerInfo
from objstore.wire import messages
from objstore.wire.telling import ended, succeeded

_TRIES = 10  # to send the row again to a container that is there after all
_PAUSE = 0.04  # seconds, times the number of tries so far


class Tally(NamedTuple):
    """The replicas of the container that took a row, and those that refused it, by their indexes."""

    taken: frozenset[int]
    refused: frozenset[int]

    @classmethod
    def of(cls, written: Written, told: Mapping[int, int]) -> Tally:
        """From what object servers answered, and the statuses of the replicas that the proxy told itself."""
        refused = _indexes(written, messages.REFUSED) | {index for index, status in told.items() if ended(status)}
        taken = _indexes(written, messages.UPDATED) - _indexes(written, messages.SPOOLED)
        taken |= {index for index, status in told.items() if succeeded(status)}
        return cls(frozenset(taken - refused), frozenset(refused))

    def is_listed(self, replicas: int, by_majority: bool = False) -> bool:
        """May the PUT be answered? Where no replica refuses the row, spools bring it to those that were away.

        by_majority: it may not be answered before a majority has the row.
        """
        return (not self.refused and not by_majority) or len(self.taken) >= quorum_size(replicas)


def _indexes(written: Written, header: str) -> set[int]:
    texts = (answer.headers.get(header, "") for answer in written.answers)
    return {int(index) for text in texts for index in text.split(",") if index}


class Enlisting:
    """One PUT's. container: as it was when the PUT began."""

    def __init__(
        self, layer: ObjectLayer, request: ProxyRequest, change: ObjectChange, container: ContainerInfo
    ) -> None:
        self._layer = layer
        self._request = request
        self._change = change
        self._container = container
        self._is_bound = request.trusted and LIFE in request.headers
        self._needs_majority = request.trusted and LISTED in request.headers

    def finish(self, written: Written, row: Callable[[], dict[str, Any]]) -> int:
        """The status to answer: 201, else the object is as if it had not been written.

        404: the container is gone; 409: it is another one now; 503: it is not clear which. A request that brings its
        own life (`LIFE`) depends on other things of that life, and never becomes part of a later one. One that needs a
        listing without gaps (`LISTED`) is answered 503, too, if the row is in spools alone; the object stays then.
        """
        change = self._change
        told = change.tell_the_rest(written, row)
        said = {name for answer in written.answers for name in answer.headers}
        if not told and messages.REFUSED not in said and not (self._needs_majority and messages.SPOOLED in said):
            return 201  # as nearly always
        tally = Tally.of(written, told)
        replicas = change.container_replicas
        if tally.is_listed(replicas, self._needs_majority):
            if tally.refused:
                change.tell(tally.refused, row())
            return 201
        status = self._again(row, replicas)
        if status == 201 or (status == 503 and not tally.refused):
            return status
        if messages.OVERWRITTEN in said:
            # There was an object, so the container was not empty: it will come back, when that one's row comes.
            change.tell(range(replicas), row())
            return 503
        change.withdraw(self._request)
        return status

    def _again(self, row: Callable[[], dict[str, Any]], replicas: int) -> int:
        """Look at the container again; send the row again while it is the same, or as good."""
        for attempt in range(_TRIES):
            green.sleep(_PAUSE * attempt)
            infos.forget(self._request.context, self._request.name.of_container)
            container = self._layer.container_info(self._request.context, self._request.name)
            if container.status in (404, 410):
                return 404
            if not container.exists:
                continue
            if not self._is_the_same(container):
                return 409
            told = self._change.tell(range(replicas), row(), container.life)
            tally = Tally.of(Written(0, []), told)
            if len(tally.taken) >= quorum_size(replicas):
                if tally.refused:
                    self._change.tell(tally.refused, row())
                return 201
        return 503

    def _is_the_same(self, container: ContainerInfo) -> bool:
        """Can the object, as it was written, be one of the container as it is now?"""
        if container.life == self._container.life:
            return True
        if self._is_bound or Timestamp.parse(container.life) < Timestamp.parse(self._container.life):
            return False
        same_policy = container.policy_index == self._container.policy_index
        return same_policy and not keeps_versions(container.sysmeta)
