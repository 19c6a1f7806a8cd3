"""Listings of keys: the common part of ListObjects and ListObjectsV2.

One more entry than the page holds is requested from the container, to know whether the page is truncated.
The document is text from the start: a page has a thousand times the same elements.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from objstore.layers.interface import Page
from objstore.s3.context import Context
from objstore.s3.language import acl_xml, xml
from objstore.s3.language.dates import listed
from objstore.s3.language.errors import S3Error
from objstore.s3.request.s3_request import S3Request

URL = "url"
_LARGEST = (1 << 31) - 1

Row = Mapping[str, Any]


class Selection(NamedTuple):
    """The entries that a request lists. prefix and delimiter: '' for none. limit: of entries.

    after: names up to and including it are skipped. encode: returns a name as written in the answer: percent-encoded,
    or as text of XML.
    """

    prefix: str
    delimiter: str
    after: str
    limit: int
    encode: Callable[[str], str]


class KeysPage(NamedTuple):
    """A page of keys. last: the name after which the next page begins; '' at the end of the listing."""

    keys: Sequence[Row]
    prefixes: Sequence[str]
    last: str


def selection(request: S3Request, after: str, limit: int) -> Selection:
    """Return the selection of a request. limit: of the settings. Raises S3Error InvalidArgument."""
    query = request.query
    encoding = query.get("encoding-type", "")
    if encoding not in ("", URL):
        extra = {"ArgumentName": "encoding-type", "ArgumentValue": encoding}
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request", extra)
    return Selection(
        query.get("prefix", ""),
        query.get("delimiter", ""),
        after,
        max_entries(query, "max-keys", limit),
        url_encoded if encoding else xml.escape,
    )


def max_entries(query: Mapping[str, str], name: str, limit: int) -> int:
    """Return the limit that a query sets, up to `limit`. Raises S3Error InvalidArgument."""
    text = query.get(name, "")
    if not text:
        return limit
    try:
        number = int(text) if text.isascii() and len(text) <= 20 and "_" not in text else None
    except ValueError:
        number = None
    if number is None or number > _LARGEST:
        extra = {"ArgumentName": name, "ArgumentValue": text}
        raise S3Error("InvalidArgument", f"Provided {name} not an integer or within integer range", extra)
    if number < 0:
        extra = {"ArgumentName": name, "ArgumentValue": text}
        raise S3Error("InvalidArgument", f"Argument {name} must be an integer between 0 and {_LARGEST}", extra)
    return min(number, limit)


def echoed_prefix(prefix: str, encode: Callable[[str], str]) -> str:
    """Return the prefix as ListObjects repeats it: botocore does not decode it there, other clients do.

    Therefore it is encoded only if clients that decode need it.
    """
    if encode is url_encoded and not any(special in prefix for special in "%+") and xml.sayable(prefix):
        return xml.escape(prefix)
    return encode(prefix)


def url_encoded(text: str) -> str:
    return quote(text, safe="/")


def page(context: Context, request: S3Request, selection: Selection) -> KeysPage:
    """Return the page of a selection. Raises S3Error NoSuchBucket."""
    bucket = context.buckets.resolve(request, request.bucket)
    if not selection.limit:
        return KeysPage((), (), "")
    # For S3 a change of tags is not a modification: rows have the dates of the data.
    prefix, delimiter, after, limit, _ = selection
    native = Page(prefix, delimiter, after, limit=limit + 1, data_times=True)
    rows = context.layer.list_objects(request.context, bucket, native).rows
    cut = len(rows) > selection.limit
    if cut:
        del rows[selection.limit :]
    last = (rows[-1].get("name") or rows[-1]["subdir"]) if cut else ""
    if not selection.delimiter:
        return KeysPage(rows, (), last)
    return KeysPage([row for row in rows if "name" in row], [row["subdir"] for row in rows if "subdir" in row], last)


# The document.


def as_read(row: Row) -> tuple[str, int]:
    """Return the entity tag, without quotes, and the size of a row, as reads show them.

    Of a large object they are those of the whole, and of a static link those of its target.
    """
    if len(row) == 5 or (len(row) == 6 and "checksum" in row):  # an object that is shown as it is
        return row["hash"], row["bytes"]
    etag = row["slo_etag"][1:-1] if "slo_etag" in row else row.get("symlink_etag") or row["hash"]
    return etag, row.get("symlink_bytes", row["bytes"])


def keys_xml(keys: Iterable[Row], encode: Callable[[str], str], owner: str) -> str:
    """Return the Contents elements. owner: '' or the Owner element of each."""
    escape = xml.escape
    return "".join(
        [
            f"<Contents><Key>{encode(row['name'])}</Key><LastModified>{listed(row['last_modified'])}</LastModified>"
            f"<ETag>&quot;{escape(etag)}&quot;</ETag>{checksum_xml(row.get('checksum', ''))}<Size>{size}</Size>{owner}"
            f"<StorageClass>{row.get('storage_class', 'STANDARD')}</StorageClass></Contents>"
            for row in keys
            for etag, size in (as_read(row),)
        ]
    )


@lru_cache(maxsize=64)  # a few algorithms, and texts that no writer of ours makes
def checksum_xml(checksum: str) -> str:
    """Return the elements about the checksum of a row (`core.listed_types`), '' for none."""
    if not checksum:
        return ""
    algorithm, composite, _ = checksum.partition("/")
    kind = "COMPOSITE" if composite else "FULL_OBJECT"
    return f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"


def prefixes_xml(prefixes: Iterable[str], encode: Callable[[str], str]) -> str:
    return "".join([f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes])


def owner_xml(account: str) -> str:
    shown = xml.escape(acl_xml.display_name(account))
    return f"<Owner><ID>{xml.escape(account)}</ID><DisplayName>{shown}</DisplayName></Owner>"


def elements(*items: tuple[str, str | int | bool | None]) -> str:
    """Return elements whose text is already escaped; one with None is omitted."""
    texts = []
    for name, value in items:
        if value is None:
            continue
        text = str(value).lower() if isinstance(value, bool) else value
        texts.append(f"<{name}>{text}</{name}>")
    return "".join(texts)


def document(root: str, content: str) -> bytes:
    # Not strict: stored names are UTF-8.
    return f'{xml.DECLARATION}<{root} xmlns="{xml.NAMESPACE}">{content}</{root}>'.encode()


# Continuation tokens: the last name of a page, with a checksum that detects other texts.


def token(after: str) -> str:
    data = after.encode()
    return base64.urlsafe_b64encode(zlib.crc32(data).to_bytes(4, "big") + data).decode()


def read_token(text: str) -> str:
    """Return the name after which a listing continues, from its token. Raises S3Error InvalidArgument."""
    try:
        data = base64.b64decode(text, altchars=b"-_", validate=True)
        if len(data) > 4 and zlib.crc32(data[4:]).to_bytes(4, "big") == data[:4]:
            after = data[4:].decode()
            if token(after) == text:  # several base64 texts can have the same content
                return after
    except (binascii.Error, ValueError):
        pass
    extra = {"ArgumentName": "continuation-token", "ArgumentValue": text}
    raise S3Error("InvalidArgument", "The continuation token provided is incorrect", extra)
