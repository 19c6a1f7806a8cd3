"""Copies the changes of containers to other containers, as X-Container-Sync-To says; see `core.container_sync`.

Every host works on the databases of its own devices that the ring places there. The rows of a container are followed in
the order of their numbers; up to which number all is done is kept in the database itself, as a sync point, for each
target. The replicas of a container share its rows: each row has a first one, the others look at it after a while, and
send it if the target still lacks it. A change is sent with its own timestamp, so that sending it twice does no harm,
and a newer object at the target stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from objstore.core.container_sync import (
    SYNC_AUTH,
    SYNC_KEY,
    SYNC_TO,
    SignedRequest,
    SyncRealm,
    SyncTarget,
    new_auth,
    parse_target,
)
from objstore.core.errors import Conflict, Corrupt, InvalidInput, NodeFailure, NotFound
from objstore.core.links import LINK, LINK_ACCOUNT, LINK_BYTES, LINK_ETAG
from objstore.core.manifests import MANIFEST, is_large
from objstore.core.metadata import OBJECT_HEADERS, user_prefix
from objstore.core.names import RESERVED, Location, Name
from objstore.core.text import to_native
from objstore.core.timestamps import Timestamp
from objstore.daemon.changed import NOT_NOW, ChangedDatabases
from objstore.daemon.duties.expirer import turn
from objstore.daemon.far_cluster import FarAnswer, FarRequest
from objstore.layers.interface import ObjectLayer, ReadOptions, Reply
from objstore.store.databases import ContainerStatus, ContainerStore, ObjectRow, live_metadata
from objstore.web.context import RequestContext

_PAGE = 1000
_SAVE_EVERY = 100  # rows
_MAX_AHEAD = 100_000  # rows done beyond the sync point that are remembered, for each container
_SMALL = 64 * 1024  # bytes that cost no more to send than to ask for
_USER = user_prefix("Object")
_OF_LINKS = (LINK, LINK_ACCOUNT, LINK_ETAG, LINK_BYTES)
_DELETED = (404, 409)  # nothing is there, or something newer


class SyncingDevice(NamedTuple):
    """The containers of one device. name: of the device."""

    name: str
    containers: ContainerStore


class SyncOptions(NamedTuple):
    """In seconds: takeover: after which the next replica looks at a row. rows: most of a container in one pass."""

    takeover: float = 600.0
    rows: int = 10_000


class SyncMeans(NamedTuple):
    """layer: the whole stack around the cluster. replica_of: the index of an own device among the primaries of a
    database, and their number; None if it is not one. realms: by their name in upper case."""

    devices: Callable[[], Iterable[SyncingDevice]]
    replica_of: Callable[[str, Location], tuple[int, int] | None]
    layer: ObjectLayer
    realms: Callable[[], Mapping[str, SyncRealm]]
    send: Callable[[FarRequest], FarAnswer]
    logger: Any
    now: Callable[[], float] = time.time


class SyncLink(NamedTuple):
    """From a container to its target. url: of the target; key: of the user, as both containers have it."""

    source: Name
    target: SyncTarget
    realm: SyncRealm
    url: str
    key: str


class SyncProgress:
    """The rows of a container that were sent. point: all rows up to this number were.

    listed: no more rows are begun in this pass. waiting: rows of it that another replica should send first.
    """

    def __init__(self, point: int) -> None:
        self.point = self.saved = point
        self.listed = False
        self.waiting = 0
        self._open: list[int] = []  # in order
        self._done: set[int] = set()

    def begin(self, number: int) -> bool:
        """Return whether the row with this number is still to be done. To be called in the order of the numbers."""
        self._open.append(number)
        return number not in self._done

    def restart(self) -> None:
        """Begin another pass over the rows after the point."""
        self._open.clear()
        self.listed = False
        self.waiting = 0
        if len(self._done) > _MAX_AHEAD:
            self._done.clear()

    def end(self, number: int) -> None:
        """Record that a row is done."""
        self._done.add(number)
        self.settle()

    def settle(self) -> None:
        """Move the point over rows that are done."""
        count = 0
        for number in self._open:
            if number not in self._done:
                break
            self.point = number
            self._done.discard(number)
            count += 1
        del self._open[:count]

    @property
    def ended(self) -> bool:
        """Is all done that this pass has listed?"""
        return self.listed and not self._open

    @property
    def behind(self) -> int:
        """The number of rows that this replica was to do, and has not."""
        return len(self._open) - sum(number in self._done for number in self._open) - self.waiting


class SyncSender:
    """Its `passes` are for a `runner.Daemon`."""

    def __init__(self, means: SyncMeans, options: SyncOptions, full_interval: float) -> None:
        self._means = means
        self._options = options
        self._changed = ChangedDatabases("container-sync", full_interval, means.now, means.logger)
        self._progress: dict[tuple[str, str], SyncProgress] = {}
        self._counts = dict.fromkeys(("puts_total", "deletes_total", "skipped_total", "failed_total"), 0)
        self._containers = 0
        self._problems: dict[str, str] = {}

    def status(self) -> Mapping[str, object]:
        """puts, deletes: sent; skipped: rows that the target had already; failed: tries after which a row waits.

        containers: with a target, of the last pass. behind: rows that this host was to send, and could not.
        """
        behind = sum(progress.behind for progress in self._progress.values())
        return {**self._counts, "containers": self._containers, "behind": behind, "misconfigured": len(self._problems)}

    def passes(self) -> Iterator[Callable[[], None] | None]:
        """One pass; a unit is one row."""
        means = self._means
        self._changed.begin()
        self._containers = 0
        context = RequestContext()
        for device in means.devices():
            for location in self._changed.of(device.name, device.containers):
                yield from self._units(device, location, context)

    def _units(
        self, device: SyncingDevice, location: Location, context: RequestContext
    ) -> Iterator[Callable[[], None] | None]:
        replica = self._means.replica_of(device.name, location)
        if replica is None:
            return
        try:
            info = device.containers.info(location)
            link = self._link(info)
            if link is None:
                return
            self._containers += 1
            yield from self._rows(device, location, info, link, replica)
        except NOT_NOW as problem:
            self._means.logger.warning("container %s could not be synchronised yet: %s", location.hash, problem)
            self._changed.missed(device.name)
        except (NotFound, Corrupt):
            return

    def _link(self, info: ContainerStatus) -> SyncLink | None:
        """Return the target of a container; None if it has none, or one that cannot be used, which is logged."""
        metadata = live_metadata(info.metadata)
        to, key, path = metadata.get(SYNC_TO, ""), metadata.get(SYNC_KEY, ""), info.name.path
        if not to or not key:
            self._problems.pop(path, None)
            return None
        problem = ""
        try:
            target = parse_target(to)
        except InvalidInput as invalid:
            problem = str(invalid)
        else:
            realm = self._means.realms().get(target.realm)
            url = realm.clusters.get(target.cluster) if realm else None
            if realm is not None and url is not None:
                self._problems.pop(path, None)
                place = quote(f"{target.name.account}/{target.name.container}")
                return SyncLink(info.name, target, realm, f"{url}{place}", key)
            problem = f"there is no realm {target.realm} with a cluster {target.cluster}"
        if self._problems.get(path) != problem:
            self._problems[path] = problem
            self._means.logger.error("%s cannot be synchronised: %s", path, problem)
        return None

    def _rows(
        self, device: SyncingDevice, location: Location, info: ContainerStatus, link: SyncLink, replica: tuple[int, int]
    ) -> Iterator[Callable[[], None] | None]:
        containers, remote = device.containers, f"container-sync {link.url}"
        key = (f"{device.name} {info.id}", remote)
        progress = self._progress.get(key)
        if progress is None:
            point = containers.sync_points(location, False).get(remote, 0)
            progress = self._progress[key] = SyncProgress(point)
        progress.restart()
        number, left = progress.point, self._options.rows
        save = partial(self._save, containers, location, info.id, remote, progress)
        while left > 0:
            page = min(left, _PAGE)
            rows = containers.rows_since(location, number, page)
            for numbered in rows:
                number = numbered.number
                row = numbered.row
                assert isinstance(row, ObjectRow)
                if not progress.begin(number):
                    continue
                wait = self._wait(row, replica)
                if wait is None:
                    yield partial(self._do, device, link, row, number, progress, replica, save)
                else:
                    progress.waiting += 1
                    self._changed.missed(device.name)
            left -= page
            if len(rows) < page:
                break
        else:
            self._changed.missed(device.name)
        progress.listed = True
        progress.settle()
        save()

    def _wait(self, row: ObjectRow, replica: tuple[int, int]) -> float | None:
        """Return the seconds until this replica should look at a row; None for now."""
        index, replicas = replica
        patience = turn(row.name, index, replicas) * self._options.takeover
        left = _changed_at(row).seconds + patience - self._means.now()
        return left if patience and left > 0 else None

    def _do(
        self,
        device: SyncingDevice,
        link: SyncLink,
        row: ObjectRow,
        number: int,
        progress: SyncProgress,
        replica: tuple[int, int],
        save: Callable[[], None],
    ) -> None:
        try:
            age = self._means.now() - _changed_at(row).seconds
            self._follow(link, row, first=not turn(row.name, *replica) and age < self._options.takeover)
        except BaseException:
            self._counts["failed_total"] += 1
            self._changed.missed(device.name)
            raise
        progress.end(number)
        if progress.point >= progress.saved + _SAVE_EVERY or progress.ended:
            save()

    def _save(
        self, containers: ContainerStore, location: Location, id_: str, remote: str, progress: SyncProgress
    ) -> None:
        point = progress.point
        if point > progress.saved:
            try:
                containers.set_sync_point(location, id_, False, remote, point)
            except (*NOT_NOW, Conflict, NotFound) as problem:
                self._means.logger.warning("the sync point of %s could not be kept: %s", location.hash, problem)
                return
            progress.saved = point

    # One row

    def _follow(self, link: SyncLink, row: ObjectRow, first: bool) -> None:
        """Make the target as a row says. first: no other replica can have looked at the row. Raises NodeFailure."""
        if row.name.startswith(RESERVED):
            return
        if row.deleted:
            self._delete(link, row)
            return
        context = RequestContext()
        name = link.source._replace(object=row.name)
        if not first and self._has(link, row):
            self._counts["skipped_total"] += 1
            return
        try:
            source = self._open(context, name)
        except NotFound:
            return  # deleted since, or expired: a later row says so
        try:
            if Timestamp.parse(source.headers["X-Timestamp"]).raw < _changed_at(row).raw:
                raise NodeFailure(f"{name.path} is older here than its row")
            if first and source.size > _SMALL and self._has(link, row):
                self._counts["skipped_total"] += 1
                return
            self._put(link, row, source)
        finally:
            source.close()

    def _open(self, context: RequestContext, name: Name) -> Reply:
        """Open the content to send: that of links and of clients' manifests is their own. Raises NotFound."""
        options = ReadOptions(newest=True, link=True)
        source = self._means.layer.open(context, name, options._replace(raw=True))
        if MANIFEST in source.headers and not is_large(source.headers):
            source.close()
            source = self._means.layer.open(context, name, options)
        return source

    def _has(self, link: SyncLink, row: ObjectRow) -> bool:
        """Return whether the target has this change, or a newer one."""
        answer = self._send(link, row, "HEAD", "0")
        if answer.status == 404:
            return False
        if not answer.ok:
            raise NodeFailure(f"HEAD of {row.name} at {link.url}: {answer.status}")
        try:
            return Timestamp.parse(answer.headers.get("x-timestamp", "0")).raw >= _changed_at(row).raw
        except InvalidInput:
            return False

    def _delete(self, link: SyncLink, row: ObjectRow) -> None:
        answer = self._send(link, row, "DELETE", row.timestamp.normal)
        if not answer.ok and answer.status not in _DELETED:
            raise NodeFailure(f"DELETE of {row.name} at {link.url}: {answer.status}")
        self._counts["deletes_total"] += 1

    def _put(self, link: SyncLink, row: ObjectRow, source: Reply) -> None:
        headers = source.headers
        sent = {name: text for name, text in headers.items() if name in OBJECT_HEADERS or name.startswith(_USER)}
        sent["Content-Type"] = headers["Content-Type"]
        if LINK in headers:
            sent |= symlink_headers(headers)
        elif MANIFEST not in headers or is_large(headers):
            sent["Etag"] = headers["Etag"].strip('"')
        answer = self._send(link, row, "PUT", headers["X-Timestamp"], sent, source)
        if not answer.ok and not (answer.status == 409 and self._has(link, row)):
            raise NodeFailure(f"PUT of {row.name} at {link.url}: {answer.status}")
        self._counts["puts_total"] += 1

    def _send(
        self,
        link: SyncLink,
        row: ObjectRow,
        method: str,
        timestamp: str,
        headers: Mapping[str, str] | None = None,
        source: Reply | None = None,
    ) -> FarAnswer:
        url = f"{link.url}/{quote(row.name.encode('utf-8', 'surrogateescape'))}"
        signed = SignedRequest(method, urlsplit(url).path, timestamp)
        sent = {name: to_native(value) for name, value in (headers or {}).items()}
        sent |= {"X-Timestamp": timestamp, SYNC_AUTH: new_auth(link.realm, signed, link.key)}
        sent["User-Agent"] = "objstore container-sync"
        if source is None:
            return self._means.send(FarRequest(method, url, sent))
        return self._means.send(FarRequest(method, url, sent, source.pieces(), source.size))


def symlink_headers(stored: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the request that makes a link. stored: of the link."""
    return {name.replace("X-Object-Sysmeta-", "X-"): stored[name] for name in _OF_LINKS if name in stored}


def _changed_at(row: ObjectRow) -> Timestamp:
    """Return the time of the last change of data, type or metadata."""
    return max(stamp for stamp in (row.timestamp, row.content_type_timestamp, row.meta_timestamp) if stamp)
