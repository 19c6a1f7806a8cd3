"""REPLICATE of accounts and containers: requests of a peer's replicator to a device here; see `replication.databases`.

Each worker accepts a limited number of rows or files of one device at once, so that clients keep their share of it.
Other requests wait for a while, and are then asked to retry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from objstore.core.errors import MALFORMED, InvalidInput, LockTimeout
from objstore.core.names import HashSalt, Location
from objstore.core.numbers import whole
from objstore.replication import databases as protocol
from objstore.runtime.settings import duration, positive, setting, size
from objstore.server.answers import JSON, answer, error
from objstore.server.devices import Device
from objstore.server.request import ShareRequest
from objstore.server.turns import Busy, Turns, come_again
from objstore.store.databases.replicas import Replicas
from objstore.store.databases.status import status_of
from objstore.wire.messages import NodeResponse


@dataclass(frozen=True)
class DatabaseReplicationSettings:
    """Limits of peers' requests to the databases of a device."""

    concurrency: int = setting(positive, "2", "number of database replicas updated at once, per device and worker")
    wait: float = setting(duration, "5s", "time a peer waits for its turn before it gets 503")
    body: int = setting(size, "64M", "maximum size of a peer's message about databases, except whole files")
    page: int = setting(positive, "1000", "number of rows of a received file merged at once")


PREFIX = "database_replication_"  # of the names of these settings


class DatabaseReplication:
    """Answers requests. replicas: returns those of the server's kind on a device."""

    def __init__(
        self, replicas: Callable[[Device], Replicas], salt: HashSalt, limits: DatabaseReplicationSettings | None = None
    ) -> None:
        self._replicas = replicas
        self._salt = salt
        self._limits = limits or DatabaseReplicationSettings()
        self._turns = Turns(self._limits.concurrency, self._limits.wait)
        self._steps = {protocol.STATUS: self._status, protocol.ROWS: self._rows, protocol.FILE: self._file}

    def __call__(self, request: ShareRequest) -> NodeResponse:
        replicas = self._replicas(request.device)
        if not request.hash:
            return self._compare(request, replicas)
        step = self._steps.get(request.parameters().get(protocol.STEP, ""))
        location = Location(request.partition, request.hash)
        if step is None or not _is_hash(request.hash):
            raise InvalidInput("not a step of the replication of databases")
        try:
            with self._turns.of(request.device.path):
                return step(request, replicas, location)
        except Busy:
            return come_again()

    def _compare(self, request: ShareRequest, replicas: Replicas) -> NodeResponse:
        theirs = protocol.decode_comparison(request.body.read(self._limits.body))
        if not all(_is_hash(database.hash) for database in theirs):
            raise InvalidInput("not hashes of names")
        own = replicas.summaries(Location(request.partition, database.hash) for database in theirs)
        found = (protocol.compare(database, own.get(database.hash)) for database in theirs)
        return answer(
            200, JSON, protocol.encode_differences(difference for difference in found if difference is not None)
        )

    def _status(self, request: ShareRequest, replicas: Replicas, location: Location) -> NodeResponse:
        theirs = protocol.decode_status(request.body.read(self._limits.body))
        self._require_own(theirs, location)
        replicas.merge_status(location, theirs)
        return answer(200, JSON, protocol.encode_status(status_of(replicas.status(location))))

    def _rows(self, request: ShareRequest, replicas: Replicas, location: Location) -> NodeResponse:
        given = protocol.decode_rows(request.body.read(self._limits.body))
        try:
            rows = replicas.decode_rows(given.rows)
        except MALFORMED as failure:
            raise InvalidInput(f"not rows: {failure!r}") from None
        return answer(200, JSON, protocol.encode_point(replicas.take_rows(location, given._replace(rows=rows))))

    def _file(self, request: ShareRequest, replicas: Replicas, location: Location) -> NodeResponse:
        version = whole(request.parameters().get(protocol.VERSION, "0"))
        if version is None:
            raise InvalidInput("the version is not a whole number")
        if version > replicas.version:
            return error(409, "databases of that version are not supported here")
        try:
            received = replicas.receive(location)
        except LockTimeout:
            raise Busy from None
        try:
            for piece in request.body:
                received.write(piece)
            try:
                is_ours = partial(self._belongs, location=location)
                placed = replicas.place(location, received, is_ours, self._limits.page)
            except InvalidInput as failure:
                return error(422, str(failure))
        finally:
            received.close()
        return answer(200, JSON, json.dumps(placed._asdict()).encode())

    def _belongs(self, status: Any, location: Location) -> bool:
        return self._salt.hash(status.name) == location.hash

    def _require_own(self, status: Any, location: Location) -> None:
        if not self._belongs(status, location):
            raise InvalidInput(f"{status.name.path} does not hash to {location.hash}")


def _is_hash(text: str) -> bool:
    return len(text) == 32 and all(digit in "0123456789abcdef" for digit in text)
