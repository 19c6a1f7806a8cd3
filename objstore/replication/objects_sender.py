"""The sending end of the replication of objects: one conversation with a peer about a partition."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from objstore.core.errors import Conflict, Corrupt, InvalidInput, NodeDeviceGone, NodeFailure, NotFound
from objstore.core.names import Location
from objstore.core.nodes import Node
from objstore.replication.objects_messages import (
    COMPARE,
    HELD,
    OFFER,
    PARTITION_HASH,
    SEND,
    SOURCE,
    Changes,
    Frame,
    Receipt,
    decode_changes,
    decode_hashes,
    encode_changes,
    encode_head,
)
from objstore.replication.objects_plan import Change, flat
from objstore.runtime import green
from objstore.runtime.seldom import Seldom
from objstore.store.interface import ChangeReader, ReplicaStore
from objstore.wire.messages import POLICY, REPLICATE, NodeRequest, NodeResponse, Share, Transport, Upload

Decoded = TypeVar("Decoded")

_OBJECTS = Share("object")
_PIECE = 256 << 10  # bytes sent at a time: a slow flow must not leave the peer without any for long
_BUSY_PAUSES = (0.1, 0.3, 1.0, 3.0)  # seconds before a peer that has enough to do is asked again


class Bounds(NamedTuple):
    """Of one request that carries changes: bytes and changes put together, at most.

    large: a change of more bytes goes in a request of its own, piece by piece.
    """

    bytes: int = 4 << 20
    changes: int = 256
    large: int = 1 << 20


class Flow(NamedTuple):
    """Called before so many bytes, or changes, are sent, to wait there."""

    take_bytes: Callable[[int], object]
    take_changes: Callable[[int], object]


class Source(NamedTuple):
    """What is sent from. identity: see `objects_messages.device_identity`."""

    store: ReplicaStore
    partition: int
    policy: int
    identity: str


class _Batch:
    """Small changes that go in one request."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.sizes: list[int] = []
        self.pieces: list[bytes] = []
        self.size = 0

    def has_room(self, size: int, bounds: Bounds) -> bool:
        return not self.changes or (len(self.changes) < bounds.changes and self.size + size <= bounds.bytes)

    def add(self, change: Change, content: bytes) -> None:
        self.pieces += (encode_head(Frame(*change, len(content))), content)
        self.changes.append(change)
        self.sizes.append(len(content))
        self.size += len(content)


