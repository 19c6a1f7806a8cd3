"""The sending end of the replication of objects: one conversation with a peer about a partition."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from objstore.core.errors import Corrupt, NodeFailure, NotFound, Unreadable
from objstore.core.names import Location
from objstore.replication.objects_line import PeerLine
from objstore.replication.objects_messages import (
    COMPARE,
    HELD,
    OFFER,
    PARTITION_HASH,
    SEND,
    Changes,
    Frame,
    Receipt,
    decode_changes,
    decode_hashes,
    encode_changes,
    encode_head,
)
from objstore.replication.objects_plan import NamedChange, flat
from objstore.runtime.seldom import Seldom
from objstore.store.interface import ChangeReader, ReplicaStore
from objstore.store.packed.runs import check_received, record_stream

_PIECE = 256 << 10  # bytes sent at a time: a low rate must not cause long pauses for the peer

_READ_AT_ONCE = 64  # packed changes, of some KiB each


class SenderBounds(NamedTuple):
    """Bounds of one request with changes: maximum of bytes and changes.

    large: a change of more bytes is sent in its own request, piece by piece.
    """

    bytes: int = 4 << 20
    changes: int = 256
    large: int = 1 << 20


class Flow(NamedTuple):
    """Rate limits, called with the number of bytes or changes before they are sent."""

    take_bytes: Callable[[int], object]
    take_changes: Callable[[int], object]


class ObjectSource(NamedTuple):
    """The store that changes are sent from."""

    store: ReplicaStore
    partition: int
    policy: int


class _Batch:
    """Small changes sent in one request."""

    def __init__(self) -> None:
        self.changes: list[NamedChange] = []
        self.sizes: list[int] = []
        self.pieces: list[bytes] = []
        self.size = 0

    def has_room(self, size: int, bounds: SenderBounds) -> bool:
        return not self.changes or (len(self.changes) < bounds.changes and self.size + size <= bounds.bytes)

    def add(self, change: NamedChange, content: bytes) -> None:
        self.pieces += (encode_head(Frame(*change, len(content))), content)
        self.changes.append(change)
        self.sizes.append(len(content))
        self.size += len(content)


class ObjectSender:
    """Raises NodeFailure if the peer does not answer correctly, NodeDeviceGone if its device is missing, Conflict if
    the peer is the sending device itself; DeviceUnavailable if our own fails.

    sent, sent_bytes: changes that the peer stored. refused: changes that it refused. corrupt: changes found damaged
    here, which the engine has quarantined, or that the device fails to read; they are skipped.
    """

    def __init__(
        self,
        source: ObjectSource,
        line: PeerLine,
        bounds: SenderBounds,
        flow: Flow,
        logger: logging.Logger,
        warnings: Seldom,
    ) -> None:
        """warnings: limits the log lines about refused changes: a full peer refuses all."""
        self.node = line.node
        self._source = source
        self._line = line
        self._bounds = bounds
        self._flow = flow
        self._logger = logger
        self._warnings = warnings
        self.sent = 0
        self.sent_bytes = 0
        self.refused = 0
        self.corrupt = 0

    def compare(self, own_hash: str) -> dict[str, str] | None:
        """Return the peer's hashes by suffix; None if all are equal to ours."""
        response = self._line.call(COMPARE, self._source.partition, headers={PARTITION_HASH: own_hash})
        if response.status == 204:
            response.close()
            return None
        return self._line.decoded(decode_hashes, response)

    def settle(self, offered: Changes) -> set[NamedChange]:
        """Send the changes that the peer lacks; return those that it then has, or has replaced by newer ones."""
        answer = self._line.call(OFFER, self._source.partition, encode_changes(offered))
        missing = self._line.decoded(decode_changes, answer)
        confirmed = flat(offered) - flat(missing)
        batch = _Batch()
        names = [(name_hash, change) for name_hash, changes in missing.items() for change in changes]
        for first in range(0, len(names), _READ_AT_ONCE):
            some = names[first : first + _READ_AT_ONCE]
            packed = self._source.store.read_packed([(self._location(each), change) for each, change in some])
            for named, record in zip(some, packed, strict=True):
                content, sent = self._read(named) if record is None else (record_stream(check_received(record)), set())
                confirmed |= sent
                if content is None:
                    continue
                if not batch.has_room(len(content), self._bounds):
                    confirmed |= self._send(batch)
                    batch = _Batch()
                batch.add(named, content)
        if batch.changes:
            confirmed |= self._send(batch)
        return confirmed

    def _read(self, named: NamedChange) -> tuple[bytes | None, set[NamedChange]]:
        """Return a change as bytes, None if it cannot be sent; a large one is sent at once, and returned as sent."""
        name_hash, change = named
        try:
            with self._source.store.read_change(self._location(name_hash), change) as reader:
                if reader.length > self._bounds.large:
                    return None, self._upload(named, reader)
                return b"".join(map(bytes, reader)), set()
        except NotFound:  # replaced by a newer change meanwhile: the next pass sends that one
            pass
        except (Corrupt, Unreadable) as error:
            self.corrupt += 1
            self._logger.warning("cannot send %s of %s: %s", change, name_hash, error)
        return None, set()

    def _location(self, name_hash: str) -> Location:
        return Location(self._source.partition, name_hash, self._source.policy)

    def _send(self, batch: _Batch) -> set[NamedChange]:
        self._flow.take_changes(len(batch.changes))
        self._flow.take_bytes(batch.size)
        response = self._line.call(SEND, self._source.partition, b"".join(batch.pieces))
        return self._received(self._line.decoded(Receipt.decode, response), batch.changes, batch.sizes)

    def _upload(self, change: NamedChange, reader: ChangeReader) -> set[NamedChange]:
        """Send one large change while it is read."""
        head = encode_head(Frame(*change, reader.length))
        self._flow.take_changes(1)
        upload = self._line.upload(SEND, self._source.partition, len(head) + reader.length)
        try:
            upload.send(head)
            for piece in reader:
                for start in range(0, len(piece), _PIECE):
                    part = bytes(piece[start : start + _PIECE])  # the reader's buffer is reused
                    self._flow.take_bytes(len(part))
                    upload.send(part)
        except BaseException:
            upload.abort()
            raise
        response = upload.finish({})
        if response.status != 200:
            response.close()
            raise self._line.failure(response.status)
        return self._received(self._line.decoded(Receipt.decode, response), [change], [reader.length])

    def _received(self, receipt: Receipt, changes: list[NamedChange], sizes: list[int]) -> set[NamedChange]:
        if receipt.frames != len(changes):
            raise NodeFailure(f"reported {receipt.frames} changes for a request of {len(changes)}")
        for index, why in receipt.refused.items():
            if index < len(changes):
                warnings = why != HELD and self._warnings.is_due((str(self.node), why))
                level = logging.WARNING if warnings else logging.DEBUG
                self._logger.log(level, "%s refused %s of %s: %s", self.node, changes[index][1], changes[index][0], why)
        stored = [index for index in range(len(changes)) if index not in receipt.refused]
        self.refused += len(changes) - len(stored)
        self.sent += len(stored)
        self.sent_bytes += sum(sizes[index] for index in stored)
        return {changes[index] for index in stored}
