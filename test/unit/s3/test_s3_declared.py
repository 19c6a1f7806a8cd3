"""What headers declare of a body: which declarations count, which are refused, and in which order."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from objstore.s3.language import checksums
from objstore.s3.language.errors import S3Error
from objstore.s3.request import declared
from objstore.s3.request.declared import PLAIN

CRC32, CRC32C, SHA1 = "X-Amz-Checksum-Crc32", "X-Amz-Checksum-Crc32C", "X-Amz-Checksum-Sha1"
SDK, TRAILER = checksums.ANNOUNCEMENT, "X-Amz-Trailer"
VALUE = "AAAAAA=="
MD5 = {"Content-Md5": base64.b64encode(bytes(16)).decode()}
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
WORDS = [*declared.FRAMINGS, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"]
PLAIN_LENGTH = {"Content-Length": "5"}
STREAMED = {"Content-Length": "50", "X-Amz-Decoded-Content-Length": "5"}

ONE = "Expecting a single x-amz-checksum- header"
SEVERAL = f"{ONE}. Multiple checksum Types are not allowed."
UNKNOWN = "The algorithm type you specified in x-amz-checksum- header is invalid."
UNSUPPORTED = "The value specified in the x-amz-trailer header is not supported"
OTHER = "Value for x-amz-sdk-checksum-algorithm header is invalid."


def failure(headers: Mapping[str, str], payload: str = "", words: bool = True) -> S3Error:
    with pytest.raises(S3Error) as raised:
        declared.read(headers, payload, words)
    return raised.value


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({SDK: "CRC32"}, "x-amz-sdk-checksum-algorithm specified, but no"),
        ({SDK: "CRC32", **MD5}, "x-amz-sdk-checksum-algorithm specified, but no"),
        ({SDK: "MD5"}, "x-amz-sdk-checksum-algorithm specified, but no"),
        ({SDK: "CRC16"}, OTHER),
        ({SDK: ""}, OTHER),
        ({SDK: "SHA1", CRC32: VALUE}, OTHER),
        ({SDK: "MD5", CRC32: VALUE, **MD5}, OTHER),
        ({"X-Amz-Checksum-Bad": VALUE}, UNKNOWN),
        ({"X-Amz-Checksum-Bad": VALUE, CRC32: VALUE}, UNKNOWN),
        ({CRC32: VALUE, CRC32C: VALUE}, SEVERAL),
        ({CRC32: VALUE, CRC32C: VALUE, SDK: "SHA1"}, SEVERAL),
        ({CRC32: VALUE, CRC32C: VALUE, TRAILER: CRC32}, SEVERAL),
        ({CRC32: VALUE, TRAILER: CRC32}, ONE),
        ({CRC32: VALUE, TRAILER: CRC32C, SDK: "SHA1"}, ONE),
        ({CRC32: VALUE, TRAILER: f"{CRC32},{CRC32}"}, SEVERAL),
        ({CRC32: VALUE, TRAILER: f"{CRC32}, {SHA1}", SDK: "SHA1"}, SEVERAL),
        ({CRC32: "AAAAAB=="}, "Value for x-amz-checksum-crc32 header is invalid."),
        ({CRC32C: "AAA="}, "Value for x-amz-checksum-crc32c header is invalid."),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_checksum_that_is_declared_wrongly_is_refused(headers: dict[str, str], message: str, streamed: bool) -> None:
    more, payload = (STREAMED, UNSIGNED_TRAILER) if streamed else (PLAIN_LENGTH, "")
    error = failure({**more, **headers}, payload)
    assert error.code == "InvalidRequest"
    assert error.message == message or (message.endswith("but no") and error.message.startswith(message))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CRC32, CRC32),
        (f" {CRC32.lower()} ", CRC32),
        (f"{CRC32},", CRC32),
        (f"{CRC32},,, ", CRC32),
        ("", ""),
        (" ", ""),
        (",", UNSUPPORTED),
        (f",{CRC32}", UNSUPPORTED),
        (f"{CRC32}, ,", UNSUPPORTED),
        (f"{CRC32},foo", UNSUPPORTED),
        ("content-md5", UNSUPPORTED),
        (f"{CRC32},{SHA1}", SEVERAL),
    ],
)
def test_the_names_of_trailers(text: str, expected: str) -> None:
    headers = {**STREAMED, TRAILER: text}
    if expected in ("", CRC32):
        output = declared.read(headers, UNSIGNED_TRAILER)
        assert (output.trailer, output.algorithm) == (expected, "CRC32" if expected else "")
    else:
        assert failure(headers, UNSIGNED_TRAILER).message == expected


@pytest.mark.parametrize("payload", ["", "UNSIGNED-PAYLOAD", "0" * 64, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"])
@pytest.mark.parametrize("more", [{}, {SDK: "CRC32"}, {SDK: "nonsense"}])
def test_a_trailer_of_a_body_that_can_have_none_is_malformed(payload: str, more: dict[str, str]) -> None:
    assert failure({**STREAMED, TRAILER: CRC32, **more}, payload).code == "MalformedTrailerError"


def test_an_announced_md5_comes_as_content_md5() -> None:
    output = declared.read({**PLAIN_LENGTH, SDK: "MD5", **MD5}, "")
    assert (output.algorithm, output.checksum, bool(output.md5)) == ("MD5", b"", True)


def test_an_algorithm_that_is_asked_for_gives_way_to_the_one_that_is_sent() -> None:
    assert declared.read(PLAIN_LENGTH, "", default_algorithm="CRC32C").algorithm == "CRC32C"
    assert declared.read({**PLAIN_LENGTH, CRC32: VALUE}, "", default_algorithm="CRC32C").algorithm == "CRC32"


# Hashes and lengths


@pytest.mark.parametrize("word", ["invalid", "INVALID", "unsigned-payload", "0" * 63, "0" * 65, "\udcff"])
def test_a_word_that_means_nothing_is_a_hash_that_differs_unless_words_are_read(word: str) -> None:
    assert failure(PLAIN_LENGTH, word).code == "InvalidArgument"
    assert declared.read(PLAIN_LENGTH, word, words=False).sha256 == word


@pytest.mark.parametrize("word", WORDS)
def test_a_streaming_word_is_a_hash_that_differs_unless_words_are_read(word: str) -> None:
    output = declared.read({**STREAMED, "Content-Length": "5"}, word, words=False)
    assert (output.framing, output.length, output.sha256) == (PLAIN, 5, word)
    error = failure(STREAMED, word, words=False)
    assert (error.code, error.extra) == (
        "IncompleteBody",
        {"NumberBytesExpected": "5", "NumberBytesProvided": "50"},
    )
    for length in ("", "x", "-1", "1.0", "1" * 30):
        headers = {**PLAIN_LENGTH, "X-Amz-Decoded-Content-Length": length}
        assert failure(headers, word, words=False).code == "MissingContentLength"
    assert failure(PLAIN_LENGTH, word, words=False).code == "MissingContentLength"


def test_a_hash_keeps_its_case_for_the_error() -> None:
    assert declared.read(PLAIN_LENGTH, "A" * 64).sha256 == "A" * 64


def test_a_malformed_hash_comes_before_a_malformed_md5_only_if_words_are_read() -> None:
    headers = {**PLAIN_LENGTH, "Content-Md5": "x"}
    assert failure(headers, "invalid").code == "InvalidArgument"
    assert failure(headers, "invalid", words=False).code == "InvalidDigest"


# What the query of a presigned URL names


def test_a_checksum_of_nothing_in_a_query_is_left_out_and_names_an_algorithm() -> None:
    nothing = {CRC32: "AAAAAA==", SDK: "CRC32"}
    query = {"X-Amz-Acl": "private", "X-Amz-Checksum-Algorithm": "CRC32", TRAILER: CRC32, **nothing}
    assert checksums.of_url(query) == {"X-Amz-Acl": "private", "X-Amz-Checksum-Algorithm": "CRC32"}
    assert checksums.declared_algorithm(query) == "CRC32"
    assert checksums.declared_algorithm({SHA1: "x"}) == "SHA1"
    assert checksums.of_url({SHA1: checksums.of_nothing("SHA1"), "X-Amz-Acl": "private"}) == {"X-Amz-Acl": "private"}
    assert checksums.declared_algorithm({SDK: "nonsense", "X-Amz-Checksum-Bad": "x"}) == ""


@pytest.mark.parametrize("name", [CRC32, "X-Amz-Checksum-Bad"])
def test_a_checksum_of_content_in_a_query_counts(name: str) -> None:
    """It was left out too, so that a URL made for one content took any."""
    query = {TRAILER: CRC32, name: "y/Q5Jg==", SDK: "CRC32"}
    assert checksums.of_url(query) == {name: "y/Q5Jg==", SDK: "CRC32"}
