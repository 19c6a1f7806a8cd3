"""Bodies: framing, and what was declared of them."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from collections.abc import Callable, Mapping

import pytest
from awscrt import checksums as crt
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.core.errors import BodyTimeout, BodyTruncated
from objstore.layers.bodies import blocks
from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.s3.language import checksums
from objstore.s3.language.errors import S3Error
from objstore.s3.request import declared
from objstore.s3.request.aws_chunked import ChunkDecoder
from objstore.s3.request.body import Payload
from objstore.s3.request.signature.keys import EMPTY_SHA256, Seed, derive

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
ISO, SCOPE = "20240506T070809Z", "20240506/us-east-1/s3/aws4_request"
KEY = derive("secret", "20240506", "us-east-1")
START = "0" * 64
POOL = ThreadPool("test-hash", 2)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def crc32(data: bytes) -> str:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def crc32c(data: bytes) -> str:
    return b64(crt.crc32c(data).to_bytes(4, "big"))


class Slow:
    """A source that gives at most `size` bytes at a time."""

    def __init__(self, data: bytes, size: int = 1 << 20) -> None:
        self._file = io.BytesIO(data)
        self._size = size

    def read_chunk(self, most: int) -> bytes:
        return self._file.read(min(most, self._size))


def payload(data: bytes, headers: Mapping[str, str] | None = None, sha256: str = "", size: int = 1 << 20) -> Payload:
    known = {"Content-Length": str(len(data)), **(headers or {})}
    return Payload(Slow(data, size), declared.read(known, sha256), Seed(KEY, ISO, SCOPE, START), POOL)


def everything(body: Payload) -> bytes:
    """As the proxy reads: until the announced length, or the end."""
    pieces = []
    left = body.length
    while left is None or left > 0:
        piece = body.read_chunk(1 << 20 if left is None else min(left, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        left = None if left is None else left - len(piece)
    return b"".join(pieces)


def failure(read: Callable[[], object]) -> S3Error:
    with pytest.raises(S3Error) as raised:
        read()
    return raised.value


class Chunks:
    """Makes bodies in S3's chunks, signed as its description says."""

    def __init__(self) -> None:
        self.last = START

    def sign(self, kind: str, *parts: str) -> str:
        import hmac

        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", ISO, SCOPE, self.last, *parts])
        self.last = hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
        return self.last

    def signed(self, data: bytes, size: int) -> bytes:
        made = b""
        for start in range(0, len(data) + size, size):
            piece = data[start : start + size]
            signature = self.sign("PAYLOAD", EMPTY_SHA256, hashlib.sha256(piece).hexdigest())
            made += b"%x;chunk-signature=%s\r\n" % (len(piece), signature.encode())
            made += piece + b"\r\n" if piece else b""
            if not piece:
                break
        return made

    def trailer(self, name: str, value: str) -> bytes:
        line = f"{name}:{value}\n"
        signature = self.sign("TRAILER", hashlib.sha256(line.encode()).hexdigest())
        return f"{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()


def unsigned(data: bytes, size: int) -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n"


def decoded_length(data: bytes) -> dict[str, str]:
    return {"X-Amz-Decoded-Content-Length": str(len(data))}


# Plain bodies


@pytest.mark.parametrize("data", [b"", b"hello", b"x" * 3_000_000])
def test_a_body_with_the_declared_hash_is_handed_out(data: bytes) -> None:
    body = payload(data, {"Content-Md5": b64(hashlib.md5(data).digest())}, hashlib.sha256(data).hexdigest())
    body.settle_empty()
    assert everything(body) == data
    assert body.read_chunk() == b""


@pytest.mark.parametrize("data", [b"", b"hello", b"x" * 3_000_000])
def test_a_body_with_another_hash_fails_with_its_last_byte(data: bytes) -> None:
    def read(body: Payload) -> None:
        body.settle_empty()
        everything(body)

    error = failure(lambda: read(payload(data, sha256="0" * 64)))
    assert (error.code, error.extra["ClientComputedContentSHA256"]) == ("XAmzContentSHA256Mismatch", "0" * 64)
    assert error.extra["S3ComputedContentSHA256"] == hashlib.sha256(data).hexdigest()
    assert failure(lambda: read(payload(data, {"Content-Md5": b64(b"0" * 16)}))).code == "BadDigest"
    assert failure(lambda: read(payload(data, {"X-Amz-Checksum-Crc32": "AAAAAQ=="}))).code == "BadDigest"


