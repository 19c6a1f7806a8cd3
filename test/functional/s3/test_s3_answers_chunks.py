"""What S3 answers to bodies in unsigned chunks of its own, and to their trailers."""

from __future__ import annotations

import gzip

import pytest
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, code_of
from harness.s3_answers import ALL, BODY, HASH, OTHER, V4H, Case, ask, check, crc32, parameters, sha256

pytestmark = ONE_DEVICE  # what is decided before a byte is stored

CRC32, TRAILER, CODING = "x-amz-checksum-crc32", "x-amz-trailer", "Content-Encoding"
CUT = "The request body terminated unexpectedly$"
WRONG_COUNT = "You did not provide the number of bytes specified by the Content-Length HTTP header$"
BAD_TRAILER = (
    "The request contained trailing data that was not well-formed or did not conform to our published schema.$"
)
NO_COUNTS = {"NumberBytesExpected": None, "NumberBytesProvided": None}
SIZE = len(BODY)


def chunks(*pieces: bytes, end: bytes = b"\r\n") -> bytes:
    """The chunks, without the last empty line."""
    return b"".join(b"%x" % len(piece) + end + (piece + end if piece else b"") for piece in pieces)


def streamed(length: int = SIZE, **more: str) -> dict[str, str]:
    headers = {HASH: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": str(length)}
    return {CODING: "aws-chunked", **headers, **{name.replace("_", "-"): value for name, value in more.items()}}


def cut(situation: str, body: bytes | list[bytes], length: int = SIZE, **more: str) -> Case:
    return Case(situation, V4H, streamed(length, **more), 400, "IncompleteBody", CUT, NO_COUNTS, body)


def taken(situation: str, body: bytes | list[bytes], **more: str) -> Case:
    return Case(situation, V4H, streamed(**more), 200, body=body)


WHOLE = chunks(BODY, b"") + b"\r\n"
SUM = f"{CRC32}:{crc32(BODY)}".encode()
OTHER_SUM = f"{CRC32}:{crc32(OTHER)}".encode()
TO_TRAILER = chunks(BODY, b"")
HALVES = (BODY[: SIZE // 2], BODY[SIZE // 2 :])


def counted(situation: str, body: bytes, provided: int) -> Case:
    extra: dict[str, str | None] = {"NumberBytesExpected": str(SIZE), "NumberBytesProvided": str(provided)}
    return Case(situation, V4H, streamed(), 400, "IncompleteBody", WRONG_COUNT, extra, body)


FRAMES = [
    taken("right", WHOLE),
    taken("right, several chunks", chunks(*HALVES, b"") + b"\r\n"),
    taken("right, in HTTP chunks", [WHOLE]),
    taken("right, in HTTP chunks of a byte", [bytes([one]) for one in WHOLE]),
    taken("right, no content coding", WHOLE, Content_Encoding=""),
    taken("the last empty line is missing", TO_TRAILER),
    taken("the last empty line is missing, in HTTP chunks", [TO_TRAILER]),
    cut("the last empty line is a lone CR", TO_TRAILER + b"\r"),
    cut("no chunk of size 0", chunks(BODY)),
    cut("no chunk of size 0, in HTTP chunks", [chunks(BODY)]),
    cut("ends inside a chunk", chunks(BODY, b"")[:20]),
    cut("ends inside a chunk, in HTTP chunks", [chunks(BODY, b"")[:20]]),
    cut("no chunks at all", BODY),
    cut("all lines end in CR", chunks(BODY, b"", end=b"\r") + b"\r"),
    cut("all lines end in LF", chunks(BODY, b"", end=b"\n") + b"\n"),
    cut("no line end after the data", b"%x\r\n%s0\r\n" % (SIZE, BODY), SIZE + 7),
    cut("a size with a minus sign", b"-" + WHOLE),
    counted("a chunk of size 0 in mid-stream", chunks(HALVES[0], b"") + b"\r\n" + chunks(HALVES[1], b"") + b"\r\n",
            len(HALVES[0])),
    counted("more data than announced", chunks(BODY * 2, b"") + b"\r\n", 2 * SIZE),
    counted("more data than announced, in chunks", chunks(BODY, BODY, OTHER, b"") + b"\r\n", 2 * SIZE + len(OTHER)),
    Case("right checksum in a header", V4H, streamed(**{CRC32: crc32(BODY)}), 200, body=WHOLE),
    Case("wrong checksum in a header", V4H, streamed(**{CRC32: crc32(OTHER)}), 400, "BadDigest", body=WHOLE),
]  # fmt: skip


def trailing(situation: str, body: bytes, status: int = 200, code: str = "", message: str = "", **more: str) -> Case:
    headers = streamed(**{TRAILER: CRC32, **more})
    return Case(situation, V4H, headers, status, code, message, body=TO_TRAILER + body)


def malformed(situation: str, body: bytes, **more: str) -> Case:
    return trailing(situation, body, 400, "MalformedTrailerError", BAD_TRAILER, **more)


def broken(situation: str, body: bytes) -> Case:
    return trailing(situation, body, 400, "IncompleteBody", CUT)


WRONG = "The CRC32 you specified did not match the calculated checksum.$"
TRAILERS = [
    trailing("sent and right", SUM + b"\r\n\r\n"),
    trailing("sent and right, no empty line", SUM + b"\r\n"),
    trailing("sent and announced", SUM + b"\r\n\r\n", **{"x-amz-sdk-checksum-algorithm": "CRC32"}),
    malformed("not sent", b"\r\n"),
    malformed("not sent, announced", b"\r\n", **{"x-amz-sdk-checksum-algorithm": "CRC32"}),
    malformed("not sent, no empty line", b""),
    malformed("another sent", b"x-amz-checksum-crc32c:AAAAAA==\r\n\r\n"),
    malformed("one more sent", SUM + b"\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n"),
    malformed("a signature that is not asked for", SUM + b"\r\nx-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n"),
    malformed("no line of a trailer", b"nonsense\r\n\r\n"),
    malformed("an empty line before it", b"\r\n" + SUM + b"\r\n\r\n"),
    trailing("wrong", OTHER_SUM + b"\r\n\r\n", 400, "BadDigest", WRONG),
    *(
        trailing(f"no base64: {value}", f"{CRC32}:{value}\r\n\r\n".encode(), 400, "InvalidRequest",
                 "Value for x-amz-checksum-crc32 trailing header is invalid.$")
        for value in ("invalid", "AAAA", "AAAAAB==", "")
    ),
    trailing("sent twice, the last is right", OTHER_SUM + b"\r\n" + SUM + b"\r\n\r\n"),
    trailing("sent twice, the last is wrong", SUM + b"\r\n" + OTHER_SUM + b"\r\n\r\n", 400, "BadDigest", WRONG),
    broken("its line ends in LF", SUM + b"\n\r\n"),
    broken("its line ends in LF, no empty line", SUM + b"\n"),
    broken("its line ends in CR", SUM + b"\r"),
    broken("its line ends in CR, with an empty line", SUM + b"\r\r\n"),
    broken("its line has no end", SUM),
    *(
        trailing(f"followed by {after!r}", SUM + b"\r\n\r\n" + after)
        for after in (b"\r\n", b"\r\n\r\n\r\n", b"junk", b"junk\r\n", OTHER_SUM + b"\r\n", b"x" * 3000)
    ),
    *(
        trailing(f"named {CRC32}{commas!r}", SUM + b"\r\n\r\n", **{TRAILER: CRC32 + commas})
        for commas in (",", ",,", ",,,", ", ")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("form", "case"), parameters(FRAMES + TRAILERS))
def test_a_put_is_answered_as_s3_does(raw: S3, bucket: str, form: str, case: Case) -> None:
    headers = {name: value for name, value in case.headers.items() if value}
    answer = ask(raw, form, "PUT", f"/{bucket}/key", headers, case.body)
    check(case, answer)
    if case.code == "InvalidRequest":
        assert b"invalid</" not in answer.body.replace(b"is invalid.</", b"")
    stored = raw.get(f"/{bucket}/key")
    assert (stored.status, stored.body) == (200, BODY) if case.status == 200 else stored.status == 404
    if case.status == 200:
        assert stored.get("Content-Encoding") is None


@pytest.mark.parametrize(
    ("coding", "kept"),
    [
        ("aws-chunked", None),
        ("AWS-CHUNKED", None),
        ("Aws-Chunked,gzip", "gzip"),
        ("gzip", "gzip"),
        ("aws-chunked, gzip", "gzip"),
        ("gzip,aws-chunked", "gzip"),
        ("foo, aws-chunked, bar", "foo, bar"),
        ("foo,AWS-chunked,bar", "foo, bar"),
    ],
)
def test_the_coding_of_chunks_is_not_the_objects(raw: S3, bucket: str, coding: str, kept: str | None) -> None:
    data = gzip.compress(BODY)
    headers = streamed(len(data), Content_Encoding=coding)
    assert ask(raw, "V4h", "PUT", f"/{bucket}/key", headers, chunks(data, b"") + b"\r\n").status == 200
    stored = raw.get(f"/{bucket}/key")
    assert (stored.body, stored["Content-Length"], stored.get("Content-Encoding")) == (data, str(len(data)), kept)


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("coding", ["aws-chunked", "aws-chunked,gzip"])
def test_the_coding_of_chunks_is_kept_with_a_body_that_is_not_in_chunks(
    raw: S3, bucket: str, form: str, coding: str
) -> None:
    headers = {CODING: coding, HASH: sha256(BODY)}
    assert ask(raw, form, "PUT", f"/{bucket}/key", headers, BODY).status == 200
    stored = raw.get(f"/{bucket}/key")
    assert (stored.body, stored["Content-Encoding"]) == (BODY, coding)


def test_an_anonymous_upload_in_chunks(raw: S3, bucket: str) -> None:
    assert raw.put(f"/{bucket}?acl=", b"", {"x-amz-acl": "public-read-write"}).status == 200
    target, body = f"/{bucket}/key", TO_TRAILER + SUM + b"\r\n\r\n"
    headers = {"Host": raw.host, "x-amz-acl": "public-read", **streamed(**{TRAILER: CRC32})}
    assert raw.send("PUT", target, headers, body).status == 200
    assert raw.send("GET", target).body == BODY
    del headers[HASH]  # nothing then says that the body is in chunks: it is not stored with its framing
    assert code_of(raw.send("PUT", target, headers, body)) == (400, "MalformedTrailerError")


def test_the_connection_goes_on_behind_what_was_ignored(raw: S3, bucket: str) -> None:
    """Bytes behind the last empty line are of that request, and not the next one."""
    for after in (b"", b"junk", b"GET / HTTP/1.1\r\n\r\n"):
        assert ask(raw, "V4h", "PUT", f"/{bucket}/key", streamed(), WHOLE + after).status == 200
        assert raw.get(f"/{bucket}/key").body == BODY
