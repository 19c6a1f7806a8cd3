"""The sending end of the replication of databases, for one peer and one partition."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from objstore.core.errors import Conflict, Corrupt, NodeDeviceGone, NodeFailure, NotFound
from objstore.core.names import Location
from objstore.core.nodes import Node
from objstore.replication.databases import (
    FILE,
    ROWS,
    STATUS,
    STEP,
    VERSION,
    DatabaseBounds,
    Difference,
    Way,
    database_state,
    decode_differences,
    decode_point,
    decode_status,
    encode_comparison,
    encode_rows,
    encode_status,
    start,
    way,
)
from objstore.store.databases.replicas import Replicas
from objstore.store.databases.status import status_of
from objstore.store.databases.summaries import DatabaseSummary
from objstore.wire.messages import REPLICATE, NodeRequest, NodeResponse, Share, Transport

_COMPARED = 1000  # databases in one request
_BUSY = 503
_NO_USE = 422  # the database sent is damaged
_SENT_ROWS_FOR_FILE = 4096  # bytes of a file that weigh as much as a row


@dataclass
class SentCounts:
    """Counts of sent items since the start."""

    rows_sent: int = 0
    files_sent: int = 0
    file_bytes_sent: int = 0
    statuses_sent: int = 0
    differences: int = 0


class SenderMeans(NamedTuple):
    """take_rows: called with the number of rows before they are sent, to limit their rate; it raises if the daemon must
    stop."""

    transport: Transport
    bounds: DatabaseBounds
    take_rows: Callable[[float], object]
    sent: SentCounts


class DatabaseSender:
    """Sends from `replicas` to the peer's `node`. Calls raise NodeFailure, NodeDeviceGone if the peer's device is
    missing, and the errors of the own databases."""

    def __init__(self, replicas: Replicas, node: Node, means: SenderMeans) -> None:
        self._replicas = replicas
        self._node = node
        self._means = means

    def compare(self, partition: int, summaries: Mapping[str, DatabaseSummary]) -> dict[str, Difference]:
        """Return by hash the databases that are not equal to the peer's."""
        found: dict[str, Difference] = {}
        for batch in _batches(summaries.items()):
            request = self._request(partition, "", "", encode_comparison(database_state(*item) for item in batch))
            found.update((item.hash, item) for item in decode_differences(self._call(request)))
        for name_hash, difference in found.items():
            if name_hash not in summaries or difference.id == summaries[name_hash].id:
                raise NodeFailure(f"{self._node} is this device, or sent an unexpected answer")
        self._means.sent.differences += len(found)
        return found

    def bring(self, location: Location, own: DatabaseSummary, found: Difference) -> None:
        """Send the peer all that it lacks of a database, as of `own` or later. Raises Conflict if the database is no
        longer `own`."""
        match way(own, found, self._means.bounds):
            case Way.FILE:
                self._send_file(location)
            case Way.ROWS:
                self._send_rows(location, own, found)
            case Way.RENEW:
                if self._replicas.renew_id(location, found.point):
                    raise Conflict(f"{location.hash} was older than the copy of {self._node}, and has a new id now")
            case Way.NOTHING:
                pass
        if found.status:
            self._exchange_status(location)

    def _send_rows(self, location: Location, own: DatabaseSummary, found: Difference) -> None:
        point = start(own, found)
        while True:
            page = self._replicas.page_since(location, own.id, point, self._means.bounds.rows)
            if page.last < own.max_row and page.rows < self._means.bounds.rows:
                page = page._replace(last=own.max_row)  # numbers at the end whose rows are deleted
            self._means.take_rows(page.rows)
            body = encode_rows(own.id, found.id, point, page)
            reached = decode_point(self._call(self._request(location.partition, location.hash, ROWS, body)))
            self._means.sent.rows_sent += page.rows
            if reached < page.last:
                raise NodeFailure(f"{self._node} has rows of {location.hash} only up to {reached}, not {page.last}")
            # It may have some of the next rows already.
            point = page.last if found.total else reached
            if point >= own.max_row:
                break
        self._replicas.set_sync_point(location, own.id, False, found.id, point)

    def _exchange_status(self, location: Location) -> None:
        """Exchange the statuses; both are equal afterwards."""
        body = encode_status(status_of(self._replicas.status(location)))
        theirs = decode_status(self._call(self._request(location.partition, location.hash, STATUS, body)))
        self._replicas.merge_status(location, theirs)
        self._means.sent.statuses_sent += 1

    def _send_file(self, location: Location) -> None:
        snapshot = self._replicas.snapshot(location)
        try:
            request = self._request(location.partition, location.hash, FILE)
            upload = self._means.transport.upload(self._node, request, snapshot.size)
            try:
                early = upload.wait_continue()
                if early is None:
                    for piece in snapshot.pieces():
                        self._means.take_rows(len(piece) / _SENT_ROWS_FOR_FILE)
                        upload.send(piece)
                answer = self._body(early or upload.finish({}))
            except BaseException:
                upload.abort()
                raise
        finally:
            snapshot.close()
        document = json.loads(answer)
        self._replicas.set_sync_point(location, snapshot.id, False, str(document["id"]), snapshot.max_row)
        self._means.sent.files_sent += 1
        self._means.sent.file_bytes_sent += snapshot.size

    def _request(self, partition: int, name_hash: str, step: str, body: bytes = b"") -> NodeRequest:
        query = f"{STEP}={step}" if step else ""
        if step == FILE:
            query += f"&{VERSION}={self._replicas.version}"
        headers = {"Content-Type": "application/json"}
        return NodeRequest(REPLICATE, partition, Share(self._replicas.kind, name_hash), headers, query, body)

    def _call(self, request: NodeRequest) -> bytes:
        return self._body(self._means.transport.call(self._node, request))

    def _body(self, response: NodeResponse) -> bytes:
        body = response.read()
        if response.ok:
            return body
        if response.status == 507:
            raise NodeDeviceGone(f"{self._node}: the device is missing or full")
        if response.status == _BUSY:
            raise PeerBusy(f"{self._node} is busy")
        if response.status == _NO_USE:
            raise Unusable(f"{self._node} cannot use the database it received")
        raise NodeFailure(f"{self._node} answered {response.status}")


class PeerBusy(NodeFailure):
    """The peer must be asked again later."""


class Unusable(NodeFailure):
    """The peer reports that the database sent to it is damaged."""


def check_own(replicas: Replicas, location: Location) -> bool:
    """Check one of our databases after a peer found it damaged; a damaged one is quarantined. Return whether it is
    valid."""
    try:
        replicas.audit(location)
    except (Corrupt, NotFound):
        return False
    return True


def _batches(items: Iterable[tuple[str, DatabaseSummary]]) -> Iterator[list[tuple[str, DatabaseSummary]]]:
    left = iter(items)
    while batch := list(islice(left, _COMPARED)):
        yield batch