@pytest.mark.parametrize("name", checksums.ALGORITHMS)
@pytest.mark.parametrize("size", [5, 200_000])
def test_every_checksum_is_verified_and_told(name: str, size: int) -> None:
    data = b"y" * size
    digest = checksums.ALGORITHMS[name].new()
    digest.update(data)
    value = b64(digest.digest())
    body = payload(data, {checksums.header_of(name): value, "X-Amz-Sdk-Checksum-Algorithm": name})
    assert everything(body) == data
    assert next(iter(body.checksums.items())) == (name, value)
    assert body.checksums.get("CRC32C") == (crc32c(data) if name in (*checksums.RARE, "CRC32C") else None)


def test_the_md5_that_the_body_is_compared_with_is_known_before() -> None:
    data = b"hello"
    md5 = hashlib.md5(data).digest()
    for headers in ({"Content-Md5": b64(md5)}, {"X-Amz-Checksum-Md5": b64(md5)}):
        assert payload(data, headers).md5 == md5.hex()
    assert payload(data, {"X-Amz-Checksum-Crc32": crc32(data)}).md5 == ""


def test_a_hash_that_serves_as_a_checksum_too_is_computed_once() -> None:
    data = b"z" * 200_000
    md5, sha = hashlib.md5(data).digest(), hashlib.sha256(data)
    headers = {"Content-Md5": b64(md5), checksums.ANNOUNCEMENT: "MD5"}
    body = payload(data, headers, sha.hexdigest())
    assert everything(body) == data
    assert body.checksums == {"MD5": b64(md5), "CRC32C": crc32c(data)}
    body = payload(data, {"X-Amz-Checksum-Sha256": b64(sha.digest())}, sha.hexdigest())
    assert everything(body) == data
    assert body.checksums == {"SHA256": b64(sha.digest())}
    wrong = payload(data, {**headers, "Content-Md5": b64(b"0" * 16)})
    assert failure(lambda: everything(wrong)).message == "The Content-MD5 you specified did not match what we received."


def by_awscrt(xxhash: crt.XXHash, data: bytes) -> str:
    xxhash.update(data)
    return b64(xxhash.finalize())


def test_known_values_of_checksums() -> None:
    known = {  # of 123456789; the XXHASHes as awscrt computes them
        "CRC32": "y/Q5Jg==",
        "CRC32C": "4waSgw==",
        "CRC64NVME": "rosUhgp5mIg=",
        "MD5": "JfnnlDI7RTiF9RgfG2JNCw==",
        "XXHASH64": by_awscrt(crt.XXHash.new_xxhash64(), b"123456789"),
        "XXHASH3": by_awscrt(crt.XXHash.new_xxhash3_64(), b"123456789"),
        "XXHASH128": by_awscrt(crt.XXHash.new_xxhash3_128(), b"123456789"),
    }
    for name, value in known.items():
        body = payload(b"123456789")
        body.add_checksum(name)
        everything(body)
        assert body.checksums == {name: value}


def test_a_checksum_is_computed_where_it_is_asked_for() -> None:
    output = declared.read({"Content-Length": "5"}, "", default_algorithm="CRC32")
    body = Payload(Slow(b"hello"), output, None, POOL)
    body.add_checksum("SHA1")
    everything(body)
    assert body.checksums == {"CRC32": crc32(b"hello"), "SHA1": b64(hashlib.sha1(b"hello").digest())}


def test_a_body_without_an_announced_length_is_checked_at_its_end() -> None:
    headers = {"Transfer-Encoding": "chunked"}
    for sha256, fails in ((hashlib.sha256(b"abc").hexdigest(), False), ("0" * 64, True)):
        body = Payload(Slow(b"abc"), declared.read(headers, sha256), None, POOL)
        assert body.length is None
        assert body.read_chunk() == b"abc"
        if fails:
            assert failure(body.read_chunk).code == "XAmzContentSHA256Mismatch"
        else:
            assert body.read_chunk() == b""


def test_a_body_without_an_announced_length_has_a_limit() -> None:
    class Gibibyte(bytes):
        def __len__(self) -> int:
            return 1 << 30

    class Endless:
        def read_chunk(self, most: int) -> bytes:
            return Gibibyte()

    body = Payload(Endless(), declared.read({"Transfer-Encoding": "chunked"}, ""), None, POOL)
    error = failure(lambda: [body.read_chunk() for _ in range(6)])
    assert (error.code, error.extra["MaxSizeAllowed"]) == ("EntityTooLarge", str(5 << 30))


def test_a_body_that_ends_early_is_incomplete() -> None:
    body = payload(b"abc", {"Content-Length": "5"})
    assert body.read_chunk() == b"abc"
    assert failure(body.read_chunk).code == "IncompleteBody"


