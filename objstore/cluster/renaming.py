"""A PUT that gives an object a new name: the old name is deleted in the same stroke.

The leases of both names are held while the new name is written and the old one deleted, so that no
other change comes between, and of several renamings of one object one succeeds. A reader may
see both names for a moment, never neither. If the proxy is killed in between, both stay.
"""

from __future__ import annotations

from urllib.parse import unquote

from objstore.cluster.cluster import Cluster
from objstore.cluster.decided_write import DecidedWrite
from objstore.cluster.object_write import ObjectChange
from objstore.cluster.writes import Written
from objstore.core.errors import Conflict, InvalidInput, PreconditionFailed
from objstore.core.manifests import KEEP_SEGMENTS, REPLACED_SEGMENTS
from objstore.core.names import Name
from objstore.swift.request import ProxyRequest
from objstore.web.write_conditions import RENAME_ETAG, RENAME_SOURCE, WriteCondition
from objstore.wire.messages import NodeResponse


class Renaming:
    """The deletion of the old name. Raises InvalidInput for a name that is none."""

    def __init__(self, cluster: Cluster, request: ProxyRequest, policy: int) -> None:
        headers = request.headers
        target = request.name
        source = unquote(headers[RENAME_SOURCE], errors="surrogateescape")
        if source in ("", target.object):
            raise InvalidInput(f"{RENAME_SOURCE} is not another name")
        self._source = Name(target.account, target.container, source)
        self._target = target
        self._keep = KEEP_SEGMENTS in headers
        asked = {"REQUEST_METHOD": "DELETE"}
        if "HTTP_X_TRANS_ID" in request.environ:
            asked["HTTP_X_TRANS_ID"] = request.environ["HTTP_X_TRANS_ID"]
        self._change = ObjectChange(cluster, ProxyRequest(asked, self._source), policy, {})
        self._deletion = DecidedWrite(self._change, WriteCondition(headers.get(RENAME_ETAG) or "*"))

    def decide(self, write: DecidedWrite) -> None:
        """Hold the leases of both names, always that of the lesser name first, with both conditions true.

        Raises Conflict where the old name is not what it was, and what `write.decide` raises.
        """
        first, second = (self._deletion, write) if self._source < self._target else (write, self._deletion)
        self._decide(first)
        try:
            self._decide(second)
        except BaseException:
            first.release()
            raise

    def _decide(self, write: DecidedWrite) -> None:
        try:
            write.decide()
        except PreconditionFailed:
            if write is self._deletion:
                raise Conflict("the old name is not what it was") from None
            raise

    def send(self, change: ObjectChange, body: bytes) -> Written:
        """Write the new name, with a body at hand; raises as `decide`."""
        change.size = len(body)
        write = DecidedWrite(change, change.condition)
        self.decide(write)
        return write.send_taken("PUT", body)

    def finish(self, written: Written) -> Written:
        """Delete the old name, once the new one is there; what came of both.

        Segments that only the old object had go with it, unless the request says that the new one has them.
        """
        if written.status != 201:
            self._deletion.release()
            return written
        deleted = self._deletion.send_taken("DELETE", b"")
        if deleted.status != 204:
            return written._replace(status=503)
        self._change.tell_the_rest(deleted, self._change.tombstone)
        left = "" if self._keep else deleted.all_of(REPLACED_SEGMENTS)
        return written._replace(answers=[*written.answers, NodeResponse(204, {REPLACED_SEGMENTS: left})])

    def release(self) -> None:
        self._deletion.release()
