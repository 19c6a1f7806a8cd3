"""The end of a PUT: either the object's row is in its container, or the object is withdrawn.

An object server sends the row right after it has written the object. A container server refuses it if the container was
deleted, or is being deleted, since the proxy read it (the *life* that the proxy saw, `LIFE`, ended).

Either the PUT or the deletion of its container is refused: each replica of the container accepts the row and then
refuses its deletion, or is deleted and then refuses the row. Both need a majority of the replicas.

Rows that could not be sent are in the spools of object servers. They are always accepted later, because the PUT was
answered: a row that comes after a deletion restores the container, with its metadata.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from objstore.cluster.object_change import ObjectChange, Sent
from objstore.cluster.object_rows import send_row, send_the_rest, tombstone
from objstore.cluster.quorum import quorum_size
from objstore.cluster.sending import plain
from objstore.cluster.writes import WriteResult
from objstore.core.errors import ContainerReplaced, NoContainer, NodeFailure, ObjstoreError
from objstore.core.timestamps import Timestamp
from objstore.runtime import green
from objstore.web.infos import ContainerInfo
from objstore.wire import messages
from objstore.wire.telling import ended, succeeded

_NOTHING = WriteResult(0, ())
_TRIES = 10  # to send the row again to a container that exists after all
_PAUSE = 0.04  # seconds, times the number of tries so far


class Tally(NamedTuple):
    """The replicas of the container that accepted a row, and those that refused it, by their indexes."""

    taken: frozenset[int]
    refused: frozenset[int]

    @classmethod
    def of(cls, written: WriteResult, statuses: Mapping[int, int]) -> Tally:
        """Make a tally from the answers of object servers, and the statuses of replicas that the proxy updated
        itself."""
        refused = _indexes(written, messages.REFUSED) | {index for index, status in statuses.items() if ended(status)}
        taken = _indexes(written, messages.UPDATED) - _indexes(written, messages.SPOOLED)
        taken |= {index for index, status in statuses.items() if succeeded(status)}
        return cls(frozenset(taken - refused), frozenset(refused))

    def is_listed(self, replicas: int, by_majority: bool = False) -> bool:
        """Return whether the PUT may be answered. If no replica refuses the row, spools deliver it to those that were
        away.

        by_majority: not before a majority has the row.
        """
        return (not self.refused and not by_majority) or len(self.taken) >= quorum_size(replicas)


def _indexes(written: WriteResult, header: str) -> set[int]:
    texts = (answer.headers.get(header, "") for answer in written.answers)
    return {int(index) for text in texts for index in text.split(",") if index}


def is_listed(sent: Sent, needs_majority: bool) -> bool:
    """Return whether object servers updated all replicas of the container, as nearly always. needs_majority: see
    `Enlisting`."""
    updates = sent.change.updates
    updated: set[str] = set()
    for answer in sent.written.answers:
        headers = answer.headers
        if messages.REFUSED in headers or (needs_majority and messages.SPOOLED in headers):
            return False
        updated.update(headers.get(messages.UPDATED, "").split(","))
    return updated >= updates.indexes and not updates.place.is_mostly_new


class Enlisting:
    """The enlisting of one PUT. change: as it was made. container: at the beginning of the PUT.

    is_bound: the object depends on other data of that life, which is deleted with it, and never becomes part of a later
    life. needs_majority: the object is acknowledged only after a majority of the container's replicas lists it, as
    bound ones always are. look_again: reads the container's info again.
    """

    def __init__(
        self,
        change: ObjectChange,
        container: ContainerInfo,
        is_bound: bool,
        needs_majority: bool,
        look_again: Callable[[], ContainerInfo],
    ) -> None:
        self._change = change
        self._container = container
        self._is_bound = is_bound
        self._needs_majority = needs_majority or is_bound
        self._look_again = look_again
        self._replicas = len(change.updates.place.primaries)

    def finish(self, sent: Sent, row: Callable[[], dict[str, object]]) -> None:
        """Finish: afterwards the object is listed, or withdrawn.

        Raises NoContainer if the container was deleted, ContainerReplaced if it was created again, NodeFailure if that
        is unknown, and if a majority must have the row but has it only in spools: then the object stays.
        """
        written, change = sent.written, self._change
        statuses = send_the_rest(sent, row)
        names = {name for answer in written.answers for name in answer.headers}
        if not statuses and messages.REFUSED not in names and not (self._needs_majority and messages.SPOOLED in names):
            return
        tally = Tally.of(written, statuses)
        if tally.is_listed(self._replicas, self._needs_majority):
            if tally.refused:
                send_row(change, tally.refused, row())
            return
        refusal = self._again(row)
        if refusal is None:
            return
        if isinstance(refusal, NodeFailure) and not tally.refused:
            raise refusal
        if messages.OVERWRITTEN in names:
            # There was an object, so the container was not empty: it will be restored when that object's row arrives.
            send_row(change, range(self._replicas), row())
            raise NodeFailure("the container was deleted, but will be recreated")
        _withdraw(change)
        raise refusal

    def _again(self, row: Callable[[], dict[str, object]]) -> ObjstoreError | None:
        """Read the container again, and send the row again while it is the same or equivalent. Return None if the
        object is listed."""
        for attempt in range(_TRIES):
            green.sleep(_PAUSE * attempt)
            container = self._look_again()
            if container.status in (404, 410):
                return NoContainer("the container was deleted", ended=True)
            if not container.exists:
                continue
            if not self._is_the_same(container):
                return ContainerReplaced("the container was deleted and created again")
            statuses = send_row(self._change, range(self._replicas), row(), container.life)
            tally = Tally.of(_NOTHING, statuses)
            if len(tally.taken) >= quorum_size(self._replicas):
                if tally.refused:
                    send_row(self._change, tally.refused, row())
                return None
        return NodeFailure("the container cannot be updated with the object")

    def _is_the_same(self, container: ContainerInfo) -> bool:
        """Return whether the object, as it was written, can belong to the current container."""
        if container.life == self._container.life:
            return True
        if self._is_bound or Timestamp.parse(container.life) < Timestamp.parse(self._container.life):
            return False
        same_policy = container.policy_index == self._container.policy_index
        return same_policy and not container.keeps_versions


def _withdraw(change: ObjectChange) -> None:
    """Delete the written object, and nothing newer, as if it had never existed."""
    undone = plain.send(change.undone(), b"")
    send_the_rest(undone, functools.partial(tombstone, undone.change))
