"""Errors for the statuses with which nodes refuse."""

from __future__ import annotations

from objstore.core import errors
from objstore.core.names import Name
from objstore.core.timestamps import Timestamp
from objstore.wire import messages
from objstore.wire.messages import NodeResponse

_ERRORS: dict[int, type[errors.ObjstoreError]] = {
    400: errors.InvalidInput,
    403: errors.AccountDeleted,
    404: errors.NotFound,
    408: errors.BodyTimeout,
    409: errors.Conflict,
    410: errors.LifeEnded,
    412: errors.PreconditionFailed,
    422: errors.ChecksumMismatch,
    431: errors.MetadataTooLarge,
    499: errors.BodyTruncated,
    507: errors.NoSpace,
}


def failure(status: int) -> errors.ObjstoreError:
    """Return the error for the status of the majority: InvalidInput or NodeFailure for one that is not in the table."""
    return _ERRORS.get(status, errors.InvalidInput if 400 <= status < 500 else errors.NodeFailure)()


def read_failure(name: Name, response: NodeResponse) -> errors.ObjstoreError:
    """Return the error for an unsuccessful answer to a read of a name."""
    body = response.read()
    if response.status == 404:
        stamp = response.headers.get(messages.STORED_TIMESTAMP)
        deleted = Timestamp.parse(stamp) if stamp else None
        if name.kind == "container":
            return errors.NoContainer(name.path, timestamp=deleted)
        was_account = name.kind == "account" and deleted is not None
        return (errors.AccountDeleted if was_account else errors.NotFound)(name.path, deleted)
    if response.status < 500:
        return errors.InvalidInput(body.decode("utf-8", "replace"))
    return errors.NodeFailure(f"{name.path} cannot be read: {response.status}")
