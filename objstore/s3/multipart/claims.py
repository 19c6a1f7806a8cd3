"""Claims: who completes an upload, or aborts it. One object for each upload, made and replaced by conditional PUTs.

Its row counts the negative of the object's size, so that the bytes of parts that have become an
object count once. It goes with the parts.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import NamedTuple

from objstore.core.names import Name
from objstore.s3.context import Context
from objstore.s3.errors import S3Error
from objstore.s3.multipart import names, uploads
from objstore.s3.multipart.uploads import Upload
from objstore.s3.native import unexpected
from objstore.s3.request import S3Request

COMPLETING, UNSURE, DONE, ABORTED = "completing", "unsure", "done", "aborted"
# Seconds after which the one who made a claim is taken for dead. No native request takes as long.
LEASE = 300.0
_SIZE = "X-Object-Sysmeta-Container-Update-Override-Size"


class Claim(NamedTuple):
    """state: COMPLETING, UNSURE whether that took effect, DONE or ABORTED. since: in seconds. etag: its own."""

    state: str
    since: float
    size: int
    etag: str

    @property
    def over(self) -> bool:
        """Is no one at work on it any more?"""
        return self.state != COMPLETING or self.since + LEASE < time.time()


def _name(context: Context, request: S3Request, upload: Upload) -> Name:
    return uploads.place(context, request, upload)._replace(object=names.claim(upload.id))


def look(context: Context, request: S3Request, upload: Upload) -> Claim | None:
    """The claim on an upload, None where there is none."""
    answer = context.native.ask(request.environ, "GET", _name(context, request, upload))
    body = answer.read()
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise unexpected(answer.status)
    said = json.loads(body)
    return Claim(said["state"], said["since"], said["size"], answer.headers["Etag"])


def make(
    context: Context, request: S3Request, upload: Upload, state: str, size: int, over: Claim | None = None
) -> Claim | None:
    """Make the claim, in the place of `over` where that is given; None where someone else was faster."""
    since = time.time()
    said = {"state": state, "since": since, "size": size, "by": secrets.token_hex(8)}
    headers = {
        "Content-Type": "application/json",
        _SIZE: str(-size),
        **({"If-Match": over.etag} if over is not None else {"If-None-Match": "*"}),
    }
    answer = context.native.ask(
        request.environ, "PUT", _name(context, request, upload), headers=headers, body=json.dumps(said).encode()
    )
    answer.close()
    if answer.status == 201:
        return Claim(state, since, size, answer.headers["Etag"])
    if answer.status in (404, 409, 412):
        return None
    raise unexpected(answer.status)


def withdraw(context: Context, request: S3Request, upload: Upload, claim: Claim) -> None:
    """Give up a claim that came to nothing; one that another has taken over stays."""
    name = _name(context, request, upload)
    headers = {"If-Match": claim.etag}
    context.native.done(request.environ, "DELETE", name, (204, 404, 409, 412), headers=headers)


def remove(context: Context, request: S3Request, upload: Upload) -> None:
    context.native.done(request.environ, "DELETE", _name(context, request, upload), (204, 404))


def is_aborted(context: Context, request: S3Request, upload: Upload) -> bool:
    """Was the upload aborted before this moment? Of one that was completed it is not so."""
    claim = look(context, request, upload)
    if claim is not None:
        return claim.state == ABORTED
    return uploads.find(context, request, upload.id) is None


def in_progress() -> S3Error:
    return S3Error("OperationAborted")
