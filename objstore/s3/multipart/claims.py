"""Claims: the decision who completes an upload, or aborts it.

A claim is one object for each upload, made and replaced by conditional PUTs. Its row counts the negative of the
object's size, so that the bytes of parts that have become an object count once. It is removed after the parts.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import NamedTuple

from objstore.core.errors import Conflict, NotFound, PreconditionFailed
from objstore.core.listed import LISTED_SIZE
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import DeleteOptions, PutOptions, ReadOptions
from objstore.s3.context import Context
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import names, uploads
from objstore.s3.multipart.uploads import MultipartUpload
from objstore.s3.request.s3_request import S3Request
from objstore.web.write_conditions import WriteCondition

COMPLETING, UNSURE, DONE, ABORTED = "completing", "unsure", "done", "aborted"
# Seconds after which the owner of a claim is treated as dead. No write takes as long.
LEASE = 300.0


class Claim(NamedTuple):
    """A claim on an upload.

    state: COMPLETING, UNSURE whether that took effect, DONE or ABORTED. since: seconds since the epoch. size: of the
    object, in bytes. etag: of the claim.
    """

    state: str
    since: float
    size: int
    etag: str

    @property
    def over(self) -> bool:
        """True if its owner has finished or is dead."""
        return self.state != COMPLETING or self.since + LEASE < time.time()


def _name(context: Context, request: S3Request, upload: MultipartUpload) -> Name:
    return uploads.place(context, request, upload)._replace(object=names.claim(upload.id))


def read(context: Context, request: S3Request, upload: MultipartUpload) -> Claim | None:
    """Return the claim on an upload, None if there is none."""
    try:
        stored = context.layer.open(request.context, _name(context, request, upload), ReadOptions())
    except NotFound:
        return None
    claim = json.loads(stored.read())
    return Claim(claim["state"], claim["since"], claim["size"], stored.headers["Etag"])


def make(
    context: Context, request: S3Request, upload: MultipartUpload, state: str, size: int, replaced: Claim | None = None
) -> Claim | None:
    """Make the claim, or replace `replaced` by it; return None if another request was faster."""
    since = time.time()
    document = {"state": state, "since": since, "size": size, "by": secrets.token_hex(8)}
    headers = {"Content-Type": "application/json", LISTED_SIZE: str(-size)}
    condition = WriteCondition(None, "*") if replaced is None else WriteCondition(replaced.etag)
    body = BytesBody(json.dumps(document).encode())
    try:
        result = context.layer.put(
            request.context,
            _name(context, request, upload),
            PutOptions(headers, condition=condition, unlimited=True),
            body,
        )
    except (NotFound, Conflict, PreconditionFailed):
        return None
    return Claim(state, since, size, result.etag)


def withdraw(context: Context, request: S3Request, upload: MultipartUpload, claim: Claim) -> None:
    """Remove a claim whose operation failed; one that another request has taken stays."""
    name = _name(context, request, upload)
    try:
        context.layer.delete(request.context, name, DeleteOptions(condition=WriteCondition(claim.etag)))
    except (NotFound, Conflict, PreconditionFailed):
        pass


def remove(context: Context, request: S3Request, upload: MultipartUpload) -> None:
    uploads.drop(context, request, _name(context, request, upload))


def is_aborted(context: Context, request: S3Request, upload: MultipartUpload) -> bool:
    """Return whether the upload was aborted before this moment. False for a completed one."""
    claim = read(context, request, upload)
    if claim is not None:
        return claim.state == ABORTED
    return uploads.find(context, request, upload.id) is None


def in_progress() -> S3Error:
    return S3Error("OperationAborted")
