"""A large body on its way from one client to several nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from objstore.cluster import quorum
from objstore.cluster.cluster import Cluster
from objstore.cluster.decided_write import DecidedWrite
from objstore.cluster.reads import stored_timestamp
from objstore.cluster.writes import REPLACED, Written, gather, stand_ins
from objstore.core.errors import ChecksumMismatch, InvalidInput, LimitExceeded, NodeFailure, NodeTimeout
from objstore.core.nodes import Node
from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.web.requests import Environ, body_pieces, check_body, late_headers
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse, Upload

if TYPE_CHECKING:
    from objstore.cluster.object_write import ObjectChange
    from objstore.cluster.renaming import Renaming

QUEUED = 2  # pieces of up to 1 MiB that wait for a slow node


class Sender:
    """One node's copy of the body: a queue, and a green thread that sends what is in it."""

    def __init__(self, cluster: Cluster, node: Node, request: NodeRequest, upload: Upload) -> None:
        self.failed = False
        self._cluster = cluster
        self.node = node
        self._request = request
        self._upload = upload
        self._queue = green.Queue(QUEUED)
        self._timeout: float = cluster.settings.node_timeout
        self._thread = green.spawn(self._work)

    def _work(self) -> None:
        while True:
            piece = self._queue.get()
            if piece is None:
                return
            if self.failed:
                continue
            try:
                self._upload.send(piece)
            except Exception as failure:  # whatever it is: the queue must be emptied for the one who fills it
                self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        if not self.failed:
            self.failed = True
            self._cluster.note_failure(self.node, self._request, failure)
            self._upload.abort()

    def put(self, piece: bytes) -> None:
        """Queue a piece; a node that takes none for `node_timeout` has failed."""
        if self.failed:
            return
        try:
            self._queue.put(piece, timeout=self._timeout)
        except green.QueueFull:
            self._fail(NodeTimeout("took no more of the body"))

    def finish(self, trailers: Mapping[str, str]) -> NodeResponse:
        """Send what is queued, end the body, wait for the answer."""
        self._queue.put(None)
        self._thread.wait()
        if self.failed:
            return NodeResponse(503, {})
        try:
            response = self._upload.finish(trailers)
            response.close()
        except NodeFailure as failure:
            self._fail(failure)
            return NodeResponse(503, {})
        except BaseException:
            self.abort()
            raise
        self._cluster.note_answer(self.node, response.status)
        return response

    def abort(self) -> None:
        self.failed = True
        self._upload.abort()
        self._thread.kill()


