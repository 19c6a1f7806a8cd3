"""Extraction: the files of an archive stored as objects.

One green thread reads the archive, which is the only reader of the client's connection. Others store the objects, up to
`extract_concurrency` at once. A small file is handed over as a whole, a large one in pieces through a short queue. An
object waits for one of the same name before it, so that the last member of a name wins.

What was stored stays if the archive turns out to be damaged or truncated; the answer says so. The object under way is
not stored then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from objstore.core.errors import BodyTimeout, BodyTruncated, InvalidInput, ObjstoreError, TooManyContainers
from objstore.core.limits import Limits
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody, ObjectBody
from objstore.layers.interface import ContainerOptions, ObjectLayer, PutOptions
from objstore.layers.options import put_options
from objstore.runtime import green
from objstore.swift.bulk.report import CREATED, BulkReport, beats
from objstore.swift.bulk.rights import Rights
from objstore.swift.bulk.settings import BulkSettings
from objstore.swift.bulk.tar_format import MemberKind
from objstore.swift.bulk.tar_reader import TarMember, TarReader
from objstore.web import constraints
from objstore.web.context import RequestContext
from objstore.web.errors import status_of

SMALL = 64 << 10  # bytes of a file that is handed over as a whole
_QUEUED = 4  # pieces of a large file that wait to be stored
_TAIL = 64 << 20  # bytes after the end of an archive that are read, to check the compressed stream
_MAX_SKIPPED_LISTED = 1000
_TURN = 256  # members that are read before other requests get their turn
_MIME_TYPE, _META = b"user.mime_type", b"user.meta."
_BEAT, _ROOM = object(), object()


class ExtractionTarget(NamedTuple):
    """The destination of an archive. container: None to take it from each member. prefix: of the objects' names."""

    account: str
    container: str | None = None
    prefix: str = ""

    def path(self, name: bytes) -> bytes:
        """Return `container/object` for the name of a member; without a slash if the container would have no object.

        Names are taken as they are, so `..` has no meaning: no member can leave its target.
        """
        name = name.removeprefix(b"./").lstrip(b"/")
        if self.container is None:
            return name
        above = f"{self.container}/{self.prefix}".rstrip("/")
        return above.encode("utf-8", "surrogateescape") + b"/" + name


class Piped:
    """The content of a large file on its way from the archive's reader to the object's writer.

    It is an `ObjectBody` for the writer. on_room: is called after each piece that the writer has taken.
    """

    def __init__(self, length: int, on_room: Callable[[], object]) -> None:
        self.length: int | None = length
        self.is_abandoned = False  # the writer has ended, perhaps early
        self._queue = green.Queue()
        self._waiting = 0
        self._piece: memoryview = memoryview(b"")
        self._on_room = on_room
        self._failure: ObjstoreError | None = None

    @property
    def has_room(self) -> bool:
        return self._waiting < _QUEUED or self.is_abandoned

    def put(self, piece: bytes) -> None:
        if not self.is_abandoned:
            self._waiting += 1
            self._queue.put(piece)

    def fail(self, failure: ObjstoreError) -> None:
        """End the content early: the writer must store nothing."""
        self._failure = failure
        self._queue.put(b"")

    # For the writer

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def read_chunk(self, limit: int, /) -> Any:
        if not self._piece:
            self._piece = memoryview(self._queue.get())
            self._waiting -= 1
            self._on_room()
            self.check()
        piece, self._piece = self._piece[:limit], self._piece[limit:]
        return piece

    def abandon(self) -> None:
        self.is_abandoned = True
        self._on_room()


class StoredMember(NamedTuple):
    """The outcome of one object. status: 0 if it was stored, else that of the error."""

    name: Name
    shown: str
    status: int = 0


