"""Copies one version of an object from a node that has it to the nodes of another place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from objstore.core import metadata
from objstore.core.errors import NodeFailure
from objstore.core.manifests import REPLACED_SEGMENTS
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.daemon.replica_client import ReplicaClient, ReplicaReply
from objstore.wire.messages import DATA_TIMESTAMP, EVEN_EXPIRED, MATCH_TIMESTAMP, TIMESTAMP, NodeResponse, Upload


class PolicyCopySource(NamedTuple):
    """A version of an object. head: a node's reply to HEAD of it."""

    node: Node
    policy: int
    head: ReplicaReply


def copy(
    replicas: ReplicaClient,
    name: Name,
    source: PolicyCopySource,
    policy: int,
    stamp: Timestamp,
    took: Callable[[int], object],
) -> set[str]:
    """Send the object to the primaries of another policy, as of `stamp`; a later check shows the result.

    took: called with the number of bytes of each piece. Returns the segments (`core.manifests.MANIFEST_OWNS`) of the
    replaced object. Raises NodeFailure if the source breaks off.
    """
    partition, _ = replicas.place(name, source.policy)
    asked = {EVEN_EXPIRED: "true", MATCH_TIMESTAMP: source.head.headers[DATA_TIMESTAMP]}
    response = replicas.open(source.node, replicas.request("GET", name, partition, asked, source.policy))
    try:
        if response.status != 200 or ReplicaReply(200, response.headers).stored != source.head.stored:
            raise NodeFailure(f"{name.path} has changed at {source.node}")
        return _send(replicas, name, response, policy, stamp, took)
    finally:
        response.close()


def _send(
    replicas: ReplicaClient,
    name: Name,
    response: NodeResponse,
    policy: int,
    stamp: Timestamp,
    took: Callable[[int], object],
) -> set[str]:
    partition, nodes = replicas.place(name, policy)
    kept = {key: value for key, value in response.headers.items() if metadata.stored_with_object(key)}
    source_headers = {key: response.headers[key] for key in ("Content-Type", "Etag")}
    request = replicas.request("PUT", name, partition, {**kept, **source_headers, TIMESTAMP: stamp.internal}, policy)
    length = int(response.headers["Content-Length"])
    receivers: list[_Receiver] = []
    try:
        for node in nodes:
            receiver = _Receiver()
            receivers.append(receiver)
            receiver.begin(partial(replicas.upload, node, request, length))
        for piece in response:
            took(len(piece))
            data = bytes(piece)  # receivers may hold it for longer than the piece is good
            for receiver in receivers:
                receiver.send(data)
        for receiver in receivers:
            receiver.finish()
    except BaseException:
        for receiver in receivers:
            receiver.abort()
        raise
    return {receiver.replaced for receiver in receivers if receiver.replaced}


class _Receiver:
    """A node that the object is sent to. replaced: the segments that it says are left to no one."""

    def __init__(self) -> None:
        self.replaced = ""
        self._upload: Upload | None = None

    def begin(self, begin: Callable[[], Upload]) -> None:
        try:
            self._upload = begin()
            early = self._upload.wait_continue()
        except NodeFailure:
            self.abort()
            return
        if early is not None:
            early.close()
            self.abort()

    def send(self, data: bytes) -> None:
        if self._upload is not None:
            try:
                self._upload.send(data)
            except NodeFailure:
                self.abort()

    def finish(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            try:
                answer = upload.finish({})
                answer.close()
                self.replaced = answer.headers.get(REPLACED_SEGMENTS, "")
            except NodeFailure:
                pass  # as a look will tell

    def abort(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.abort()
