"""Errors for the statuses with which nodes refuse."""

from __future__ import annotations

from objstore.core import errors

_ERRORS: dict[int, type[errors.ObjstoreError]] = {
    400: errors.InvalidInput,
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