class Sender:
    """Raises NodeFailure where the peer does not answer as it should, NodeDeviceGone where its device is not there,
    Conflict where the peer is the very device that sends; DeviceUnavailable where our own fails.

    sent, sent_bytes: what the peer stored. refused: changes that it did not. corrupt: changes found damaged here,
    which the engine has quarantined; they are passed over.
    """

    def __init__(
        self,
        source: Source,
        transport: Transport,
        node: Node,
        bounds: Bounds,
        flow: Flow,
        logger: logging.Logger,
        told: Seldom,
    ) -> None:
        """node: at its address for replication. told: what peers refused: one that is full refuses all."""
        self.node = node
        self._source = source
        self._transport = transport
        self._bounds = bounds
        self._flow = flow
        self._logger = logger
        self._told = told
        self._headers = {POLICY: str(source.policy), SOURCE: source.identity}
        self.sent = 0
        self.sent_bytes = 0
        self.refused = 0
        self.corrupt = 0

    def compare(self, own_hash: str) -> dict[str, str] | None:
        """The peer's hashes by suffix; None where it has the same as we."""
        response = self._call(COMPARE, headers={PARTITION_HASH: own_hash})
        if response.status == 204:
            response.close()
            return None
        return self._decoded(decode_hashes, response)

    def settle(self, offered: Changes) -> set[Change]:
        """Send what the peer lacks of the changes; those that it has then, or what supersedes them."""
        missing = self._decoded(decode_changes, self._call(OFFER, encode_changes(offered)))
        confirmed = flat(offered) - flat(missing)
        batch = _Batch()
        for name_hash, names in missing.items():
            for name in names:
                change = name_hash, name
                try:
                    with self._source.store.read_change(self._location(name_hash), name) as reader:
                        if reader.length > self._bounds.large:
                            confirmed |= self._upload(change, reader)
                            continue
                        content = b"".join(map(bytes, reader))
                except NotFound:  # replaced by a newer change meanwhile: the next pass sends that
                    continue
                except Corrupt as error:
                    self.corrupt += 1
                    self._logger.warning("%s of %s is not sent: %s", name, name_hash, error)
                    continue
                if not batch.has_room(len(content), self._bounds):
                    confirmed |= self._send(batch)
                    batch = _Batch()
                batch.add(change, content)
        if batch.changes:
            confirmed |= self._send(batch)
        return confirmed

    def _location(self, name_hash: str) -> Location:
        return Location(self._source.partition, name_hash, self._source.policy)

    def _send(self, batch: _Batch) -> set[Change]:
        self._flow.take_changes(len(batch.changes))
        self._flow.take_bytes(batch.size)
        response = self._call(SEND, b"".join(batch.pieces))
        return self._received(self._decoded(Receipt.decode, response), batch.changes, batch.sizes)

    def _upload(self, change: Change, reader: ChangeReader) -> set[Change]:
        """One large change, as it is read."""
        head = encode_head(Frame(*change, reader.length))
        self._flow.take_changes(1)
        upload = self._begin_upload(len(head) + reader.length)
        try:
            upload.send(head)
            for piece in reader:
                for start in range(0, len(piece), _PIECE):
                    part = bytes(piece[start : start + _PIECE])  # the reader's buffer is used again
                    self._flow.take_bytes(len(part))
                    upload.send(part)
        except BaseException:
            upload.abort()
            raise
        response = upload.finish({})
        if response.status != 200:
            response.close()
            raise self._failure(response.status)
        return self._received(self._decoded(Receipt.decode, response), [change], [reader.length])

    def _begin_upload(self, length: int) -> Upload:
        """One whose body the peer wants, once it is not too busy."""
        request, status = self._request(SEND), 503
        for pause in (*_BUSY_PAUSES, None):
            upload = self._transport.upload(self.node, request, length)
            try:
                early = upload.wait_continue()
            except BaseException:
                upload.abort()
                raise
            if early is None:
                return upload
            early.close()
            status = early.status
            if status != 503 or pause is None:
                break
            _rest(pause)
        raise self._failure(status)

    def _received(self, receipt: Receipt, changes: list[Change], sizes: list[int]) -> set[Change]:
        if receipt.frames != len(changes):
            raise NodeFailure(f"found {receipt.frames} changes in a request of {len(changes)}")
        for index, why in receipt.refused.items():
            if index < len(changes):
                told = why != HELD and self._told.is_due((str(self.node), why))
                level = logging.WARNING if told else logging.DEBUG
                self._logger.log(level, "%s refused %s of %s: %s", self.node, changes[index][1], changes[index][0], why)
        stored = [index for index in range(len(changes)) if index not in receipt.refused]
        self.refused += len(changes) - len(stored)
        self.sent += len(stored)
        self.sent_bytes += sum(sizes[index] for index in stored)
        return {changes[index] for index in stored}

    def _request(self, step: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> NodeRequest:
        every = {**self._headers, **headers} if headers else self._headers
        return NodeRequest(REPLICATE, self._source.partition, _OBJECTS, every, f"step={step}", body)

    def _call(self, step: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> NodeResponse:
        """The peer's answer of 200 or 204, once it is not too busy."""
        request = self._request(step, body, headers)
        for pause in (*_BUSY_PAUSES, None):
            response = self._transport.call(self.node, request)
            if response.status in (200, 204):
                return response
            response.close()
            if response.status != 503 or pause is None:
                break
            _rest(pause)
        raise self._failure(response.status)

    def _failure(self, status: int) -> Exception:
        if status == 507:
            return NodeDeviceGone("the device is not there")
        if status == 409:
            return Conflict(f"{self.node} is the sender itself: own_ips does not name this host as the ring does")
        return NodeFailure(f"answered {status}")

    def _decoded(self, decode: Callable[[bytes], Decoded], response: NodeResponse) -> Decoded:
        try:
            return decode(response.read())
        except InvalidInput as error:
            raise NodeFailure(str(error)) from None


def _rest(seconds: float) -> None:
    green.sleep(seconds * random.uniform(0.5, 1.5))
