"""Updates of an account's servers after a container is created or deleted.

Changes of totals are reported later, by a daemon, so that a busy container does not load its account.
"""

from __future__ import annotations

import logging

from objstore.core.nodes import Node
from objstore.core.timestamps import Clock, Timestamp
from objstore.runtime.seldom import Seldom
from objstore.server.request import Request
from objstore.store.databases import ContainerStatus
from objstore.web import traces
from objstore.wire import messages
from objstore.wire.messages import Transport, UpdateTarget
from objstore.wire.rows import container_row, rows_request
from objstore.wire.telling import tell_all


class AccountUpdater:
    """Sends a container's row to the account replicas that the request names."""

    def __init__(self, transport: Transport, clock: Clock, logger: logging.Logger) -> None:
        self._transport = transport
        self._clock = clock
        self._logger = logger
        self._warnings = Seldom()

    def send(self, request: Request, info: ContainerStatus, deleted_at: Timestamp | None = None) -> None:
        """Send the row. An update that fails stays unreported in the container's database, for the daemon.

        With a deletion, totals have its time, because one that was refused a moment ago may have been counted.
        Otherwise they have the time of the container's creation, so that they do not replace totals reported since: a
        replica that was just restored, or lags, has older ones.
        """
        encoded = request.headers.get(messages.ACCOUNT_UPDATE)
        if not encoded:
            return
        target = UpdateTarget.decode(encoded)
        assert request.name.container is not None
        row = container_row(request.name.container, info._replace(bytes_used=info.bytes_reported), deleted_at)
        headers = traces.passed_on(request.headers)
        if messages.RECREATE in request.headers:
            headers[messages.RECREATE] = "0"
        at = info.status_changed_at if deleted_at is None else self._clock.now()

        def warn(node: Node, why: object) -> None:
            extra = traces.of_log(request.headers)
            level = logging.WARNING if self._warnings.is_due((str(node), str(why))) else logging.DEBUG
            self._logger.log(level, "account update of %s to %s: %s", target.name.path, node, why, extra=extra)

        sent = rows_request(target.name, target.partition, [row], at.internal, headers)
        tell_all(self._transport, dict(target.nodes), sent, warn)
