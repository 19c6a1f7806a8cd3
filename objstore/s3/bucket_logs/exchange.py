"""The records of one request: of the bucket it addresses, of the keys that it deletes, of the source that it copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from objstore.core.names import Name
from objstore.layers import documents
from objstore.s3.bucket_logs import record
from objstore.s3.bucket_logs.configuration import LOGGING
from objstore.s3.bucket_logs.record import LogRecord
from objstore.s3.bucket_logs.spool import SpooledRecord
from objstore.s3.context import Context
from objstore.s3.request.addressing import Address
from objstore.s3.request.s3_request import DeletedKey, LoggedAccess, S3Request
from objstore.web.context import RequestContext
from objstore.web.requests import Environ

_READS = frozenset({"GetObject", "HeadObject"})
_WRITES = frozenset({"PutObject", "UploadPart"})
_DELETION = "DeleteObjects"


class Exchange(NamedTuple):
    """A request and its answer. request: None if it was refused before its signature was verified.

    region: of the store. started, answered: seconds since the epoch at which it arrived, and at which the answer began.
    error: code of S3, '' for none.
    """

    environ: Environ
    address: Address
    request: S3Request | None
    region: str
    started: float
    answered: float
    status: int
    headers: Mapping[str, str]
    error: str = ""


def unchecked(context: Context, environ: Environ, bucket: str) -> list[LoggedAccess]:
    """Return the access to a bucket of a request that no check of its rights has seen; [] without logging."""
    own = RequestContext.of(environ)
    account = context.buckets.entry(own, bucket).account  # a bucket with logging is registered
    if not account:
        return []
    name = Name(account, bucket)
    info = context.layer.container_info(own, name)
    configuration = documents.read(info.sysmeta, LOGGING) if info.exists else ""
    return [LoggedAccess(name, configuration)] if configuration else []


def entries(
    exchange: Exchange, accesses: list[LoggedAccess], sent: int, ended: float, status: int
) -> Iterator[SpooledRecord]:
    """Yield the entries of an exchange for the spool. accesses: to buckets with logging, at least one.

    sent: bytes of the answer's body. ended: seconds since the epoch. status: of the answer, or of what ended it.
    """
    request = exchange.request
    operation = request.operation if request is not None else ""
    own = next((one for one in accesses if one.name.container == exchange.address.bucket), None)
    if own is not None:
        base = _record(exchange, own.name, sent, ended, status)
        yield _entry(own, base)
        for deleted in request.deleted if request is not None and operation == _DELETION else ():
            yield _entry(own, _of_deleted(base, deleted))
    if operation in record.COPIES:
        source = next((one for one in accesses if one.action.startswith("s3:GetObject")), None)
        if source is not None:
            copied = _record(exchange, source.name, 0, ended, status)
            yield _entry(
                source,
                copied._replace(
                    operation=record.source_operation_name(operation),
                    key=source.key,
                    version_id=source.version,
                    size=-1,
                ),
            )


def _entry(access: LoggedAccess, entry: LogRecord) -> SpooledRecord:
    name = access.name
    return SpooledRecord(name.account, name.container or "", access.configuration, entry.seconds, record.line(entry))


def _of_deleted(base: LogRecord, deleted: DeletedKey) -> LogRecord:
    """Return the record of one key of a DeleteObjects."""
    return base._replace(
        operation=record.DELETED_BY_BATCH,
        key=deleted.key,
        version_id=deleted.version,
        status=deleted.status,
        error=deleted.error,
        sent=0,
        size=-1,
        total=-1,
        turnaround=-1,
    )


def _record(exchange: Exchange, bucket: Name, sent: int, ended: float, status: int) -> LogRecord:
    environ, address, request = exchange.environ, exchange.address, exchange.request
    method = environ["REQUEST_METHOD"]
    operation = request.operation if request is not None else "OptionsObject" if method == "OPTIONS" else ""
    signing = request.signing if request is not None else None
    has_body = method in ("PUT", "POST")
    return LogRecord(
        owner=bucket.account,
        bucket=bucket.container or "",
        seconds=exchange.started,
        remote=environ.get("REMOTE_ADDR", ""),
        requester=request.identity.arn if request is not None else "",
        request_id=environ.get("objstore.trans_id", ""),
        operation=record.operation_name(operation, method, "object" if address.key else "bucket"),
        key=address.key or (request.key if request is not None else ""),
        method=method,
        target=environ.get("objstore.raw_target", ""),
        protocol=environ.get("SERVER_PROTOCOL", ""),
        status=status,
        error=exchange.error,
        sent=sent,
        size=_object_size(exchange, operation),
        total=_milliseconds(exchange.started, ended),
        turnaround=-1 if has_body else _milliseconds(exchange.started, exchange.answered),
        referrer=environ.get("HTTP_REFERER", ""),
        user_agent=environ.get("HTTP_USER_AGENT", ""),
        version_id=request.version_id if request is not None else "",
        signature=signing.version if signing is not None else "",
        cipher=environ.get("SSL_CIPHER", ""),
        authentication=signing.type if signing is not None else "",
        host=environ.get("HTTP_HOST", ""),
        tls=environ.get("SSL_PROTOCOL", ""),
        by_acl=request is not None and request.by_acl,
        region=exchange.region,
    )


def _milliseconds(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))


def _object_size(exchange: Exchange, operation: str) -> int:
    """Return the bytes of the object that was read or written, -1 if that is unknown."""
    if exchange.error or exchange.request is None:
        return -1
    if operation in _WRITES:
        length = exchange.request.body.length
        return -1 if length is None else length
    if operation not in _READS or exchange.status not in (200, 206):
        return -1
    _, _, total = exchange.headers.get("Content-Range", "").rpartition("/")
    size = total or exchange.headers.get("Content-Length", "")
    return int(size) if size.isascii() and size.isdigit() else -1
