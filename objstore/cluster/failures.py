"""What nodes refuse, as errors."""

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
    """The error for the status that most nodes gave; NodeFailure for one that says nothing of the operation itself."""
    return _ERRORS.get(status, errors.NodeFailure)()