@pytest.mark.parametrize(("raised", "code"), [(BodyTruncated, "IncompleteBody"), (BodyTimeout, "RequestTimeout")])
def test_a_broken_connection_is_an_error_of_s3(raised: type[Exception], code: str) -> None:
    class Broken:
        def read(self, most: int) -> bytes:
            raise raised

    body = Payload(Broken(), declared.read({"Content-Length": "5"}, ""), None, POOL)
    assert failure(body.read_chunk).code == code


def test_the_whole_of_a_body_has_a_limit() -> None:
    assert payload(b"12345").whole(5) == b"12345"
    assert failure(lambda: payload(b"123456").whole(5)).code == "MaxMessageLengthExceeded"
    headers = {"Transfer-Encoding": "chunked"}
    body = Payload(Slow(b"123456", 2), declared.read(headers, ""), None, POOL)
    assert failure(lambda: body.whole(5)).code == "MaxMessageLengthExceeded"
    body = payload(b"12345", sha256=hashlib.sha256(b"12345").hexdigest())
    assert body.whole(10) == body.whole(10) == b"12345"


# Declarations


@pytest.mark.parametrize(
    ("headers", "sha256", "code"),
    [
        ({"Content-Md5": "abc"}, "", "InvalidDigest"),
        ({"Content-Md5": b64(b"0" * 15)}, "", "InvalidDigest"),
        ({"X-Amz-Checksum-Crc32": "AAA="}, "", "InvalidRequest"),
        ({"X-Amz-Checksum-Crc32": "not base64!"}, "", "InvalidRequest"),
        ({"X-Amz-Checksum-Crc32": "AAAAAA==", "X-Amz-Checksum-Sha1": b64(b"0" * 20)}, "", "InvalidRequest"),
        ({"X-Amz-Checksum-Crc16": "AAA="}, "", "InvalidRequest"),
        ({"X-Amz-Sdk-Checksum-Algorithm": "CRC16"}, "", "InvalidRequest"),
        ({"X-Amz-Sdk-Checksum-Algorithm": "SHA1", "X-Amz-Checksum-Crc32": "AAAAAA=="}, "", "InvalidRequest"),
        ({}, "abc", "InvalidArgument"),
        ({}, "STREAMING-AWS4-HMAC-SHA256", "InvalidArgument"),
        ({}, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "NotImplemented"),
        ({}, SIGNED, "MissingContentLength"),
        ({"X-Amz-Decoded-Content-Length": "-1"}, SIGNED, "MissingContentLength"),
        ({"X-Amz-Decoded-Content-Length": "1", "X-Amz-Trailer": "x-amz-meta-a"}, UNSIGNED_TRAILER, "InvalidRequest"),
        (
            {"X-Amz-Decoded-Content-Length": "1", "X-Amz-Trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"},
            UNSIGNED_TRAILER,
            "InvalidRequest",
        ),
        (
            {"X-Amz-Decoded-Content-Length": "1", "X-Amz-Trailer": "x-amz-checksum-crc32",
             "X-Amz-Checksum-Crc32": "AAAAAA=="},
            UNSIGNED_TRAILER,
            "InvalidRequest",
        ),
    ],
)  # fmt: skip
def test_a_malformed_declaration_is_refused(headers: dict[str, str], sha256: str, code: str) -> None:
    assert failure(lambda: declared.read(headers, sha256)).code == code


def test_signed_chunks_need_a_signed_request() -> None:
    output = declared.read({"X-Amz-Decoded-Content-Length": "0"}, SIGNED)
    assert failure(lambda: Payload(Slow(b""), output, None, POOL)).code == "InvalidRequest"


# Chunks


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 70_000), st.integers(8192, 40_000), st.integers(1, 50_000))
def test_signed_chunks_in_any_pieces_are_decoded(length: int, chunk: int, piece: int) -> None:
    data = (b"0123456789abcdef" * (length // 16 + 1))[:length]
    framed = Chunks().signed(data, chunk) + b"\r\n"
    body = payload(framed, decoded_length(data), SIGNED, piece)
    body.settle_empty()
    assert everything(body) == data


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=2000), st.integers(1, 500), st.integers(1, 700), st.booleans())
def test_unsigned_chunks_with_a_trailer_are_decoded(data: bytes, chunk: int, piece: int, empty_line: bool) -> None:
    framed = unsigned(data, chunk) + b"x-amz-checksum-crc32:" + crc32(data).encode() + b"\r\n"
    framed += b"\r\n" if empty_line else b""
    headers = {**decoded_length(data), "X-Amz-Trailer": "x-amz-checksum-crc32"}
    body = payload(framed, headers, UNSIGNED_TRAILER, piece)
    body.settle_empty()
    assert everything(body) == data
    assert body.checksums == {"CRC32": crc32(data)}


