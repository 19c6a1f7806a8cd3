"""Listings of keys: what ListObjects and ListObjectsV2 have in common.

One more entry than the page holds is asked of the container, so that whether the page is cut
is known and not guessed. The document is text from the start: a page has a thousand times the same elements.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
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


class Asked(NamedTuple):
    """prefix and delimiter: '' for none. after: names up to and with it are passed over. limit: of entries.

    encode: names as they stand in the answer: percent-encoded, or as text of XML.
    """

    prefix: str
    delimiter: str
    after: str
    limit: int
    encode: Callable[[str], str]


class KeysPage(NamedTuple):
    """last: the name to go on after; '' where the listing is at its end."""

    keys: Sequence[Row]
    prefixes: Sequence[str]
    last: str


def asked(request: S3Request, after: str, most: int) -> Asked:
    """Raises S3Error InvalidArgument."""
    query = request.query
    encoding = query.get("encoding-type", "")
    if encoding not in ("", URL):
        extra = {"ArgumentName": "encoding-type", "ArgumentValue": encoding}
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request", extra)
    return Asked(
        query.get("prefix", ""),
        query.get("delimiter", ""),
        after,
        max_entries(query, "max-keys", most),
        url_encoded if encoding else xml.escape,
    )


def max_entries(query: Mapping[str, str], name: str, most: int) -> int:
    """The limit that a query sets, never more than `most`; raises S3Error InvalidArgument."""
    text = query.get(name, "")
    if not text:
        return most
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
    return min(number, most)


def echoed_prefix(prefix: str, encode: Callable[[str], str]) -> str:
    """The prefix as ListObjects says it back: botocore does not decode it there, others do.

    So it is encoded only where that makes a difference to those who decode.
    """
    if encode is url_encoded and not any(special in prefix for special in "%+") and xml.sayable(prefix):
        return xml.escape(prefix)
    return encode(prefix)


def url_encoded(text: str) -> str:
    return quote(text, safe="/")


def page(context: Context, request: S3Request, asked: Asked) -> KeysPage:
    """Raises S3Error NoSuchBucket."""
    bucket = context.buckets.resolve(request, request.bucket)
    if not asked.limit:
        return KeysPage((), (), "")
    # A change of tags is no modification to S3: rows have the dates of the data.
    wanted = Page(asked.prefix, asked.delimiter, asked.after, limit=asked.limit + 1, data_times=True)
    rows = context.layer.list_objects(request.context, bucket, wanted).rows
    cut = len(rows) > asked.limit
    if cut:
        del rows[asked.limit :]
    last = (rows[-1].get("name") or rows[-1]["subdir"]) if cut else ""
    if not asked.delimiter:
        return KeysPage(rows, (), last)
    return KeysPage([row for row in rows if "name" in row], [row["subdir"] for row in rows if "subdir" in row], last)


# The document.


def keys_xml(keys: Iterable[Row], encode: Callable[[str], str], owner: str) -> str:
    """The Contents elements. owner: what stands in each of them, '' or an Owner element."""
    escape = xml.escape
    return "".join(
        [
            f"<Contents><Key>{encode(row['name'])}</Key><LastModified>{listed(row['last_modified'])}</LastModified>"
            f"<ETag>&quot;{escape(row['hash'])}&quot;</ETag><Size>{row['bytes']}</Size>{owner}"
            f"<StorageClass>{row.get('storage_class', 'STANDARD')}</StorageClass></Contents>"
            for row in keys
        ]
    )


def prefixes_xml(prefixes: Iterable[str], encode: Callable[[str], str]) -> str:
    return "".join([f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes])


def owner_xml(account: str) -> str:
    shown = xml.escape(acl_xml.display_name(account))
    return f"<Owner><ID>{xml.escape(account)}</ID><DisplayName>{shown}</DisplayName></Owner>"


def elements(*items: tuple[str, str | int | bool | None]) -> str:
    """Elements whose text is escaped already; None leaves one out."""
    written = []
    for name, value in items:
        if value is None:
            continue
        text = str(value).lower() if isinstance(value, bool) else value
        written.append(f"<{name}>{text}</{name}>")
    return "".join(written)


def document(root: str, content: str) -> bytes:
    # Not strict: names are UTF-8 by the time they are stored.
    return f'{xml.DECLARATION}<{root} xmlns="{xml.NAMESPACE}">{content}</{root}>'.encode()


# Continuation tokens: where to go on, in a form that tells a made-up one from ours.


def token(after: str) -> str:
    data = after.encode()
    return base64.urlsafe_b64encode(zlib.crc32(data).to_bytes(4, "big") + data).decode()


def read_token(text: str) -> str:
    """The name that a token says to go on after; raises S3Error InvalidArgument."""
    try:
        data = base64.b64decode(text, altchars=b"-_", validate=True)
        if len(data) > 4 and zlib.crc32(data[4:]).to_bytes(4, "big") == data[:4]:
            after = data[4:].decode()
            if token(after) == text:  # base64 can say the same in several ways
                return after
    except (binascii.Error, ValueError):
        pass
    extra = {"ArgumentName": "continuation-token", "ArgumentValue": text}
    raise S3Error("InvalidArgument", "The continuation token provided is incorrect", extra)
