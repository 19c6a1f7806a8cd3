"""Telling rows to the servers of an account or container."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from objstore.core.errors import NodeFailure
from objstore.core.names import HashSalt, Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.ring import Ring
from objstore.wire.messages import Transport
from objstore.wire.rows import rows_request
from objstore.wire.telling import UNREACHABLE, succeeded, tell_all

__all__ = ["UNREACHABLE", "Peers", "succeeded"]

_PATIENCE = 3  # silences of a node after which it is left alone


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

    def send_rows(
        self,
        name: Name,
        rows: Iterable[Mapping[str, object]],
        at: Timestamp,
        headers: Mapping[str, str] | None = None,
        replicas: Iterable[int] | None = None,
        silent: Counter[int] | None = None,
    ) -> dict[int, int]:
        """Send rows to the replicas, all at once; return the status of each, UNREACHABLE for no answer.

        replicas: indexes of the receivers; all by default. Indexes that the ring no longer has are ignored; if it has
        none of them, all replicas get the rows, so that rows for a changed ring are not lost. silent: failure counts by
        node id. Nodes that failed several times are not asked any more.
        """
        partition, nodes = self.place(name)
        everyone = dict(enumerate(nodes))
        wanted = {index: everyone[index] for index in replicas or () if index in everyone} or everyone
        silent = Counter() if silent is None else silent
        asked = {index: node for index, node in wanted.items() if silent[node.id] < _PATIENCE}
        request = rows_request(name, partition, rows, at.internal, headers)

        def note(node: Node, why: object) -> None:
            silent[node.id] += isinstance(why, NodeFailure)
            self.logger.debug("update of %s to %s: %s", name.path, node, why)

        return dict.fromkeys(wanted, UNREACHABLE) | tell_all(self.transport, asked, request, note)
