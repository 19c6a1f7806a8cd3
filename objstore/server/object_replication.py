"""REPLICATE of objects: requests of a peer's replicator to a device here; see `replication.objects_messages`.

Each worker serves a limited number of requests of one device at once, so that clients keep their share of it. Other
requests wait for a while, and are then asked to retry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

from objstore.core.errors import DeviceUnavailable, InvalidInput
from objstore.replication.objects_messages import (
    COMPARE,
    COMPARE_EACH,
    COMPARE_MANY,
    MANY,
    OFFER,
    OFFER_MANY,
    PARTITION_HASH,
    SEND,
    SEND_MANY,
    SOURCE,
    boot_identity,
    decode_changes,
    decode_changes_of,
    decode_partitions,
    device_identity,
    encode_changes,
    encode_changes_of,
    encode_hashes,
    encode_hashes_of,
    encode_numbers,
)
from objstore.replication.objects_receiver import GroupReceiver, Receiver, ReceiverBounds, differing
from objstore.runtime.settings import duration, positive, setting, size
from objstore.server.answers import JSON, answer, error
from objstore.server.request import ShareRequest
from objstore.server.turns import Busy, Turns, come_again
from objstore.server.write_guard import PeersGuard
from objstore.store.interface import ReplicaStore
from objstore.store.leases import Leases
from objstore.wire.messages import NodeResponse


@dataclass(frozen=True)
class ObjectReplicationSettings:
    """Limits of peers' requests to the objects of a device."""

    concurrency: int = setting(positive, "4", "number of replication requests served at once, per device and worker")
    wait: float = setting(duration, "1s", "time a replication request waits for its turn before it gets 503")
    writers: int = setting(positive, "32", "number of changes of one replication request written at once")
    small: int = setting(size, "256K", "maximum size of a change that is buffered in memory until it is written")
    offer_size: int = setting(size, "16M", "maximum number of changes a peer may offer at once")
    compare_size: int = setting(size, "1M", "maximum number of partitions a peer may compare at once")


PREFIX = "replication_"  # of the names of these settings


class ObjectReplication:
    """Answers requests."""

    def __init__(self, limits: ObjectReplicationSettings) -> None:
        self._limits = limits
        self._boot = boot_identity()
        self._turns = Turns(self._limits.concurrency, self._limits.wait)
        self._bounds = ReceiverBounds(limits.writers, limits.small)
        self._steps = {
            COMPARE: self._compare,
            COMPARE_MANY: self._compare_many,
            OFFER: self._offer,
            SEND: self._send,
            COMPARE_EACH: self._compare_each,
            OFFER_MANY: self._offer_many,
            SEND_MANY: self._send_many,
        }

    def __call__(self, request: ShareRequest) -> NodeResponse:
        name = request.parameters().get("step", "")
        step = self._steps.get(name)
        if step is None or request.hash or (request.named is None) is not (name in MANY):
            raise InvalidInput("not a step of the replication of objects")
        path = request.device.path
        try:
            own = device_identity(self._boot, path)
        except OSError as failure:
            raise DeviceUnavailable(f"{path}: {failure}") from failure
        if request.headers.get(SOURCE) == own:
            return error(409, "the sender is this same device")
        try:
            with self._turns.of(path):
                return step(request)
        except Busy:
            return come_again()

    def _receiver(self, request: ShareRequest) -> Receiver:
        return Receiver(
            _store(request), request.partition, request.policy, self._bounds, partial(PeersGuard, _leases(request))
        )

    def _group(self, request: ShareRequest) -> GroupReceiver:
        return GroupReceiver(_store(request), request.policy, self._bounds, partial(PeersGuard, _leases(request)))

    def _compare_many(self, request: ShareRequest) -> NodeResponse:
        theirs = decode_partitions(request.body.read(self._limits.compare_size))
        return answer(200, JSON, encode_numbers(differing(_store(request), theirs)))

    def _compare(self, request: ShareRequest) -> NodeResponse:
        hashes = self._receiver(request).compare(request.headers.get(PARTITION_HASH, ""))
        return answer(204) if hashes is None else answer(200, JSON, encode_hashes(hashes))

    def _offer(self, request: ShareRequest) -> NodeResponse:
        offered = decode_changes(request.body.read(self._limits.offer_size))
        return answer(200, JSON, encode_changes(self._receiver(request).missing(offered)))

    def _send(self, request: ShareRequest) -> NodeResponse:
        return answer(200, JSON, self._receiver(request).receive(request.body).encode())

    def _compare_each(self, request: ShareRequest) -> NodeResponse:
        theirs = decode_partitions(request.body.read(self._limits.compare_size))
        return answer(200, JSON, encode_hashes_of(self._group(request).compare(theirs)))

    def _offer_many(self, request: ShareRequest) -> NodeResponse:
        offered = decode_changes_of(request.body.read(self._limits.offer_size))
        return answer(200, JSON, encode_changes_of(self._group(request).missing(offered)))

    def _send_many(self, request: ShareRequest) -> NodeResponse:
        return answer(200, JSON, self._group(request).receive(request.body).encode())


def _leases(request: ShareRequest) -> Leases:
    return request.device.leases(request.policy)


def _store(request: ShareRequest) -> ReplicaStore:
    return cast(ReplicaStore, request.device.objects(request.policy))
