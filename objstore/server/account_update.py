"""After a container comes or goes: tell its account's servers.

A change of counts is told later, by a daemon, so that a busy container does not load its account.
"""

from __future__ import annotations

import json
import logging

from objstore.core.errors import NodeFailure
from objstore.core.timestamps import Clock, Timestamp
from objstore.server.app import Request
from objstore.store.databases import ContainerInfo
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, Transport, UpdateTarget
from objstore.wire.rows import container_row


class AccountUpdater:
    """Delivers a container's row to the account replicas that the request names."""

    def __init__(self, transport: Transport, clock: Clock, logger: logging.Logger) -> None:
        self._transport = transport
        self._clock = clock
        self._logger = logger

    def tell(self, request: Request, info: ContainerInfo, deleted_at: Timestamp | None = None) -> None:
        """What cannot be delivered stays unreported in the container's database, for the daemon to see."""
        encoded = request.header(messages.ACCOUNT_UPDATE)
        if not encoded:
            return
        target = UpdateTarget.decode(encoded)
        assert request.name.container is not None
        row = container_row(request.name.container, info._replace(bytes_used=info.bytes_reported), deleted_at)
        headers = {messages.TIMESTAMP: self._clock.now().internal}
        if messages.RECREATE_KEY in request.environ:
            headers[messages.RECREATE] = "0"
        body = json.dumps([row]).encode()
        sent = NodeRequest("POST", target.partition, target.name, headers, "rows=1", body)
        for _, node in target.nodes:
            try:
                response = self._transport.call(node, sent)
                response.close()
                if not response.ok:
                    self._logger.warning("account update of %s to %s: %s", target.name.path, node, response.status)
            except NodeFailure as failure:
                self._logger.warning("account update of %s to %s: %s", target.name.path, node, failure)
