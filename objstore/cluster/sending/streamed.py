"""Large bodies: streamed from one client to several nodes."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from objstore.cluster import quorum
from objstore.cluster.cluster import Cluster
from objstore.cluster.object_change import ObjectChange, Sent
from objstore.cluster.reads import stored_timestamp
from objstore.cluster.sending.decided import DecidedWrite
from objstore.cluster.sending.plain import look_back
from objstore.cluster.writes import REPLACED, WriteResult, gather, stand_ins
from objstore.core.errors import ChecksumMismatch, InvalidInput, NodeFailure, NodeTimeout
from objstore.core.nodes import Node
from objstore.core.timestamps import ZERO
from objstore.layers.bodies import ObjectBody, blocks
from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse, Upload

QUEUED = 2  # blocks of up to 2 MiB that wait for a slow node


class BodySender:
    """One node's copy of the body: a queue, and a green thread that sends its pieces; neither if the upload buffers."""

    def __init__(self, cluster: Cluster, node: Node, request: NodeRequest, upload: Upload) -> None:
        self.failed = False
        self._cluster = cluster
        self.node = node
        self._request = request
        self._upload = upload
        self._queue = green.Queue(QUEUED)
        self._timeout: float = cluster.settings.node_timeout
        self._thread = None if upload.buffers else green.spawn(self._work)

    def _work(self) -> None:
        while True:
            piece = self._queue.get()
            if piece is None:
                return
            if not self.failed:
                self._send(piece)

    def _send(self, piece: bytes | memoryview) -> None:
        try:
            self._upload.send(piece)
        except Exception as failure:  # on any error: other nodes go on, and the queue must be emptied
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        if not self.failed:
            self.failed = True
            self._cluster.note_failure(self.node, self._request, failure)
            self._upload.abort()

    def put(self, piece: bytes | memoryview) -> None:
        """Queue a piece; a node that accepts none for `node_timeout` has failed."""
        if self.failed:
            return
        if self._thread is None:
            self._send(piece)
            return
        try:
            self._queue.put(piece, timeout=self._timeout)
        except green.QueueFull:
            self._fail(NodeTimeout("stopped accepting the body"))

    def finish(self, trailers: Mapping[str, str]) -> NodeResponse:
        """Send the queued pieces, end the body, wait for the answer."""
        if self._thread is not None:
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
        if self._thread is not None:
            self._thread.kill()