def test_a_large_body_in_signed_chunks_is_decoded() -> None:
    data = b"z" * 3_000_000
    body = payload(Chunks().signed(data, 65536) + b"\r\n", decoded_length(data), SIGNED)
    assert everything(body) == data


@pytest.mark.parametrize("at", [100, 70_000, 140_000])
def test_one_byte_changed_in_a_signed_chunk_fails(at: int) -> None:
    data = b"z" * 140_000
    framed = bytearray(Chunks().signed(data, 65536) + b"\r\n")
    framed[at] ^= 1
    body = payload(bytes(framed), decoded_length(data), SIGNED)
    assert failure(lambda: everything(body)).code == "SignatureDoesNotMatch"


def with_trailer(data: bytes, value: str) -> tuple[bytes, dict[str, str]]:
    chunks = Chunks()
    framed = chunks.signed(data, 8192) + chunks.trailer("x-amz-checksum-crc32", value)
    return framed, {**decoded_length(data), "X-Amz-Trailer": "x-amz-checksum-crc32"}


def test_a_signed_trailer_is_verified() -> None:
    data = b"a" * 20_000
    framed, headers = with_trailer(data, crc32(data))
    assert everything(payload(framed, headers, SIGNED_TRAILER)) == data
    assert everything(payload(framed.replace(b"\r\nx-amz-tr", b"\n\r\nx-amz-tr"), headers, SIGNED_TRAILER)) == data
    other, headers = with_trailer(data, crc32(b"other"))
    assert failure(lambda: everything(payload(other, headers, SIGNED_TRAILER))).code == "BadDigest"
    forged = framed.replace(crc32(data).encode(), crc32(b"other").encode())
    assert failure(lambda: everything(payload(forged, headers, SIGNED_TRAILER))).code == "SignatureDoesNotMatch"
    stripped = framed[: framed.index(b"x-amz-trailer-signature")] + b"\r\n"
    assert failure(lambda: everything(payload(stripped, headers, SIGNED_TRAILER))).status in (400, 403)


