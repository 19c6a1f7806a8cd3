"""Rows for one container that change at the same time share a request.

Many objects of a container are often written or deleted at once: by a bulk request, a deletion of many keys, a parallel
upload. While the rows of a change are on their way to the container's servers, those of others gather, and go together
in the next request. A row that comes alone goes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from objstore.runtime import green

Row = Mapping[str, Any]
Statuses = dict[int, int]

MAX_ROWS = 128  # in one request
PATIENCE = 0.1  # seconds that rows wait for those before them, which may wait for a server that does not answer


class RowBatch:
    """Rows that go in one request. sent: an event whose value is the result, once anyone waits for it."""

    __slots__ = ("rows", "sent")

    def __init__(self, row: Row) -> None:
        self.rows = [row]
        self.sent: green.Event | None = None

    def wait(self, seconds: float | None = None) -> Any:
        if self.sent is None:
            self.sent = green.Event()
        return self.sent.wait(seconds)


class RowBatches:
    """The batches under way, by their destination. patience: seconds."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._gathering: dict[Hashable, RowBatch] = {}
        self._sending: dict[Hashable, RowBatch] = {}

    def deliver(self, key: Hashable, row: Row, send: Callable[[list[Row]], Statuses]) -> Statuses:
        """Send a row, perhaps with others; return the statuses, by index of the server.

        key: all rows with the same one can be sent by the same `send`. Statuses are empty if the one that was to send
        the batch was stopped.
        """
        gathering = self._gathering.get(key)
        if gathering is not None and len(gathering.rows) < MAX_ROWS:
            gathering.rows.append(row)
            statuses: Statuses = gathering.wait()
            return statuses
        batch = RowBatch(row)
        statuses = {}
        try:
            before = self._sending.get(key)
            if before is not None:
                self._gathering[key] = batch
                before.wait(self._patience)
                if self._gathering.get(key) is batch:
                    del self._gathering[key]
            self._sending[key] = batch
            statuses = send(batch.rows)
            return statuses
        finally:
            for batches in (self._gathering, self._sending):
                if batches.get(key) is batch:
                    del batches[key]
            if batch.sent is not None:
                batch.sent.send(statuses)