class _Md5:
    """The MD5 of pieces, computed in a thread while the next piece is received."""

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._hash = hashlib.md5(usedforsecurity=False)
        self._pending: Callable[[], object] | None = None

    def update(self, piece: bytes | memoryview) -> None:
        self._settle()
        self._pending = self._pool.start(self._hash.update, piece)

    def _settle(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending()

    def hexdigest(self) -> str:
        self._settle()
        return self._hash.hexdigest()


def send(change: ObjectChange, body: ObjectBody, limit: int) -> Sent:
    """Send as `sending.send`."""
    return PutStream(change, body, limit, None if change.condition is None else DecidedWrite(change)).run()


class PutStream:
    """A body streamed to the nodes of a change. write: the change, if it is made under a lease."""

    def __init__(
        self,
        change: ObjectChange,
        body: ObjectBody,
        limit: int,
        write: DecidedWrite | None = None,
        decide: Callable[[], None] | None = None,
    ) -> None:
        """limit: of the body, in bytes. decide: takes the lease of `write`, and others that are needed."""
        self._cluster = change.place.cluster
        self._change = change
        self._body = body
        self._limit = limit
        self._checked: str = getattr(body, "md5", "")  # the body compares its MD5 with this one
        self._replicas = change.place.replicas
        self._majority = quorum.quorum_size(self._replicas)
        self._write = write
        self._decide = decide

    def run(self) -> Sent:
        """Run. Raises the errors of reading the body, and LimitExceeded if it is too large."""
        self._body.check()  # an upload that was given up while it waited here costs the nodes nothing
        if self._write is not None:
            self._write.check_early()
        self._change, unmoved = look_back(self._change)
        connected = self._connect()
        senders = [sender for sender in connected if isinstance(sender, BodySender)]
        answers = tuple(answer for answer in connected if isinstance(answer, NodeResponse))
        try:
            if len(senders) < self._majority:
                for sender in senders:
                    sender.abort()
                return Sent(WriteResult(self._verdict(answers), answers), self._change)
            md5 = _Md5(self._cluster.hashing) if self._replicas > 1 and not self._checked else None
            size = self._stream(senders, md5)
            trailers = self._trailers(md5)
            if self._write is None:
                written = self._finish(senders, answers, trailers)
            else:
                written = self._finish_decided(self._write, senders, answers, trailers)
            return Sent(unmoved.join(written), self._change, size)
        except BaseException:
            for sender in senders:
                sender.abort()
            raise

    def _verdict(self, answers: Sequence[NodeResponse]) -> int:
        return quorum.verdict([answer.status for answer in answers], self._replicas)

    def _connect(self) -> Sequence[BodySender | NodeResponse]:
        """Return a sender for each node that wants the body, the answer of each that does not."""
        extra = {"Expect": "100-continue"}
        if self._checked:
            extra[messages.ETAG_TRAILER] = self._checked
        elif self._replicas > 1:
            extra["Trailer"] = messages.ETAG_TRAILER
        if self._body.length is not None:  # it is sent in chunks, which allow trailers
            extra[messages.SIZE] = str(self._body.length)
        while True:
            nodes, spares = self._cluster.write_order(self._change.place.nodes)
            waits = [
                green.spawn(self._open, stand_ins(self._cluster, node, spares), request)
                for node, request in zip(nodes, self._change.requests(b"", extra), strict=True)
            ]
            opened = _all_opened(self._cluster, waits, self._majority)
            answers = [one for one in opened if isinstance(one, NodeResponse)]
            conflict = max((stored_timestamp(answer) for answer in answers if answer.status == 409), default=ZERO)
            newer = self._change.newer_than(conflict)
            if newer is None:
                return opened
            self._change = newer
            for one in opened:
                if isinstance(one, BodySender):
                    one.abort()

    def _open(self, nodes: Iterator[Node], request: NodeRequest) -> BodySender | NodeResponse:
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
                return BodySender(self._cluster, node, request, upload)
            early.close()
            upload.abort()
            self._cluster.note_answer(node, early.status)
            if early.status not in REPLACED:
                return early
            status = early.status
        return NodeResponse(status, {})

    def _stream(self, senders: list[BodySender], md5: _Md5 | None) -> int:
        """Send the body; return its size."""
        size = 0
        for piece in blocks(self._body, self._limit):
            size += len(piece)
            if md5 is not None:
                md5.update(piece)
            for sender in senders:
                sender.put(piece)
            if sum(not sender.failed for sender in senders) < self._majority:
                raise NodeFailure("too few nodes are left to store the body")
        return size

    def _trailers(self, md5: _Md5 | None) -> dict[str, str]:
        """Return the trailers; raises ChecksumMismatch if the body does not match the client's checksum."""
        late = self._change.late() if self._change.late is not None else {}
        trailers = dict(late)
        if md5 is not None:
            etag = trailers[messages.ETAG_TRAILER] = md5.hexdigest()
            expected = self._change.headers.get("Etag", "").strip('"').lower()
            if expected and expected != etag:
                raise ChecksumMismatch(f"the body's MD5 is {etag}, not {expected}")
        self._change = self._change.with_headers(late)
        return trailers

    def _finish(
        self, senders: list[BodySender], answers: tuple[NodeResponse, ...], trailers: Mapping[str, str]
    ) -> WriteResult:
        self._change = self._change.renewed()
        sent = {**trailers, messages.TIMESTAMP: self._change.timestamp.internal}
        got = gather(
            self._cluster,
            [functools.partial(sender.finish, sent) for sender in senders],
            lambda some: quorum.decided([one.status for one in some], self._replicas),
        )
        everyone = (*answers, *got)
        status = self._verdict(everyone)
        # The body is gone: only the client can retry a change that a decided one overtook.
        return WriteResult(503 if status == 409 and not self._change.final else status, everyone)

    def _finish_decided(
        self,
        write: DecidedWrite,
        senders: list[BodySender],
        answers: tuple[NodeResponse, ...],
        trailers: Mapping[str, str],
    ) -> WriteResult:
        """Finish a decided change: the lease is held only for the change, however slow the body was."""
        (self._decide or write.decide)()
        self._change = write.change.with_headers(self._change.headers)
        plain = {**trailers, messages.TIMESTAMP: self._change.timestamp.internal}
        under = {**plain, **write.trailers}
        leased = [write.leased(sender.node) for sender in senders]
        jobs = [
            functools.partial(sender.finish, under if covered else plain)
            for sender, covered in zip(senders, leased, strict=True)
        ]
        written = write.collect(leased, jobs)
        return written._replace(answers=answers + written.answers)


def _all_opened(cluster: Cluster, waits: Sequence[Any], needed: int) -> list[BodySender | NodeResponse]:
    """Return the results of `PutStream._open`, as `writes.gather` does; if it raises, no upload continues.

    After `needed` nodes are ready, each that takes `open_timeout` longer is replaced by the next.
    """
    ended = green.Queue()
    for wait in waits:
        wait.link(ended.put)
    opened: dict[Any, BodySender | NodeResponse] = {}
    fault: InvalidInput | None = None
    while len(opened) < len(waits):
        ready = sum(isinstance(one, BodySender) for one in opened.values())
        try:
            wait = ended.get(timeout=cluster.settings.open_timeout if ready >= needed else None)
        except green.QueueEmpty:
            for late in waits:
                if late not in opened:
                    green.kill(late, NodeTimeout("was not ready for the body in time"))
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
        if isinstance(one, BodySender):
            one.abort()
    raise fault
