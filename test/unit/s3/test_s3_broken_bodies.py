"""Bodies and documents that were changed at random: each is refused as a client's fault, or means what it meant.

The seed is fixed by hypothesis's `derandomize`, so that a run is like the one before.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import BodyTruncated
from objstore.runtime.threads import ThreadPool
from objstore.s3.language import acl_xml, tags, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart import plan
from objstore.s3.operations.object import delete_many
from objstore.s3.request import declared
from objstore.s3.request.aws_chunked import ChunkDecoder
from objstore.s3.request.body import Payload
from objstore.s3.request.declared import FRAMINGS
from objstore.s3.request.signature.keys import EMPTY_SHA256, Seed, derive

POOL = ThreadPool("test-broken", 1)
STAMP, SCOPE, START = "20240506T070809Z", "20240506/us-east-1/s3/aws4_request", "0" * 64
KEY = derive("secret", "20240506", "us-east-1")
UNSIGNED, SIGNED, SIGNED_TRAILER = (
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
)  # fmt: skip
TOKENS = [
    b"\r\n",
    b"\n",
    b"\r",
    b";",
    b"=",
    b":",
    b"0",
    b"-",
    b" ",
    b"\0",
    b"\xff",
    b"0\r\n",
    b"\r\n\r\n",
    b"ffffffffff",
]
DATA = bytes(range(256)) * 40
FAST = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def framed(word: str) -> bytes:
    """DATA in chunks, with a trailer if the framing has one."""
    framing = FRAMINGS[word]
    last = START
    body = b""

    def sign(kind: str, *parts: str) -> str:
        nonlocal last
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", STAMP, SCOPE, last, *parts])
        last = hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
        return last

    for piece in (DATA[:8192], DATA[8192:], b""):
        body += b"%x" % len(piece)
        if framing.signed:
            body += b";chunk-signature=" + sign("PAYLOAD", EMPTY_SHA256, hashlib.sha256(piece).hexdigest()).encode()
        body += b"\r\n" + (piece + b"\r\n" if piece else b"")
    if framing.trailer:
        line = b"x-amz-checksum-crc32:" + base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big"))
        body += line + b"\r\n"
        if framing.signed:
            signature = sign("TRAILER", hashlib.sha256(line + b"\n").hexdigest())
            body += b"x-amz-trailer-signature:" + signature.encode() + b"\r\n"
    return body + b"\r\n"


BODIES = {word: framed(word) for word in FRAMINGS}
# Where a body has its framing: near these, changes do more than spoil the data.
PLACES = {word: sorted({*range(110), *range(8190, 8420), *range(len(body) - 330, len(body))} & set(range(len(body))))
          for word, body in BODIES.items()}  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, whole: bytes, places: list[int]) -> bytes:
    """The bytes with one to four changes: something removed, put in, replaced, repeated or cut off."""
    data = whole
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.sampled_from(places))
        width = draw(st.sampled_from([0, 1, 1, 2, 3, 16]))
        kind = draw(st.sampled_from(["splice", "splice", "repeat", "cut"]))
        if kind == "splice":
            data = data[:at] + draw(st.sampled_from(TOKENS) | st.binary(max_size=3)) + data[at + width :]
        elif kind == "repeat":
            data = data[: at + width] + data[at:]
        else:
            data = data[:at]
    return data


class Source:
    """A body of a known length in pieces of `size`; one that is shorter has broken off."""

    def __init__(self, data: bytes, size: int, length: int) -> None:
        self._file = io.BytesIO(data)
        self._size = size
        self._left = length

    def read_chunk(self, most: int) -> bytes:
        data = self._file.read(min(most, self._size))
        self._left -= len(data)
        if not data and self._left > 0:
            raise BodyTruncated
        return data


def read_whole(word: str, body: bytes, size: int) -> bytes:
    """As the proxy reads. Raises S3Error."""
    headers = {"Content-Length": str(len(body)), "X-Amz-Decoded-Content-Length": str(len(DATA))}
    if FRAMINGS[word].trailer:
        headers["X-Amz-Trailer"] = "x-amz-checksum-crc32"
    source = Source(body, size, len(body))
    payload = Payload(source, declared.read(headers, word), Seed(KEY, STAMP, SCOPE, START, "key", "canonical"), POOL)
    pieces = []
    left = len(DATA)
    while left > 0 and (piece := payload.read_chunk(min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("word", FRAMINGS)
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_a_sound_body_is_read_in_any_pieces(word: str, size: int) -> None:
    assert read_whole(word, BODIES[word], size) == DATA


@pytest.mark.parametrize("word", FRAMINGS)
def test_a_broken_body_never_gives_other_bytes(word: str) -> None:
    @FAST
    @given(changed(BODIES[word], PLACES[word]), st.sampled_from([1 << 20, 8192, 100, 7]))
    def hold(body: bytes, size: int) -> None:
        try:
            data = read_whole(word, body, size)
        except S3Error as refusal:
            assert 400 <= refusal.status < 500, refusal
        else:
            assert data == DATA

    hold()


@pytest.mark.parametrize("word", FRAMINGS)
def test_a_decoder_takes_any_bytes(word: str) -> None:
    @FAST
    @given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=40), max_size=30), st.integers(0, 100))
    def hold(pieces: list[bytes], length: int) -> None:
        decoder = ChunkDecoder(FRAMINGS[word], length)
        try:
            for piece in pieces:
                decoder.feed(piece)
            decoder.end()
        except S3Error as refusal:
            assert 400 <= refusal.status < 500, refusal
        else:
            assert decoder.done

    hold()


# Documents of requests

OBJECT = "<Object><Key>k</Key><VersionId>v</VersionId><ETag>e</ETag><Size>1</Size></Object>"
PART = "<Part><PartNumber>1</PartNumber><ETag>&quot;0123&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
GRANTEE = '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>a</ID></Grantee>'
GRANTS = f"<AccessControlList><Grant>{GRANTEE}<Permission>READ</Permission></Grant></AccessControlList>"
READERS: dict[str, tuple[str, Callable[[bytes], object]]] = {
    "completion": (
        f'<CompleteMultipartUpload xmlns="{xml.NAMESPACE}">{PART}</CompleteMultipartUpload>',
        lambda document: plan.read(document, 10_000),
    ),
    "deletion": (
        f"<Delete><Quiet>true</Quiet>{OBJECT}</Delete>",
        lambda document: delete_many.read(document, 1000),
    ),
    "tags": (
        "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
        lambda document: tags.from_xml(xml.parse(document)),
    ),
    "ACL": (
        f"<AccessControlPolicy><Owner><ID>a</ID></Owner>{GRANTS}</AccessControlPolicy>",
        lambda document: acl_xml.from_xml(document, "a", lambda name: True),
    ),
}
PIECES = [
    b"<", b">", b"</", b"/>", b"&", b"&a;", b"<a/>", b"<!DOCTYPE a>", b"<!-- -->", b"<?a b?>", b"<![CDATA[x]]>",
    b"<Key>", b"</Key>", b"<Part/>", b"<Object/>", b"\0", b"\xff", b"9999999999999999999999", b"-1", b"&#0;", b"&#x1;",
    b' xmlns="x"', b"<x:y/>", "\u0663".encode(), b"1e999",
]  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_sound_document_is_read(name: str) -> None:
    document, read = READERS[name]
    read(document.encode())


@pytest.mark.parametrize("name", READERS)
def test_a_broken_document_is_the_clients_fault(name: str) -> None:
    document, read = READERS[name]
    whole = document.encode()

    @FAST
    @given(st.data())
    def hold(drawn: st.DataObject) -> None:
        broken = whole
        for _ in range(drawn.draw(st.integers(1, 4))):
            at, width = drawn.draw(st.integers(0, len(broken))), drawn.draw(st.sampled_from([0, 0, 1, 5, 20]))
            broken = broken[:at] + drawn.draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + broken[at + width :]
        try:
            read(broken)
        except S3Error as refusal:
            assert 400 <= refusal.status < 502, refusal
            assert refusal.status != 500

    hold()
