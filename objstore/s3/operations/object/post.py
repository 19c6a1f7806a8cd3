"""PostObject: an upload by a browser's form, read by `form_upload`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from objstore.s3.context import Context
from objstore.s3.data import object_headers
from objstore.s3.data.object_store import ObjectUpload
from objstore.s3.language import checksums, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operation import Operation
from objstore.s3.operations import objects
from objstore.s3.request import form_upload
from objstore.s3.request.s3_request import S3Request
from objstore.web.responses import Response

_NO_FORM = "Bucket POST must be of the enclosure-type multipart/form-data"


def post(context: Context, request: S3Request) -> Response:
    fields: Mapping[str, str] | None = request.environ.get(form_upload.FIELDS)
    if fields is None:
        raise S3Error("PreconditionFailed", extra={"Condition": _NO_FORM})
    name = objects.name_of(context, request)
    stored = objects.upload_headers(context, request)
    if not request.body.algorithm:
        request.body.add_checksum(checksums.DEFAULT)

    def late() -> dict[str, str]:
        checksum = objects.checksum_of(request)
        return {object_headers.CHECKSUM: checksum.dump()} if checksum is not None else {}

    written = context.objects.write(request, name, ObjectUpload(stored, request.body, late))
    checksum = objects.checksum_of(request)
    headers = {
        "ETag": f'"{written.etag}"',
        **(checksum.headers() if checksum is not None else {}),
        **objects.version_header(written.version_id),
        **object_headers.encryption(stored),
    }
    return _answer(request, fields, headers)


def _answer(request: S3Request, fields: Mapping[str, str], headers: dict[str, str]) -> Response:
    """Return the answer that the form requests: a redirect, 200, 201 with a document, or 204."""
    redirect = _redirect(fields, request, headers["ETag"])
    if redirect:
        return Response(303, {**headers, "Location": redirect})
    location = f"{_here(request)}/{quote(request.key, safe='/-_.~')}"
    headers["Location"] = location
    status = fields.get("success_action_status", "")
    if status == "201":
        content = [("Location", location), ("Bucket", request.bucket), ("Key", request.key), ("ETag", headers["ETag"])]
        page = xml.document("PostResponse", content, namespace="")
        return Response(201, {**headers, "Content-Type": "application/xml"}, page)
    return Response(200 if status == "200" else 204, headers)


def _here(request: S3Request) -> str:
    """Return the URL to which the form was sent."""
    environ = request.environ
    path = environ["objstore.raw_target"].partition("?")[0].rstrip("/")
    return f"{environ['wsgi.url_scheme']}://{request.header('Host')}{path}"


def _redirect(fields: Mapping[str, str], request: S3Request, etag: str) -> str:
    """Return the URL of the redirect; '' if the form has none, or no valid one."""
    url = fields.get("success_action_redirect") or fields.get("redirect", "")
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc or any(ord(one) < 33 for one in url):
        return ""
    added = urlencode({"bucket": request.bucket, "key": request.key, "etag": etag}, quote_via=quote)
    return parts._replace(query=f"{parts.query}&{added}" if parts.query else added).geturl()


OPERATIONS = (Operation("PostObject", "POST", "bucket", post, "s3:PutObject"),)