class BulkExtraction:
    """The work of one request. archive: its members. headers: of the request, by canonical names."""

    def __init__(
        self,
        layer: ObjectLayer,
        context: RequestContext,
        rights: Rights,
        settings: BulkSettings,
        limits: Limits,
        logger: logging.Logger,
        target: ExtractionTarget,
        headers: Mapping[str, str],
    ) -> None:
        self.report = BulkReport("extract", (CREATED,), 201, _MAX_SKIPPED_LISTED)
        self._layer = layer
        self._context = context
        self._rights = rights
        self._settings = settings
        self._limits = limits
        self._logger = logger
        self._target = target
        self._headers = {
            name: value
            for name, value in headers.items()
            if name.startswith("X-Object-Meta-") or name in ("X-Delete-At", "X-Delete-After")
        }
        self._containers: dict[str, int] = {}  # by name, the status of the refusal or 0
        self._busy: set[Name] = set()
        self._events = green.Queue()
        self._jobs = green.Queue()
        self._workers = 0

    def run(self, archive: TarReader) -> Iterator[None]:
        """Store the members of an archive; yield from time to time."""
        beat = green.spawn(beats, self._events.put, _BEAT, self._settings.yield_frequency)
        try:
            try:
                yield from self._members(archive)
            except (BodyTruncated, InvalidInput) as failure:
                self.report.refuse(400, f"Invalid Tar File: {failure}")
            except BodyTimeout as failure:
                self.report.refuse(status_of(failure), str(failure))
            yield from self._until(lambda: not self._busy)
        finally:
            green.kill(beat)
            for _ in range(self._workers):
                self._jobs.put(None)
        if not (self.report.counts[CREATED] or self.report.errors):
            self.report.refuse(400, "Invalid Tar File: No Valid Files")

    def _members(self, archive: TarReader) -> Iterator[None]:
        report, max_failed = self.report, self._settings.max_failed_extractions
        count = 0
        while not report.is_refused:
            member = archive.next()
            if member is None:
                self._end(archive)
                return
            yield from self._member(archive, member)
            count += 1
            if count % _TURN == 0:
                green.sleep(0)
            while self._events.qsize():  # while members are skipped, nothing else waits for events
                yield from self._handle(self._events.get())
            if len(report.errors) >= max_failed:
                report.refuse(400, f"More than {max_failed} members could not be stored; the others were left")

    def _end(self, archive: TarReader) -> None:
        if not archive.has_end:
            self.report.note = "The archive has no mark at its end: it may be truncated"
        elif not archive.skip_rest(_TAIL):
            self.report.note = "Data after the end of the archive were not read"

    # Members

    def _member(self, archive: TarReader, member: TarMember) -> Iterator[None]:
        path = self._target.path(member.name)
        shown = quote(path)
        if member.kind is not MemberKind.FILE:
            self.report.skip(shown, member.kind.value)
            return
        if self._target.container is None and b"/" not in path:
            self.report.skip(shown, "file outside of a container")
            return
        try:
            text = path.decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            self.report.fail(shown, 412)
            return
        container, _, key = text.partition("/")
        if not container or not key:
            self.report.fail(shown, 400)
            return
        name = Name(self._target.account, container, key)
        status = self._refusal(name)
        if status == 401:
            self.report.refuse(401)
        elif status:
            self.report.fail(shown, status)
        else:
            yield from self._start(archive, member, name, shown)

    def _refusal(self, name: Name) -> int:
        """Return 0 if the client may store the object and its container exists or has been made, else the status."""
        assert name.container is not None
        status = self._containers.get(name.container)
        if status is None:
            if len(self._containers) >= self._settings.max_containers_per_extraction:
                most = self._settings.max_containers_per_extraction
                self.report.refuse(400, f"More than {most} containers in one archive")
                return 400
            status = self._containers[name.container] = self._container(name)
        return status or self._rights.refusal("PUT", name)

    def _container(self, name: Name) -> int:
        """Make the container of a name if it does not exist; return the status of the refusal, or 0."""
        container = name.of_container
        info = self._layer.container_info(self._context, container)
        if not info.exists:
            status = self._rights.refusal("PUT", container)
            try:
                if not status:
                    constraints.check_name(container, self._limits)
                    self._layer.create_container(self._context, container, ContainerOptions({}))
            except TooManyContainers as failure:
                self.report.refuse(status_of(failure), str(failure))
                return status_of(failure)
            except ObjstoreError as failure:
                status = status_of(failure)
            if status and status != 401:
                self.report.fail(quote(f"/v1{container.path}"), status)
            return status
        return 0

    def _start(self, archive: TarReader, member: TarMember, name: Name, shown: str) -> Iterator[None]:
        """Begin to store an object; a large one is read to its end."""
        if member.size > self._limits.max_file_size:
            self.report.fail(shown, 413)
            return
        try:
            options = self._options(member, name)
        except InvalidInput as failure:
            self.report.fail(shown, status_of(failure))
            return
        yield from self._until(lambda: name not in self._busy and len(self._busy) < self._settings.extract_concurrency)
        if member.size > SMALL:
            yield from self._pipe(archive, member, partial(self._store, name, shown, options), name)
            return
        try:
            content = archive.whole()
        except ObjstoreError:
            self.report.fail(shown, 400)
            raise
        self._give(name, partial(self._store, name, shown, options, BytesBody(content)))

    def _options(self, member: TarMember, name: Name) -> PutOptions:
        """Return the options of the PUT. Raises InvalidInput for metadata and names that are not allowed."""
        headers = self._headers
        attributes = member.records.attributes
        if attributes:
            headers = {**headers, **_metadata(attributes)}
        constraints.check_name(name, self._limits)
        constraints.check_metadata("Object", headers, self._limits)
        return put_options(headers, name.object or "", time.time())

    def _pipe(
        self, archive: TarReader, member: TarMember, store: Callable[[ObjectBody], StoredMember], name: Name
    ) -> Iterator[None]:
        """Hand the content of a large file over, piece by piece."""
        body = Piped(member.size, lambda: self._events.put(_ROOM))

        def work() -> StoredMember:
            try:
                return store(body)
            finally:
                body.abandon()

        self._give(name, work)
        try:
            for piece in archive.content():
                body.put(piece)
                yield from self._until(lambda: body.has_room)
                if body.is_abandoned:
                    return  # the rest is skipped with the next header
        except ObjstoreError as failure:
            body.fail(BodyTruncated(str(failure)))
            raise
        except GeneratorExit:
            body.fail(BodyTruncated("the client has gone"))
            raise

    # Green threads that store

    def _give(self, name: Name, job: Callable[[], StoredMember]) -> None:
        """Hand a job to a worker that is free, or to a new one."""
        self._busy.add(name)
        if self._workers < min(len(self._busy), self._settings.extract_concurrency):
            self._workers += 1
            green.spawn(self._work)
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._events.put(job())

    def _store(self, name: Name, shown: str, options: PutOptions, body: ObjectBody) -> StoredMember:
        try:
            self._layer.put(self._context, name, options, body)
        except BodyTruncated:
            return StoredMember(name, shown, 400)
        except ObjstoreError as failure:
            return StoredMember(name, shown, status_of(failure))
        except Exception:
            self._logger.exception("extraction of %s failed", shown)
            return StoredMember(name, shown, 500)
        return StoredMember(name, shown)

    def _until(self, is_ready: Callable[[], bool]) -> Iterator[None]:
        """Handle events until something is so; yield from time to time."""
        while not is_ready():
            yield from self._handle(self._events.get())

    def _handle(self, event: Any) -> Iterator[None]:
        if event is _BEAT:
            yield
        elif event is not _ROOM:
            self._busy.discard(event.name)
            if event.status:
                self.report.fail(event.shown, event.status)
            else:
                self.report.count(CREATED)


def _metadata(attributes: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the headers for extended attributes of a file, as Swift defines them."""
    headers = {}
    for key, value in attributes.items():
        text = value.decode("utf-8", "surrogateescape")
        if key == _MIME_TYPE:
            headers["Content-Type"] = text
        elif key.startswith(_META):
            name = key[len(_META) :].decode("utf-8", "surrogateescape").replace("_", "-")
            headers["X-Object-Meta-" + name.title()] = text
    return headers
