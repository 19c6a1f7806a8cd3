"""The one table from core errors to HTTP statuses."""

from __future__ import annotations

from urllib.parse import quote

from objstore.core import errors
from objstore.web.responses import Response, error, unauthorized

# The first class that fits counts: subclasses stand before their bases.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (errors.ChecksumMismatch, 422),
    (errors.TooManyContainers, 403),
    (errors.LimitExceeded, 400),
    (errors.MetadataTooLarge, 431),
    (errors.NotSupported, 501),
    (errors.MalformedHeader, 412),
    (errors.InvalidInput, 400),
    (errors.AccessDenied, 403),
    (errors.NotFound, 404),
    (errors.IsLink, 307),
    (errors.Conflict, 409),
    (errors.LifeEnded, 410),
    (errors.PreconditionFailed, 412),
    (errors.ObjectHeld, 403),
    (errors.NameHeld, 409),
    (errors.RateLimited, 498),
    (errors.AccountBlocked, 497),
    (errors.WritesDisabled, 405),
    (errors.QuotaExceeded, 413),
    (errors.QuotaBusy, 503),
    (errors.NoSpace, 507),
    (errors.DeviceUnavailable, 507),
    (errors.Corrupt, 404),  # quarantined: here it is gone, a peer has another copy
    (errors.BodyTruncated, 499),
    (errors.ClientGone, 499),
    (errors.BodyTimeout, 408),
    (errors.LockTimeout, 503),
    (errors.NodeFailure, 503),
)
_BY_CLASS: dict[type[BaseException], int] = dict(_STATUS)

# Those whose message is of use to the one who sent the request.
_TELLING = (
    errors.InvalidInput,
    errors.ObjectHeld,
    errors.LinkConflict,
    errors.RateLimited,
    errors.AccountBlocked,
    errors.WritesDisabled,
    errors.QuotaExceeded,
)
# Headers with the path of the object that a link leads to.
_TARGET = (
    (errors.IsLink, "Location"),
    (errors.TargetChanged, "Content-Location"),
    (errors.BrokenLink, "Content-Location"),
)


def status_of(failure: BaseException) -> int:
    """The HTTP status of an error; 500 for any that is not of our tree."""
    for kind in type(failure).__mro__:
        status = _BY_CLASS.get(kind)
        if status is not None:
            return status
    return 500


def response_for(failure: BaseException) -> Response:
    headers = {header: location(failure.target) for kind, header in _TARGET if isinstance(failure, kind)}
    if isinstance(failure, errors.AccessDenied):
        headers = {"Content-Location": location(failure.target)} if failure.target else {}
        if not failure.known:
            refusal = unauthorized(failure.account)
            refusal.headers |= headers
            return refusal
    if isinstance(failure, errors.IsLink) and failure.etag:
        headers["X-Symlink-Target-Etag"] = failure.etag
    if isinstance(failure, errors.MalformedHeader):
        return Response(status_of(failure), {"Content-Type": "text/plain"}, str(failure).encode())
    return error(status_of(failure), str(failure) if isinstance(failure, _TELLING) else "", headers)


def location(path: str) -> str:
    """Return the path of a name in URLs of the Swift API."""
    return quote(f"/v1{path}".encode("utf-8", "surrogateescape"))
