"""Updates of a container's servers after a change to an object, with a spool for those that fail.

The proxy names the container replicas in a header (`messages.CONTAINER_UPDATE`). An update that cannot be delivered is
written to the device's spool before the change is answered; a daemon delivers it later. Either way the answer lists the
replica's index, so that the proxy knows which replicas still need the update.

A replica whose container was deleted since the writer read it refuses the row (410). Then the proxy decides about the
object, and the row is not spooled. A spooled row is always accepted when it is delivered, because its writer was
answered by then.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from objstore.core.expiry_queue import Due
from objstore.core.lives import LIFE
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.runtime.seldom import Seldom
from objstore.server.own_rows import OwnRows
from objstore.server.request import Request
from objstore.server.row_batches import RowBatches
from objstore.store.interface import ObjectInfo, Sequel
from objstore.store.spool import SpooledUpdate
from objstore.web import traces
from objstore.wire.messages import (
    CONTAINER_UPDATE,
    EXPIRY_UPDATE,
    POLICY,
    RECREATE,
    REFUSED,
    SPOOLED,
    UPDATED,
    Transport,
    UpdateTarget,
)
from objstore.wire.rows import ListedObject, object_row, queue_row, rows_request, tombstone_row
from objstore.wire.telling import UNREACHABLE, ended, failed, tell_all

_NONE: Mapping[str, str] = {}


class RowUpdate(NamedTuple):
    """The row of a change that is about to be made. encoded: its target, as in the request; '' for none.

    delete_at: when the object expires; '' if it does not. sequel: given to the engine with the change, joins the row if
    the container is on the same device.
    """

    request: Request
    encoded: str
    row: Mapping[str, Any]
    timestamp: Timestamp
    delete_at: str = ""
    sequel: Sequel | None = None


class ContainerUpdater:
    """Sends rows through a transport, to several replicas at once. own: finds rows that need no request."""

    def __init__(self, transport: Transport, logger: logging.Logger, own: OwnRows | None = None) -> None:
        self._transport = transport
        self._logger = logger
        self._own = own
        self._warnings = Seldom()
        self._batches = RowBatches()

    def of_object(self, request: Request, info: ObjectInfo) -> RowUpdate:
        """Return the update after a PUT or POST. Raises InvalidInput for a target that cannot be read."""
        assert request.name.object is not None
        row = object_row(ListedObject(request.name.object, *info[1:]), request.location.policy)
        delete_at = info.metadata.get("X-Delete-At", "") if EXPIRY_UPDATE in request.headers else ""
        return self._update(request, row, info.timestamp, delete_at)

    def of_deletion(self, request: Request, timestamp: Timestamp) -> RowUpdate:
        """Return the update after a DELETE. Raises InvalidInput for a target that cannot be read."""
        assert request.name.object is not None
        row = tombstone_row(request.name.object, timestamp, request.location.policy)
        return self._update(request, row, timestamp)

    def _update(self, request: Request, row: Mapping[str, Any], timestamp: Timestamp, delete_at: str = "") -> RowUpdate:
        encoded = request.headers.get(CONTAINER_UPDATE, "")
        sequel = self._own.sequel(request, encoded, row) if self._own is not None and encoded else None
        return RowUpdate(request, encoded, row, timestamp, delete_at, sequel)

    def send(self, update: RowUpdate) -> dict[str, str]:
        """Send the row, unless it is joined already; return headers of the answer, which list the updated replicas."""
        request, encoded, row, timestamp, delete_at, sequel = update
        if delete_at:
            self._expiry(request, delete_at, timestamp)
        if not encoded:
            return {UPDATED: ""}
        target = UpdateTarget.decode(encoded)
        if sequel is not None and sequel.accepted:
            return {UPDATED: target.indexes}
        statuses = self._deliver(request, encoded, target, row)
        headers = {UPDATED: target.indexes}
        missed = failed(statuses)
        if missed:
            headers[REFUSED] = _indexes(index for index in missed if ended(statuses[index]))
            headers[SPOOLED] = _indexes(index for index in missed if not ended(statuses[index]))
        return headers

    def _expiry(self, request: Request, delete_at: str, timestamp: Timestamp) -> None:
        """Send a row of the expirer's queue, named by the object and its expiry time."""
        row = queue_row(Due(int(delete_at), request.name), timestamp)
        encoded = request.headers[EXPIRY_UPDATE]
        self._deliver(request, encoded, UpdateTarget.decode(encoded), row, {RECREATE: "0"})

    def _deliver(
        self,
        request: Request,
        encoded: str,
        target: UpdateTarget,
        row: Mapping[str, Any],
        headers: Mapping[str, str] = _NONE,
    ) -> dict[int, int]:
        """Send the row; return the status of each replica. Failed updates are in the spool, unless they were
        refused.

        encoded: the target, as in the request."""
        recreate = headers.get(RECREATE)
        life = request.headers.get(LIFE, "") if recreate is None else ""
        # Rows of deletions are accepted by full disks, and go by themselves.
        key = (encoded, life, recreate, row["deleted"])
        send = functools.partial(self._send_rows, request, target, {**headers, LIFE: life} if life else headers)
        statuses = self._batches.deliver(key, row, send) or {index: UNREACHABLE for index, _ in target.nodes}
        missed = [index for index in failed(statuses) if not ended(statuses[index])]
        if missed:
            self._spool(request, target, row, headers, missed)
        return statuses

    def _send_rows(
        self, request: Request, target: UpdateTarget, headers: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
    ) -> dict[int, int]:
        def warn(node: Node, why: object) -> None:
            extra = traces.of_log(request.headers)
            level = logging.WARNING if self._warnings.is_due((str(node), str(why))) else logging.DEBUG
            self._logger.log(level, "container update of %s to %s: %s", target.name.path, node, why, extra=extra)

        headers = {**headers, **traces.passed_on(request.headers)}
        sent = rows_request(target.name, target.partition, rows, rows[0]["timestamp"], headers)
        return tell_all(self._transport, dict(target.nodes), sent, warn)

    def _spool(
        self,
        request: Request,
        target: UpdateTarget,
        row: Mapping[str, Any],
        headers: Mapping[str, str],
        missed: list[int],
    ) -> None:
        policy = request.location.policy
        request.device.threads.run(
            request.device.spool(policy).put,
            SpooledUpdate(
                hash=_spool_key(target, row),
                timestamp=Timestamp.parse(max(row["timestamp"], row["meta_timestamp"])),
                payload={
                    "container": target.name.path,
                    "row": dict(row),
                    "headers": {POLICY: str(policy), **headers},
                    "replicas": missed,
                },
            ),
        )


def _indexes(indexes: Iterable[int]) -> str:
    return ",".join(map(str, indexes))


def _spool_key(target: UpdateTarget, row: Mapping[str, object]) -> str:
    """Return a key that is unique per row and container: one change may spool several rows at one timestamp."""
    path = f"{target.name.path}/{row['name']}".encode("utf-8", "surrogateescape")
    return hashlib.md5(path, usedforsecurity=False).hexdigest()
