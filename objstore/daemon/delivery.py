"""Telling rows to the servers of an account or container."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from objstore.core.errors import NodeFailure
from objstore.core.names import HashSalt, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.ring import Ring
from objstore.runtime import green
from objstore.wire.messages import NodeRequest, Transport
from objstore.wire.rows import rows_request

UNREACHABLE = 0  # in the place of a status


class Peers(NamedTuple):
    """The servers of a kind. ring: gives their current ring."""

    transport: Transport
    ring: Callable[[], Ring]
    salt: HashSalt
    logger: logging.Logger

    def place(self, name: Name) -> tuple[int, tuple[Node, ...]]:
        """The partition of a name, and the nodes of its replicas."""
        ring = self.ring()
        partition = ring.partition(self.salt.hash(name))
        return partition, ring.primaries(partition)

    def tell(
        self,
        name: Name,
        rows: Iterable[Mapping[str, Any]],
        at: Timestamp,
        headers: Mapping[str, str] | None = None,
        replicas: Iterable[int] | None = None,
    ) -> dict[int, int]:
        """Send rows to the replicas, all at once; the status each answered, UNREACHABLE for none.

        replicas: indexes of those to be told, all without it. Ones that the ring no longer has are left out; where
        it has none of them, all are told, so that rows for a ring that has changed are not lost.
        """
        partition, nodes = self.place(name)
        everyone = list(range(len(nodes)))
        wanted = everyone if replicas is None else [index for index in replicas if index < len(nodes)] or everyone
        request = rows_request(name, partition, rows, at.internal, headers)
        if len(wanted) == 1:
            return {wanted[0]: self._send(nodes[wanted[0]], request)}
        waits = [(index, green.spawn(self._send, nodes[index], request)) for index in wanted]
        return {index: wait.wait() for index, wait in waits}

    def _send(self, node: Node, request: NodeRequest) -> int:
        try:
            response = self.transport.call(node, request)
            response.close()
        except NodeFailure as failure:
            self.logger.debug("update of %s to %s: %s", request.name.path, node, failure)
            return UNREACHABLE
        return response.status


def succeeded(status: int) -> bool:
    return 200 <= status < 300