@pytest.mark.parametrize(
    ("framed", "code"),
    [
        (b"5\r\nhello\r\n", "IncompleteBody"),
        (b"5\r\nhello", "IncompleteBody"),
        (b"5\r\nhel", "IncompleteBody"),
        (b"5\r\nhello!\r\n0\r\n\r\n", "IncompleteBody"),
        (b"x\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"4\r\nhell\r\n0\r\n\r\n", "IncompleteBody"),
        (b"6\r\nhello!\r\n0\r\n\r\n", "IncompleteBody"),
        (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "IncompleteBody"),
        (b"5\r\nhello\r\n0\r\n\r\nmore", "MalformedTrailerError"),
        (b"5" * 2000, "IncompleteBody"),
        (b"5\r\nhello\r\n0\r\n\r\n", "MalformedTrailerError"),
        (b"5\r\nhello\r\n0\r\nx-amz-checksum-sha1:AAAA\r\n\r\n", "MalformedTrailerError"),
        (b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n", "MalformedTrailerError"),
        (b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n", "InvalidRequest"),
        (b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "BadDigest"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_broken_chunks_fail(framed: bytes, code: str, size: int) -> None:
    headers = {"X-Amz-Decoded-Content-Length": "5", "X-Amz-Trailer": "x-amz-checksum-crc32"}
    body = payload(framed, headers, UNSIGNED_TRAILER, size)
    assert failure(lambda: everything(body)).code == code


def test_small_signed_chunks_are_refused_but_for_the_last() -> None:
    data = b"a" * 100
    body = payload(Chunks().signed(data, 50) + b"\r\n", decoded_length(data), SIGNED)
    assert failure(lambda: everything(body)).code == "InvalidChunkSizeError"
    body = payload(Chunks().signed(data, 100) + b"\r\n", decoded_length(data), SIGNED)
    assert everything(body) == data


def test_unsigned_chunks_in_place_of_signed_ones_fail() -> None:
    body = payload(unsigned(b"hello", 5) + b"\r\n", decoded_length(b"hello"), SIGNED)
    assert failure(lambda: everything(body)).code == "IncompleteBody"


@pytest.mark.parametrize("line", [b"x-amz-checksum-crc32:AAAAAA==\r\n", b"x-amz-trailer-signature:0\r\n"])
def test_a_trailer_in_a_framing_without_trailers_is_refused(line: bytes) -> None:
    framing = declared.FRAMINGS["STREAMING-AWS4-HMAC-SHA256-PAYLOAD"]
    decoder = ChunkDecoder(framing, 0)
    with pytest.raises(S3Error) as refused:
        decoder.feed(b"0;chunk-signature=" + b"0" * 64 + b"\r\n" + line + b"\r\n")
    assert refused.value.code == "MalformedTrailerError"


def test_tiny_chunks_leave_others_their_turn() -> None:
    # A megabyte of one-byte chunks kept the event loop for more than a second.
    turns = 0

    def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            green.sleep()

    count = 30_000
    data = b"1\r\na\r\n" * count + b"0\r\nx-amz-checksum-crc32:" + crc32(b"a" * count).encode() + b"\r\n\r\n"
    headers = {
        "X-Amz-Decoded-Content-Length": str(count),
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "Content-Encoding": "aws-chunked",
    }
    body = payload(data, headers, UNSIGNED_TRAILER)
    others = green.spawn(take_turns)
    assert everything(body) == b"a" * count
    green.kill(others)
    assert turns > 15


class Filling(Slow):
    """A source that also fills buffers."""

    def readinto(self, view: memoryview) -> int:
        data = self.read_chunk(len(view))
        view[: len(data)] = data
        return len(data)


def filled(data: bytes, headers: Mapping[str, str] | None = None, sha256: str = "", size: int = 1 << 20) -> Payload:
    known = {"Content-Length": str(len(data)), **(headers or {})}
    return Payload(Filling(data, size), declared.read(known, sha256), Seed(KEY, ISO, SCOPE, START), POOL)


def in_blocks(body: Payload) -> bytes:
    return b"".join(map(bytes, blocks(body, 1 << 30)))


LARGE = bytes(range(251)) * 10_000


@pytest.mark.parametrize("size", [1000, 100_000, 1 << 20])
def test_a_body_received_into_blocks_is_handed_out_and_hashed(size: int) -> None:
    crc = {"X-Amz-Checksum-Crc32": crc32(LARGE), "Content-Md5": b64(hashlib.md5(LARGE).digest())}
    body = filled(LARGE, crc, hashlib.sha256(LARGE).hexdigest(), size)
    assert in_blocks(body) == LARGE
    assert body.checksums == {"CRC32": crc32(LARGE)}


@pytest.mark.parametrize(
    ("headers", "sha256", "code"),
    [
        ({}, "0" * 64, "XAmzContentSHA256Mismatch"),
        ({"Content-Md5": b64(b"0" * 16)}, "", "BadDigest"),
        ({"X-Amz-Checksum-Crc32": "AAAAAQ=="}, "", "BadDigest"),
    ],
)
def test_a_body_received_into_blocks_fails_before_its_last_block(
    headers: Mapping[str, str], sha256: str, code: str
) -> None:
    handed_out: list[memoryview] = []
    body = filled(LARGE, headers, sha256)
    assert failure(lambda: handed_out.extend(blocks(body, 1 << 30))).code == code
    assert sum(map(len, handed_out)) < len(LARGE)


def test_blocks_of_a_body_that_ends_early_are_incomplete() -> None:
    assert failure(lambda: in_blocks(filled(LARGE, {"Content-Length": str(len(LARGE) + 1)}))).code == "IncompleteBody"


def test_a_body_of_unknown_length_in_blocks_is_checked_at_its_end() -> None:
    headers = {"Transfer-Encoding": "chunked"}
    body = Payload(Filling(LARGE), declared.read(headers, hashlib.sha256(LARGE).hexdigest()), None, POOL)
    assert in_blocks(body) == LARGE
    assert body.readinto(memoryview(bytearray(10))) == 0
    other = Payload(Filling(LARGE), declared.read(headers, "0" * 64), None, POOL)
    assert failure(lambda: in_blocks(other)).code == "XAmzContentSHA256Mismatch"


def test_signed_chunks_fill_blocks() -> None:
    framed = Chunks().signed(LARGE, 65536) + b"\r\n"
    assert in_blocks(filled(framed, decoded_length(LARGE), SIGNED)) == LARGE
    damaged = bytearray(framed)
    damaged[1_500_000] ^= 1
    body = filled(bytes(damaged), decoded_length(LARGE), SIGNED)
    assert failure(lambda: in_blocks(body)).code == "SignatureDoesNotMatch"