class _Md5:
    """The MD5 of pieces, computed in a thread while the next piece is on its way."""

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._hash = hashlib.md5(usedforsecurity=False)
        self._pending: Callable[[], Any] | None = None

    def update(self, piece: bytes) -> None:
        self._settle()
        self._pending = self._pool.start(self._hash.update, piece)

    def _settle(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending()

    def hexdigest(self) -> str:
        self._settle()
        return self._hash.hexdigest()


class PutStream:
    """Sends one client's body to the nodes of an `ObjectChange`."""

    def __init__(
        self,
        cluster: Cluster,
        change: ObjectChange,
        most: int,
        hashing: ThreadPool,
        renaming: Renaming | None = None,
    ) -> None:
        self._cluster = cluster
        self._change = change
        self._most = most
        self._hashing = hashing
        self._replicas = len(change.place.primaries)
        self._needed = quorum.quorum_size(self._replicas)
        self._renaming = renaming
        depends = change.condition is not None or renaming is not None
        self._decided = DecidedWrite(change, change.condition) if depends else None

    def run(self, environ: Environ, length: int | None) -> Written:
        """Raises what reading the body raises, and LimitExceeded where it is too large."""
        several = self._replicas > 1
        check_body(environ)  # an upload that was given up while it waited here costs the nodes nothing
        if self._decided is not None:
            self._decided.check_early()
        unmoved = self._change.look_back()
        connected = self._connect(length, several)
        senders = [sender for sender in connected if isinstance(sender, Sender)]
        answers = [answer for answer in connected if isinstance(answer, NodeResponse)]
        try:
            if len(senders) < self._needed:
                for sender in senders:
                    sender.abort()
                return Written(quorum.verdict([answer.status for answer in answers], self._replicas), answers)
            md5 = _Md5(self._hashing) if several else None
            self._stream(environ, senders, md5)
            written = self._finish(environ, senders, answers, md5)
            if written.status < 300:
                written.answers.extend(unmoved.answers(written.status))
            return written
        except BaseException:
            for sender in senders:
                sender.abort()
            raise

    def _connect(self, length: int | None, several: bool) -> Sequence[Sender | NodeResponse]:
        """A sender for each node that wants the body, the answer of each that does not."""
        extra = {"Expect": "100-continue"}
        if several:
            extra["Trailer"] = messages.ETAG_TRAILER
        if length is not None:  # it is sent in chunks, which leave a place for trailers
            extra[messages.SIZE] = str(length)
        while True:
            requests = self._change.node_requests("PUT", b"", extra)
            nodes, spares = self._cluster.write_order(self._change.place)
            waits = [
                green.spawn(self._open, stand_ins(self._cluster, node, spares), request)
                for node, request in zip(nodes, requests, strict=True)
            ]
            opened = _all_opened(self._cluster, waits, self._needed)
            answers = [one for one in opened if isinstance(one, NodeResponse)]
            conflict = max((stored_timestamp(answer) for answer in answers if answer.status == 409), default=None)
            if conflict is None or not self._change.outdated(conflict):
                return opened
            for one in opened:
                if isinstance(one, Sender):
                    one.abort()

    def _open(self, nodes: Iterator[Node], request: NodeRequest) -> Sender | NodeResponse:
        status = 503
        for node in nodes:
            upload: Upload | None = None
            try:
                upload = self._cluster.transports.upload(node, request, None)
                early = upload.wait_continue()
            except NodeFailure as failure:
                self._cluster.note_failure(node, request, failure)
                if upload is not None:
                    upload.abort()
                continue
            except BaseException:
                if upload is not None:
                    upload.abort()
                raise
            if early is None:
                return Sender(self._cluster, node, request, upload)
            early.close()
            upload.abort()
            self._cluster.note_answer(node, early.status)
            if early.status not in REPLACED:
                return early
            status = early.status
        return NodeResponse(status, {})

    def _stream(self, environ: Environ, senders: list[Sender], md5: _Md5 | None) -> None:
        size = 0
        for piece in body_pieces(environ):
            size += len(piece)
            if size > self._most:
                raise LimitExceeded(f"the body is larger than {self._most} bytes")
            if md5 is not None:
                md5.update(piece)
            for sender in senders:
                sender.put(piece)
            if sum(not sender.failed for sender in senders) < self._needed:
                raise NodeFailure("too few nodes are left to take the body")
        self._change.size = size

    def _finish(
        self, environ: Environ, senders: list[Sender], answers: list[NodeResponse], md5: _Md5 | None
    ) -> Written:
        trailers = dict(late_headers(environ))
        self._change.add(trailers)
        if md5 is not None:
            etag = trailers[messages.ETAG_TRAILER] = md5.hexdigest()
            expected = environ.get("HTTP_ETAG", "").strip('"').lower()
            if expected and expected != etag:
                raise ChecksumMismatch(f"the body's MD5 is {etag}, not {expected}")
        if self._decided is not None:
            return self._finish_decided(self._decided, senders, answers, trailers)
        self._change.renew()
        trailers[messages.TIMESTAMP] = self._change.timestamp.internal
        got = gather(
            self._cluster,
            [lambda sender=sender: sender.finish(trailers) for sender in senders],  # type: ignore[misc]
            lambda some: quorum.decided([one.status for one in some], self._replicas),
        )
        everyone = answers + got
        status = quorum.verdict([answer.status for answer in everyone], self._replicas)
        # The body is gone: only the client can send what was overtaken by a decided change again.
        return Written(503 if status == 409 and not self._change.dated else status, everyone)

    def _finish_decided(
        self, decided: DecidedWrite, senders: list[Sender], answers: list[NodeResponse], trailers: dict[str, str]
    ) -> Written:
        """The lease is held for no longer than the change takes, however slow the body was."""
        if self._renaming is not None:
            self._renaming.decide(decided)
        else:
            decided.decide()
        trailers[messages.TIMESTAMP] = self._change.timestamp.internal
        under = {**trailers, **decided.trailers}
        leased = [decided.leased(sender.node) for sender in senders]
        jobs = [
            lambda sender=sender, told=under if covered else trailers: sender.finish(told)
            for sender, covered in zip(senders, leased, strict=True)
        ]
        written = decided.collect(leased, jobs)
        return written._replace(answers=answers + written.answers)


def _all_opened(cluster: Cluster, waits: Sequence[Any], needed: int) -> list[Sender | NodeResponse]:
    """The results of `PutStream._open`, as `writes.gather` has those of its jobs; if it raises, no upload goes on.

    Once `needed` nodes are ready, each that takes `open_timeout` longer is given up for the next in its place.
    """
    ended = green.Queue()
    for wait in waits:
        wait.link(ended.put)
    opened: dict[Any, Sender | NodeResponse] = {}
    fault: InvalidInput | None = None
    while len(opened) < len(waits):
        ready = sum(isinstance(one, Sender) for one in opened.values())
        try:
            wait = ended.get(timeout=cluster.settings.open_timeout if ready >= needed else None)
        except green.QueueEmpty:
            for late in waits:
                if late not in opened:
                    green.kill(late, NodeTimeout("was not ready for the body long after others"))
            continue
        try:
            opened[wait] = wait.wait()
        except InvalidInput as raised:
            fault = raised
            opened[wait] = NodeResponse(400, {})
        except Exception:
            cluster.logger.exception("a request to a node failed")
            opened[wait] = NodeResponse(500, {})
    if fault is None:
        return [opened[wait] for wait in waits]
    for one in opened.values():
        if isinstance(one, Sender):
            one.abort()
    raise fault
