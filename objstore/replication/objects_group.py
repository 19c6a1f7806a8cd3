"""The sending end of the replication of objects: one conversation with a peer about many partitions.

Each request compares, offers or sends changes of as many partitions as fit, and packed changes travel as the records
that volumes have. What this cannot do, such as to send a large change or to report why a change was refused, is left
to the conversation about each partition that remains, see `objects_sender`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from objstore.core.errors import Corrupt, NodeFailure, NotFound, Unreadable
from objstore.core.names import Location
from objstore.replication.objects_line import PeerLine
from objstore.replication.objects_messages import (
    COMPARE_EACH,
    OFFER_MANY,
    SEND_MANY,
    Changes,
    Frame,
    Receipt,
    decode_changes_of,
    decode_hashes_of,
    encode_changes_of,
    encode_head,
    encode_partitions,
)
from objstore.replication.objects_run import FRAME, RECORD, encode_item
from objstore.replication.objects_sender import Flow, SenderBounds
from objstore.store.change import Change
from objstore.store.interface import ReplicaStore

_READ_AT_ONCE = 256  # packed changes


class _Run(NamedTuple):
    """Items of one request: their partitions, bytes of each, and all as pieces."""

    partitions: list[int]
    sizes: list[int]
    pieces: list[bytes]

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def add(self, form: int, partition: int, content: list[bytes]) -> None:
        pieces = encode_item(form, partition, content)
        self.partitions.append(partition)
        self.sizes.append(sum(map(len, pieces)))
        self.pieces.extend(pieces)


class GroupSender:
    """Raises what `ObjectSender` does; NodeRefusal if the peer is of a version without these steps.

    sent, sent_bytes, corrupt: see `ObjectSender`.
    """

    def __init__(
        self,
        store: ReplicaStore,
        policy: int,
        line: PeerLine,
        bounds: SenderBounds,
        flow: Flow,
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._policy = policy
        self._line = line
        self._bounds = bounds
        self._flow = flow
        self._logger = logger
        self.sent = 0
        self.sent_bytes = 0
        self.corrupt = 0

    def compare(self, own: Mapping[int, str]) -> dict[int, dict[str, str] | None]:
        """Return the peer's hashes by suffix of partitions, None for those that are equal to ours.

        Those for which the peer had no time are left out.
        """
        response = self._line.call(COMPARE_EACH, None, encode_partitions(own))
        return {each: found for each, found in self._line.decoded(decode_hashes_of, response).items() if each in own}

    def settle(self, offered: Mapping[int, Changes], empty: Set[int]) -> set[int]:
        """Send the changes that the peer lacks; return the partitions of which it may still lack some.

        empty: partitions of which the peer has nothing, so that it need not be asked.
        """
        missing = {partition: changes for partition, changes in offered.items() if partition in empty}
        asked = {partition: changes for partition, changes in offered.items() if partition not in empty}
        if asked:
            answer = self._line.call(OFFER_MANY, None, encode_changes_of(asked))
            missing.update(self._line.decoded(decode_changes_of, answer))
        names = [
            (Location(partition, name_hash, self._policy), change)
            for partition, changes in missing.items()
            for name_hash, of_name in changes.items()
            for change in of_name
        ]
        return self._send_all(names)

    def _send_all(self, names: list[tuple[Location, Change]]) -> set[int]:
        lacking: set[int] = set()
        run = _Run([], [], [])
        for first in range(0, len(names), _READ_AT_ONCE):
            some = names[first : first + _READ_AT_ONCE]
            for (location, change), record in zip(some, self._store.read_packed(some), strict=True):
                form, content = (RECORD, [record]) if record is not None else (FRAME, self._frame(location, change))
                if content is None:
                    lacking.add(location.partition)
                    continue
                if not content:
                    continue
                if run.sizes and not self._has_room(run, sum(map(len, content))):
                    lacking |= self._send(run)
                    run = _Run([], [], [])
                run.add(form, location.partition, content)
        if run.sizes:
            lacking |= self._send(run)
        return lacking

    def _has_room(self, run: _Run, size: int) -> bool:
        return len(run.sizes) < self._bounds.changes and run.size + size <= self._bounds.bytes

    def _frame(self, location: Location, change: Change) -> list[bytes] | None:
        """Return a change as a frame; nothing if it cannot be sent now, None if it is too large."""
        try:
            with self._store.read_change(location, change) as reader:
                if reader.length > self._bounds.large:
                    return None
                return [encode_head(Frame(location.hash, change, reader.length)), *map(bytes, reader)]
        except NotFound:  # replaced by a newer change meanwhile: the next pass sends that one
            pass
        except (Corrupt, Unreadable) as error:
            self.corrupt += 1
            self._logger.warning("cannot send %s of %s: %s", change, location.hash, error)
        return []

    def _send(self, run: _Run) -> set[int]:
        """Return the partitions of changes that were refused."""
        self._flow.take_changes(len(run.sizes))
        self._flow.take_bytes(run.size)
        receipt = self._line.decoded(Receipt.decode, self._line.call(SEND_MANY, None, b"".join(run.pieces)))
        if receipt.frames != len(run.sizes):
            raise NodeFailure(f"reported {receipt.frames} changes for a request of {len(run.sizes)}")
        refused = receipt.refused.keys() & set(range(len(run.sizes)))
        self.sent += len(run.sizes) - len(refused)
        self.sent_bytes += run.size - sum(run.sizes[index] for index in refused)
        return {run.partitions[index] for index in refused}


def asks(suffixes: Mapping[int, Iterable[str]], most: int) -> list[dict[int, list[str]]]:
    """Group suffixes of partitions, in order, so that each group has about `most` of them."""
    groups: list[dict[int, list[str]]] = []
    count = most
    for partition, some in suffixes.items():
        for suffix in some:
            if count >= most:
                groups.append({})
                count = 0
            groups[-1].setdefault(partition, []).append(suffix)
            count += 1
    return groups
