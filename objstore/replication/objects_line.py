"""Requests of the replication of objects to one peer, and the meaning of its statuses."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TypeVar

from objstore.core.errors import Conflict, InvalidInput, NodeDeviceGone, NodeFailure, NodeRefusal
from objstore.core.nodes import Node
from objstore.replication.objects_messages import COMPARE_MANY, SOURCE, decode_numbers, encode_partitions
from objstore.runtime import green
from objstore.wire.messages import POLICY, REPLICATE, NodeRequest, NodeResponse, Share, Transport, Upload

Decoded = TypeVar("Decoded")

_OBJECTS = Share("object")
_BUSY_PAUSES = (0.1, 0.3, 1.0, 3.0)  # seconds before a busy peer is asked again


class PeerLine:
    """The connection from a device here to a peer, for one policy.

    Its calls raise NodeFailure if the peer does not answer correctly: NodeDeviceGone if its device is missing,
    NodeRefusal if it does not support the request; and Conflict if the peer is the sending device itself.
    """

    def __init__(self, transport: Transport, node: Node, policy: int, identity: str) -> None:
        """node: with its address for replication. identity: see `objects_messages.device_identity`."""
        self.node = node
        self._transport = transport
        self._headers = {POLICY: str(policy), SOURCE: identity}

    def call(
        self, step: str, partition: int | None, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> NodeResponse:
        """Return the peer's answer of 200 or 204; wait while it is busy."""
        request = self._request(step, partition, body, headers)
        for pause in (*_BUSY_PAUSES, None):
            response = self._transport.call(self.node, request)
            if response.status in (200, 204):
                return response
            response.close()
            if response.status != 503 or pause is None:
                break
            _rest(pause)
        raise self.failure(response.status)

    def upload(self, step: str, partition: int, length: int) -> Upload:
        """Open an upload that the peer accepts; wait while it is busy."""
        request, status = self._request(step, partition), 503
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
        raise self.failure(status)

    def decoded(self, decode: Callable[[bytes], Decoded], response: NodeResponse) -> Decoded:
        try:
            return decode(response.read())
        except InvalidInput as error:
            raise NodeFailure(str(error)) from None

    def failure(self, status: int) -> Exception:
        if status == 507:
            return NodeDeviceGone("the device is missing")
        if status == 409:
            return Conflict(f"{self.node} is the sender itself: own_ips does not match the ring")
        return (NodeRefusal if 400 <= status < 500 else NodeFailure)(f"answered {status}")

    def _request(
        self, step: str, partition: int | None, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> NodeRequest:
        every = {**self._headers, **headers} if headers else self._headers
        return NodeRequest(REPLICATE, partition, _OBJECTS, every, f"step={step}", body)


def compare_many(line: PeerLine, own: Mapping[int, str]) -> set[int]:
    """Return the partitions, of those with given hashes, that are known to be equal on the peer."""
    response = line.call(COMPARE_MANY, None, encode_partitions(own))
    return own.keys() - line.decoded(decode_numbers, response)


def _rest(seconds: float) -> None:
    green.sleep(seconds * random.uniform(0.5, 1.5))
