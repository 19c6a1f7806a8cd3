"""Bodies on the wire: chunks of S3's own, hashes, checksums, and what becomes of an upload that is not what it said."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import time
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import exchange
from harness.s3 import S3, Signer, code_of, error_of
from harness.store import Store

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY = hashlib.sha256(b"").hexdigest()
SIZES = (0, 5, 70_000, 3_000_000)  # of which the proxy streams only the last


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def crc32(data: bytes) -> str:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def data_of(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


class Streamed:
    """An upload in chunks that are signed one after the other."""

    def __init__(self, raw: S3, target: str, data: bytes, payload: str, headers: dict[str, str]) -> None:
        self.raw = raw
        self.target = target
        self.stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        sent = {"Host": raw.host, "Content-Encoding": "aws-chunked", **headers}
        sent["x-amz-decoded-content-length"] = str(len(data))
        self.headers = raw.signer.headers("PUT", target, sent, payload, self.stamp)
        self.last = self.headers["Authorization"].rpartition("=")[2]
        self.body = b""
        for start in range(0, len(data) + 65536, 65536):
            self.add(data[start : start + 65536])
            if start >= len(data):
                break

    def sign(self, kind: str, *parts: str) -> str:
        signer: Signer = self.raw.signer
        day = self.stamp[:8]
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", self.stamp, signer.scope(day), self.last, *parts])
        self.last = hmac.new(signer.key(day), text.encode(), hashlib.sha256).hexdigest()
        return self.last

    def add(self, piece: bytes) -> None:
        signature = self.sign("PAYLOAD", EMPTY, hashlib.sha256(piece).hexdigest())
        self.body += f"{len(piece):x};chunk-signature={signature}\r\n".encode()
        self.body += piece + b"\r\n" if piece else b""

    def trailer(self, line: str) -> None:
        signature = self.sign("TRAILER", hashlib.sha256(f"{line}\n".encode()).hexdigest())
        self.body += f"{line}\r\nx-amz-trailer-signature:{signature}\r\n".encode()

    def send(self) -> Any:
        return self.raw.send("PUT", self.target, self.headers, self.body + b"\r\n")


@pytest.mark.parametrize("size", SIZES)
def test_signed_chunks_are_stored(raw: S3, s3: Any, bucket: str, size: int) -> None:
    data = data_of(size)
    headers = {"Content-MD5": b64(hashlib.md5(data).digest()), "Content-Type": "a/b"}
    assert Streamed(raw, f"/{bucket}/key", data, SIGNED, headers).send().status == 200
    found = s3.get_object(Bucket=bucket, Key="key")
    assert found["Body"].read() == data
    assert (found["ContentType"], found.get("ContentEncoding")) == ("a/b", None)


@pytest.mark.parametrize("size", SIZES)
def test_a_signed_trailer_is_checked_and_kept(raw: S3, s3: Any, bucket: str, size: int) -> None:
    data = data_of(size)
    upload = Streamed(raw, f"/{bucket}/key", data, SIGNED_TRAILER, {"x-amz-trailer": "x-amz-checksum-crc32"})
    upload.trailer(f"x-amz-checksum-crc32:{crc32(data)}")
    answer = upload.send()
    assert answer.status == 200, answer
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (head["ContentLength"], head["ChecksumCRC32"]) == (size, crc32(data))


@pytest.mark.parametrize("size", SIZES)
def test_a_chunk_changed_on_its_way_is_not_stored(raw: S3, bucket: str, size: int) -> None:
    upload = Streamed(raw, f"/{bucket}/key", data_of(size), SIGNED, {})
    at = upload.body.index(b"\r\n") - 1 if not size else upload.body.rindex(b"\r\n0;") - 1
    upload.body = upload.body[:at] + bytes([upload.body[at] ^ 1]) + upload.body[at + 1 :]
    assert code_of(upload.send()) == (403, "SignatureDoesNotMatch")
    assert raw.get(f"/{bucket}/key").status == 404


@pytest.mark.parametrize("size", SIZES)
def test_a_hash_that_is_not_the_bodys_keeps_the_old_object(raw: S3, bucket: str, size: int) -> None:
    assert raw.put(f"/{bucket}/key", b"old").status == 200
    data = data_of(size)
    answer = raw.request("PUT", f"/{bucket}/key", body=data, payload="0" * 64)
    assert code_of(answer) == (400, "XAmzContentSHA256Mismatch")
    assert error_of(answer)["S3ComputedContentSHA256"] == hashlib.sha256(data).hexdigest()
    wrong = {"Content-MD5": b64(b"0" * 16)}
    assert code_of(raw.put(f"/{bucket}/key", data, wrong)) == (400, "BadDigest")
    wrong = {"x-amz-checksum-sha1": b64(b"0" * 20)}
    assert code_of(raw.put(f"/{bucket}/key", data, wrong)) == (400, "BadDigest")
    assert raw.get(f"/{bucket}/key").body == b"old"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("right", [True, False])
def test_a_trailer_of_unsigned_chunks_sent_without_a_length(raw: S3, bucket: str, size: int, right: bool) -> None:
    data = data_of(size)
    sum_ = crc32(data if right else data + b"!")
    pieces = [data[start : start + 65536] for start in range(0, size, 65536)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    framed += f"0\r\nx-amz-checksum-crc32:{sum_}\r\n\r\n".encode()
    headers = {
        "Host": raw.host, "Content-Encoding": "gzip,aws-chunked", "Transfer-Encoding": "chunked",
        "x-amz-decoded-content-length": str(size), "x-amz-trailer": "x-amz-checksum-crc32",
    }  # fmt: skip
    signed = raw.signer.headers("PUT", f"/{bucket}/key", headers, UNSIGNED_TRAILER)
    body = [framed[start : start + 10_000] for start in range(0, len(framed), 10_000)]
    answer = raw.send("PUT", f"/{bucket}/key", signed, body)
    if right:
        assert answer.status == 200, answer
        assert answer["x-amz-checksum-crc32"] == sum_
        found = raw.get(f"/{bucket}/key")
        assert (found.body, found["Content-Encoding"]) == (data, "gzip")
    else:
        assert code_of(answer) == (400, "BadDigest")
        assert raw.get(f"/{bucket}/key").status == 404


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
@pytest.mark.parametrize("size", [5, 300_000])
def test_each_checksum_of_boto3(s3: Any, bucket: str, name: str, size: int) -> None:
    put = s3.put_object(Bucket=bucket, Key="key", Body=data_of(size), ChecksumAlgorithm=name)
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert head[f"Checksum{name}"] == put[f"Checksum{name}"]
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")["Body"].read() == data_of(size)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-MD5": "x"}, (400, "InvalidDigest")),
        ({"x-amz-checksum-crc32": "AAA="}, (400, "InvalidRequest")),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": b64(b"0" * 20)}, (400, "InvalidRequest")),
        ({"x-amz-checksum-crc16": "AAA="}, (400, "InvalidRequest")),
        ({"x-amz-sdk-checksum-algorithm": "CRC16"}, (400, "InvalidRequest")),
    ],
)
def test_malformed_declarations(raw: S3, bucket: str, headers: dict[str, str], code: tuple[int, str]) -> None:
    assert code_of(raw.put(f"/{bucket}/key", b"hello", headers)) == code
    assert raw.get(f"/{bucket}/key").status == 404


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("nonsense", (400, "InvalidArgument")),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", (501, "NotImplemented")),
        (SIGNED, (411, "MissingContentLength")),
    ],
)
def test_payloads_that_are_not_taken(raw: S3, bucket: str, payload: str, code: tuple[int, str]) -> None:
    assert code_of(raw.request("PUT", f"/{bucket}/key", body=b"hello", payload=payload)) == code


def test_a_length_that_the_chunks_do_not_keep(raw: S3, bucket: str) -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-crc32", "Content-Encoding": "aws-chunked"}
    framed = f"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{crc32(b'hello')}\r\n\r\n".encode()
    for length in ("4", "6", "600000"):
        answer = raw.request(
            "PUT", f"/{bucket}/key", {**headers, "x-amz-decoded-content-length": length}, framed, UNSIGNED_TRAILER
        )
        assert code_of(answer) == (400, "IncompleteBody")
    assert raw.get(f"/{bucket}/key").status == 404


@pytest.mark.parametrize("length", [100, 1_000_000])
def test_a_client_that_stops_early_leaves_nothing(store: Store, raw: S3, bucket: str, length: int) -> None:
    headers = {"Host": raw.host, "Content-Length": str(length)}
    signed = raw.signer.headers("PUT", f"/{bucket}/key", headers, "UNSIGNED-PAYLOAD")
    head = f"PUT /{bucket}/key HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    with socket.create_connection(store.address, 10) as sock:
        sock.sendall(head.encode() + b"\r\nhello")
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert not answer or b"IncompleteBody" in answer or answer.startswith(b"HTTP/1.1 4")
    assert raw.get(f"/{bucket}/key").status == 404


def test_a_body_is_asked_for_only_from_those_who_may_send_it(store: Store, raw: S3, bucket: str) -> None:
    def ask(expect: str, payload: str, secret: str) -> bytes:
        signer = Signer(raw.signer.access_key, secret)
        headers = {"Host": raw.host, "Content-Length": "1000000", expect: "100-continue"}
        signed = signer.headers("PUT", f"/{bucket}/key", headers, payload)
        head = f"PUT /{bucket}/key HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        return exchange(store.address, head.encode() + b"\r\n", 1)

    good = raw.signer.secret_key
    assert ask("Expect", "UNSIGNED-PAYLOAD", good).startswith(b"HTTP/1.1 100 Continue")
    assert ask("expect", "UNSIGNED-PAYLOAD", good).startswith(b"HTTP/1.1 100 Continue")
    assert ask("Expect", "UNSIGNED-PAYLOAD", "wrong").startswith(b"HTTP/1.1 403")
    assert ask("Expect", "nonsense", good).startswith(b"HTTP/1.1 400")


def test_a_wrong_checksum_of_boto3s_is_told(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="key", Body=b"hello", ChecksumSHA256=b64(b"0" * 32))
    assert raised.value.response["Error"]["Code"] == "BadDigest"
