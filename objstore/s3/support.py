"""The page doc/s3_support.md: the supported operations of S3, made from the catalog and the operations."""

from __future__ import annotations

from collections.abc import Iterable

from objstore.s3 import members
from objstore.s3.catalog import CATALOG, Documented
from objstore.s3.language import checksums
from objstore.s3.operation import Operation
from objstore.s3.operations import OPERATIONS
from objstore.s3.request import declared
from objstore.s3.request.amz_headers import HEADERS, PREFIXES, Treatment
from objstore.s3.settings import SETTINGS

_HEAD = """\
# Supported operations of the S3 API

Written by `make samples` from the code: do not edit. The answer to an unsupported request is NotImplemented (501),
never a success.

## Operations

All operations in the S3 API reference; {yes} are supported, {partly} in part. If two names have the same request, as
deprecated ones do, both have the same answer.

| operation | request | supported | note |
| --- | --- | --- | --- |
"""
_TAIL = """
## Requests

- Addressing: `/bucket/key`, and `bucket.domain/key` for each domain of the setting `domains`.
- Signatures: version 4 and version 2, in headers, in the query (presigned URLs) and in forms; anonymous requests.
- Payloads: a SHA-256, `UNSIGNED-PAYLOAD`, {payloads}.
- Checksums: {checksums}, and Content-MD5; sent in headers or, except the last, in trailers. An
  object sent without any is stored with its {default}.
- Temporary keys (`x-amz-security-token`) are not supported: InvalidToken.
- Of S3's own headers, these are refused with NotImplemented: {refused}. Ignored, as they have no effect in this store:
  {harmless}. A header that S3 does not document is refused in a request that changes something, and ignored in others
  (setting `unknown_amz_headers`).

## Members of requests

The members of the operations above that are supported, in full or in part. Headers that are refused or ignored are
listed above. A test walks the model of an SDK, and fails at a member that none of the lists has.

- Headers: {http}, {done}, and those that begin with {prefixes}.
- Query parameters: {parameters}.

Elements of documents. One that is refused is answered NotImplemented, or as S3 answers it if S3 refuses it too.

| element | read | refused | ignored |
| --- | --- | --- | --- |
{elements}
## Settings of the filter `s3`

| setting | default | |
| --- | --- | --- |
"""
# Operations that have an answer elsewhere than in a file of `operations`, or that no client requests.
SPECIAL = {
    "OptionsObject": ("yes", "CORS preflight"),
    "ListDirectoryBuckets": ("no", "there are no directory buckets; the request lists the general ones"),
    "CreateSession": ("no", "for directory buckets"),
    "WriteGetObjectResponse": ("no", "there is no Object Lambda"),
}


def document() -> str:
    """Return the text of doc/s3_support.md."""
    rows = [_row(documented, OPERATIONS) for documented in sorted(CATALOG)]
    count = [row[2] for row in rows]
    operations = "".join(_line(row) for row in rows)
    settings = "".join(
        _line((f"`{setting.name}`", f"`{setting.default}`" if setting.default else "", setting.help))
        for setting in SETTINGS
    )
    tail = _TAIL.format(
        payloads=", ".join(f"`{name}`" for name in declared.FRAMINGS),
        checksums=", ".join(checksums.ALGORITHMS),
        default=checksums.DEFAULT,
        refused=_headers(Treatment.REFUSED),
        harmless=_headers(Treatment.HARMLESS),
        http=_names(sorted(members.HTTP_HEADERS)),
        done=_headers(Treatment.DONE),
        prefixes=_names(prefix.lower() for prefix in PREFIXES),
        parameters=_names(sorted(members.QUERY)),
        elements="".join(_line(_element(parent)) for parent in members.ELEMENTS),
    )
    return _HEAD.format(yes=count.count("yes"), partly=count.count("partly")) + operations + tail + settings


def _headers(treatment: Treatment) -> str:
    return _names(name.lower() for name, treated in HEADERS.items() if treated is treatment)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _element(parent: str) -> tuple[str, str, str, str]:
    """Return the row of an element of documents and those within it."""

    def others(treatment: Treatment) -> str:
        found = [path for path, treated in members.OTHER_ELEMENTS.items() if treated is treatment]
        return _names(path.rpartition("/")[2] for path in found if path.rpartition("/")[0] == parent)

    read = _names(members.ELEMENTS[parent].split())
    return f"`{parent}`", read, others(Treatment.REFUSED), others(Treatment.HARMLESS)


def _row(documented: Documented, operations: Iterable[Operation]) -> tuple[str, str, str, str]:
    request = _request(documented)
    if documented.name in SPECIAL:
        return (documented.name, request, *SPECIAL[documented.name])
    for operation in operations:
        if (operation.method, operation.level, operation.subresource, operation.header) == documented[1:]:
            return (documented.name, request, "partly" if operation.note else "yes", operation.note)
    return (documented.name, request, "no", "")


_PATHS = {"service": "/", "bucket": "/bucket", "object": "/bucket/key"}


def _request(documented: Documented) -> str:
    if not documented.method:
        return ""
    query = f"?{documented.subresource}" if documented.subresource else ""
    header = f" with `{documented.header.lower()}`" if documented.header else ""
    return f"`{documented.method} {_PATHS[documented.level]}{query}`{header}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
