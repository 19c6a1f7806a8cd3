"""Send a change of an object to its nodes, in one of four ways:

- `plain`: at once to all replicas, and again until no node holds anything newer;
- `decided`: under a lease of the name, if the change depends on the stored state;
- `streamed`: a large body, to all replicas while it comes in; it may be decided, too;
- `renamed`: under the leases of two names, of which the old one is deleted.
"""

from __future__ import annotations

from objstore.cluster.object_change import ObjectChange, Sent
from objstore.cluster.sending import decided, plain, renamed, streamed
from objstore.layers.bodies import ObjectBody

__all__ = ["Sent", "send"]


def send(change: ObjectChange, body: bytes | ObjectBody = b"", limit: int = 0) -> Sent:
    """Send a change, with a complete or a streamed body.

    limit: maximum bytes of a streamed body. Raises PreconditionFailed, Conflict, NodeFailure, InvalidInput, and the
    errors of reading the body. A refusal of the nodes is a status of the outcome.
    """
    if change.rename is not None:
        return renamed.send(change, body, limit)
    if not isinstance(body, bytes):
        return streamed.send(change, body, limit)
    if change.condition is not None:
        return decided.send(change, body)
    return plain.send(change, body)
