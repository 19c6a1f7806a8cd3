"""Configuration documents of buckets: read from the container, stored in it, and sent to clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from objstore.core.names import Name
from objstore.layers import documents
from objstore.s3.buckets.registry import no_such
from objstore.s3.context import Context
from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

CORS = "cors"
TAGGING = "tagging"
VERSIONING = "versioning"
WEBSITE = "website"


def read(context: Context, request: S3Request, kind: str) -> str:
    """Return the document of a kind of the request's bucket, '' for none; raises S3Error NoSuchBucket."""
    name = context.buckets.resolve(request, request.bucket)
    info = context.layer.container_info(request.context, name)
    if not info.exists:
        raise no_such(request.bucket)
    return documents.read(info.sysmeta, kind)


def read_or(context: Context, request: S3Request, kind: str, missing: str) -> str:
    """Return the same; raises S3Error with the code `missing` if there is no document."""
    document = read(context, request, kind)
    if not document:
        raise S3Error(missing, "", {"BucketName": request.bucket})
    return document


def keep(context: Context, request: S3Request, kind: str, document: str) -> None:
    """Store a document of the request's bucket; '' removes it. Raises S3Error NoSuchBucket, InvalidRequest."""
    name = context.buckets.resolve(request, request.bucket)
    documents.keep(context.layer, request.context, name, kind, document)


def deletion(kind: str) -> Callable[[Context, S3Request], Response]:
    """Return the handler of the operation that removes documents of a kind."""

    def delete(context: Context, request: S3Request) -> Response:
        keep(context, request, kind, "")
        return Response(204)

    return delete


def registered_name(context: Context, request: S3Request) -> Name:
    """Return the name of the request's bucket, registered first: for a change that concerns other accounts."""
    name = context.buckets.resolve(request, request.bucket)
    context.buckets.register(request, name)
    return name


def request_xml(context: Context, request: S3Request, root: str, limit: int | None = None) -> Any:
    """Return the root of the request's document. limit: of its size in bytes, if S3 has one.

    Raises S3Error MissingRequestBodyError, MaxMessageLengthExceeded, MalformedXML.
    """
    max_size = context.settings.max_xml_body
    body = request.body.whole(max_size if limit is None else min(limit, max_size))
    if not body:
        raise S3Error("MissingRequestBodyError")
    return xml.parse(body, root)


def answer(document: bytes, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/xml"}, document)
