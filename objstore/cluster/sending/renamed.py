"""A PUT that renames an object: the old name is deleted with it.

The leases of both names are held while the new name is written and the old one deleted, so that no other change comes
between, and only one of several concurrent renamings succeeds. A reader may see both names for a moment, never neither.
If the proxy is killed in between, both stay.
"""

from __future__ import annotations

import functools

from objstore.cluster.object_change import ObjectChange, Sent
from objstore.cluster.object_rows import send_the_rest, tombstone
from objstore.cluster.sending import streamed
from objstore.cluster.sending.decided import DecidedWrite
from objstore.core.errors import Conflict, InvalidInput, PreconditionFailed
from objstore.core.manifests import REPLACED_SEGMENTS
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import RenameSource
from objstore.web.write_conditions import WriteCondition
from objstore.wire.messages import NodeResponse


def send(change: ObjectChange, body: bytes | ObjectBody, limit: int) -> Sent:
    """Send as `sending.send`. Raises InvalidInput if both names are the same, Conflict if the old object has
    changed."""
    assert change.rename is not None
    renaming = _Renaming(change, change.rename)
    try:
        if isinstance(body, bytes):
            renaming.decide()
            sent = renaming.write.send_taken(body)
        else:
            sent = streamed.PutStream(change, body, limit, renaming.write, renaming.decide).run()
    except BaseException:
        renaming.release()
        raise
    return renaming.finish(sent)


class _Renaming:
    """The change of the new name (`write`), and the deletion of the old one."""

    def __init__(self, change: ObjectChange, rename: RenameSource) -> None:
        if rename.object in ("", change.place.name.object):
            raise InvalidInput("the old and the new name are the same")
        condition = WriteCondition(rename.etag)
        deletion = ObjectChange.of(change.place.beside(rename.object), "DELETE", {}, condition=condition)
        self.write = DecidedWrite(change)
        self._deletion = DecidedWrite(deletion)
        self._in_order = sorted((self.write, self._deletion), key=lambda one: one.change.place.name)

    def decide(self) -> None:
        """Take the leases of both names, always that of the lesser name first, and check both conditions.

        Raises Conflict if the object of the old name has changed, and the errors of `DecidedWrite.decide`.
        """
        first, second = self._in_order
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
                raise Conflict("the object of the old name has changed") from None
            raise

    def finish(self, sent: Sent) -> Sent:
        """Delete the old name after the new one was written; return the result of both."""
        if sent.status != 201:
            self._deletion.release()
            return sent
        deleted = self._deletion.send_taken(b"")
        if deleted.status != 204:
            return sent._replace(written=sent.written._replace(status=503))
        send_the_rest(deleted, functools.partial(tombstone, deleted.change))
        segments = deleted.written.all_of(REPLACED_SEGMENTS)
        answer = NodeResponse(204, {REPLACED_SEGMENTS: ",".join(segments)})
        return sent._replace(written=sent.written.joined(answer))

    def release(self) -> None:
        self._deletion.release()
