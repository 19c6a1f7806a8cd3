"""Delivers updates that object servers could not send to container servers: those in this host's spools.

Updates for the same replicas of a container go in one request. An update accepted by some replicas stays for the
others. Replicas are indexes in the ring, so their nodes may change: a new node without the database answers 404, and is
retried until the database arrives. An update of a container that no replica has is dropped after `give_up_after`
seconds: by then the container is deleted and forgotten.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import islice
from typing import Any, NamedTuple

from objstore.core.errors import MALFORMED, DeviceUnavailable, InvalidInput
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.daemon.delivery import Peers
from objstore.runtime.seldom import Seldom
from objstore.runtime.threads import ThreadPool
from objstore.store.spool import Spool, SpooledUpdate
from objstore.wire.telling import failed, succeeded

_BATCH = 256
_PATIENCE = 60.0  # seconds to list them, after which a spool is skipped until the listing has ended
GIVE_UP_AFTER = 7 * 86400.0


class UpdateReceivers(NamedTuple):
    """The receivers of an update: updates of one target go in one request."""

    container: Name
    replicas: tuple[int, ...]
    headers: tuple[tuple[str, str], ...]


def target_of(payload: Mapping[str, Any]) -> UpdateReceivers:
    """Raises InvalidInput for a payload that no object server has written."""
    try:
        headers = tuple(sorted((str(name), str(value)) for name, value in payload["headers"].items()))
        replicas = tuple(sorted(int(index) for index in payload["replicas"]))
        return UpdateReceivers(Name.parse(payload["container"]), replicas, headers)
    except MALFORMED as error:
        raise InvalidInput(f"not an update of a container: {error!r}") from None


def remaining(answers: Mapping[int, int], age: float, give_up_after: float) -> list[int]:
    """Return the replicas that still need the update. age: of the newest update sent, in seconds."""
    if is_unknown(answers) and age > give_up_after:
        return []
    return failed(answers)


def is_unknown(answers: Mapping[int, int]) -> bool:
    """Does none of those told have the container?"""
    return bool(answers) and all(status == 404 for status in answers.values())


class ObjectUpdater:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(
        self,
        spools: Callable[[], Iterable[Spool]],
        containers: Peers,
        give_up_after: float = GIVE_UP_AFTER,
        now: Callable[[], float] = time.time,
    ) -> None:
        """spools: of the devices that can be used now."""
        self._spools = spools
        self._containers = containers
        self._give_up_after = give_up_after
        self._now = now
        self._threads = cache(lambda path: ThreadPool(f"object-updater:{path}", 1, _PATIENCE, lets_go=True))
        self._silent: Counter[int] = Counter()
        self._warnings = Seldom()
        self.delivered = 0

    def passes(self) -> Iterator[Callable[[], None]]:
        """One pass; a unit is what one request delivers."""
        self._silent.clear()
        for spool in self._spools():
            updates = spool.iter()
            while batch := self._next(spool, updates):
                for target, group in self._grouped(batch).items():
                    yield partial(self._deliver, spool, target, group)

    def _next(self, spool: Spool, updates: Iterator[SpooledUpdate]) -> list[SpooledUpdate]:
        """Some more updates; none where the device does not send_rows: it must not hold up the others."""
        try:
            return self._threads(spool.directory).run(_take, updates)
        except (OSError, DeviceUnavailable) as error:
            self._containers.logger.warning("%s cannot be read: %s", spool.directory, error)
            return []

    def _grouped(self, updates: Iterable[SpooledUpdate]) -> dict[UpdateReceivers, list[SpooledUpdate]]:
        groups: dict[UpdateReceivers, list[SpooledUpdate]] = {}
        for update in updates:
            try:
                groups.setdefault(target_of(update.payload), []).append(update)
            except InvalidInput as error:
                self._containers.logger.error("cannot deliver spooled update %s: %s", update.file_name, error)
        return groups

    def _deliver(self, spool: Spool, target: UpdateReceivers, updates: list[SpooledUpdate]) -> None:
        rows = [update.payload["row"] for update in updates]
        first = min(Timestamp.parse(row["timestamp"]) for row in rows)
        age = self._now() - max(update.timestamp for update in updates).seconds
        headers = dict(target.headers)
        answers = self._containers.send_rows(target.container, rows, first, headers, target.replicas, self._silent)
        if is_unknown(answers) and age > self._give_up_after:
            # Those told may have no database yet, and others one, from whom they get it by replication.
            answers = self._containers.send_rows(target.container, rows, first, headers, silent=self._silent)
            left = [] if any(map(succeeded, answers.values())) else remaining(answers, age, self._give_up_after)
        else:
            left = remaining(answers, age, self._give_up_after)
        if left:
            # One of many, as a rule: where a host is away, those of all its containers wait.
            level = logging.WARNING if self._warnings.is_due("waiting") else logging.DEBUG
            self._containers.logger.log(
                level, "%d updates of %s are still waiting for replicas %s", len(updates), target.container.path, left
            )
        if tuple(left) != target.replicas:
            self._threads(spool.directory).run(_settle, spool, updates, left)
        self.delivered += 0 if left else len(updates)


def _take(updates: Iterator[SpooledUpdate]) -> list[SpooledUpdate]:
    return list(islice(updates, _BATCH))


def _settle(spool: Spool, updates: Iterable[SpooledUpdate], left: list[int]) -> None:
    for update in updates:
        if left:
            spool.put(update._replace(payload={**update.payload, "replicas": left}))
        else:
            spool.remove(update)
