"""What S3 answers to bodies in chunks that are signed one after the other, and to signed trailers."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest
from harness.client import Answer
from harness.layouts import ONE_DEVICE
from harness.s3 import S3, error_of
from harness.s3_answers import BODY, OTHER, crc32

pytestmark = ONE_DEVICE  # what is decided before a byte is stored

PAYLOAD, WITH_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
EMPTY = hashlib.sha256(b"").hexdigest()
CUT = "The request body terminated unexpectedly"
ELEMENTS = {
    "AWSAccessKeyId", "StringToSign", "SignatureProvided", "StringToSignBytes", "CanonicalRequest",
    "CanonicalRequestBytes",
}  # fmt: skip
CRC32 = "x-amz-checksum-crc32"


class Upload:
    """A PUT whose chunks are signed. `body` is what is sent; the methods add to it what is right."""

    def __init__(self, raw: S3, target: str, length: int, word: str = PAYLOAD, trailer: str = "") -> None:
        self._raw = raw
        self._target = target
        self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {"Host": raw.host, "Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": str(length)}
        headers |= {"x-amz-trailer": trailer} if trailer else {}
        self._headers = raw.signer.headers("PUT", target, headers, word, self._stamp)
        self._last = self._headers["Authorization"].rpartition("=")[2]
        self.body = b""

    def sign(self, kind: str, *parts: str) -> str:
        signer, day = self._raw.signer, self._stamp[:8]
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", self._stamp, signer.scope(day), self._last, *parts])
        self._last = hmac.new(signer.key(day), text.encode(), hashlib.sha256).hexdigest()
        return self._last

    def chunk(
        self, data: bytes, head: str = "{size:x};chunk-signature={signature}", signed: bytes | None = None
    ) -> None:
        """Add a chunk; signed: the bytes that the signature is made over, in place of `data`."""
        digest = hashlib.sha256(data if signed is None else signed).hexdigest()
        signature = self.sign("PAYLOAD", EMPTY, digest)
        self.body += head.format(size=len(data), signature=signature).encode() + b"\r\n"
        self.body += data + b"\r\n" if data else b""

    def chunks(self, *pieces: bytes, head: str = "{size:x};chunk-signature={signature}") -> None:
        for piece in pieces:
            self.chunk(piece, head)

    def trailer(self, lines: bytes, signed: bytes | None = None) -> None:
        text = signed if signed is not None else lines.replace(b"\r", b"") or b"\n"
        signature = self.sign("TRAILER", hashlib.sha256(text).hexdigest())
        self.body += lines + f"x-amz-trailer-signature:{signature}\r\n".encode()

    def send(self) -> Answer:
        return self._raw.send("PUT", self._target, self._headers, self.body)


Make = Callable[[S3, str], Upload]


class SignedCase(NamedTuple):
    """make: the upload. expected: status, code and how the message or the string to sign begins. extra: elements."""

    situation: str
    make: Make
    status: int = 200
    code: str = ""
    begins: str = ""
    extra: dict[str, str] = {}  # noqa: RUF012 (a NamedTuple's default, never changed)
    data: bytes = BODY


def headed(head: str) -> Make:
    """An upload of BODY and the last chunk whose heads are made so."""

    def make(raw: S3, target: str) -> Upload:
        upload = Upload(raw, target, len(BODY))
        upload.chunks(BODY, b"", head=head)
        upload.body += b"\r\n"
        return upload

    return make


def of_pieces(*pieces: bytes, length: int | None = None) -> Make:
    def make(raw: S3, target: str) -> Upload:
        upload = Upload(raw, target, sum(map(len, pieces)) if length is None else length)
        upload.chunks(*pieces)
        upload.body += b"\r\n"
        return upload

    return make


def forged(at: int) -> Make:
    """An upload whose signature of one chunk is made over other bytes."""

    def make(raw: S3, target: str) -> Upload:
        upload = Upload(raw, target, len(LARGE))
        for number, piece in enumerate((LARGE[:8192], LARGE[8192:], b"")):
            upload.chunk(piece, signed=b"x" if number == at else None)
        upload.body += b"\r\n"
        return upload

    return make


def trailed(
    lines: bytes, after: bytes = b"\r\n", *, signature: bool = True, signed: bytes | None = None, named: str = CRC32
) -> Make:
    def make(raw: S3, target: str) -> Upload:
        upload = Upload(raw, target, len(BODY), WITH_TRAILER, named)
        upload.chunks(BODY, b"")
        if signature:
            upload.trailer(lines, signed)
        else:
            upload.body += lines
        upload.body += after
        return upload

    return make


LARGE = bytes(range(256)) * 64 + b"end"
SUM, OTHER_SUM = f"{CRC32}:{crc32(BODY)}\r\n".encode(), f"{CRC32}:{crc32(OTHER)}\r\n".encode()
CHUNK_TEXT, TRAILER_TEXT = "AWS4-HMAC-SHA256-PAYLOAD\n", "AWS4-HMAC-SHA256-TRAILER\n"


def cut(situation: str, make: Make) -> SignedCase:
    return SignedCase(situation, make, 400, "IncompleteBody", CUT)


def mismatch(situation: str, make: Make, text: str = CHUNK_TEXT) -> SignedCase:
    return SignedCase(situation, make, 403, "SignatureDoesNotMatch", text)


CASES = [
    SignedCase("right", headed("{size:x};chunk-signature={signature}")),
    SignedCase("chunks of different sizes", of_pieces(LARGE[:9000], LARGE[9000:], b""), data=LARGE),
    SignedCase("blanks around ;", headed("{size:x} ; chunk-signature={signature}")),
    SignedCase("blanks around = and behind", headed("{size:x};chunk-signature = {signature} ")),
    SignedCase("tabs", headed("{size:x}\t;\tchunk-signature\t=\t{signature}\t")),
    cut("no signature", headed("{size:x}")),
    cut("no signature behind ;", headed("{size:x};")),
    cut("another parameter alone", headed("{size:x};extra={signature}")),
    cut("an empty signature", headed("{size:x};chunk-signature=")),
    cut("a blank signature", headed("{size:x};chunk-signature= ")),
    mismatch("a signature that is no hex", headed("{size:x};chunk-signature=invalid")),
    mismatch("another signature", headed("{size:x};chunk-signature=" + "0" * 64)),
    *(mismatch(f"a wrong signature of chunk {at + 1}", forged(at)) for at in range(3)),
    mismatch("another parameter before it", headed("{size:x};extra=param;chunk-signature={signature}")),
    cut("another parameter behind it", headed("{size:x};chunk-signature={signature};extra=param")),
    cut("no chunk of size 0", of_pieces(BODY)),
    cut("a size with a minus sign", headed("-{size:x};chunk-signature={signature}")),
    SignedCase(
        "a short chunk first", of_pieces(b"x" * 1024, b"y" * 4096, b"z" * 3072, b""), 403, "InvalidChunkSizeError",
        "Only the last chunk is allowed to have a size less than 8192 bytes", {"Chunk": "2", "BadChunkSize": "1024"},
    ),
    SignedCase(
        "a short chunk in the middle", of_pieces(b"x" * 8192, b"y" * 100, b"z" * 9000, b""), 403,
        "InvalidChunkSizeError", "Only the last chunk", {"Chunk": "3", "BadChunkSize": "100"},
    ),
    cut("a length that counts the framing", of_pieces(BODY, b"", length=len(BODY) + 200)),
    SignedCase("a trailer", trailed(SUM)),
    SignedCase("a trailer with a blank", trailed(SUM.replace(b":", b": "), signed=SUM.replace(b"\r", b""))),
    SignedCase("a trailer that ends in LF, and an empty line", trailed(SUM.replace(b"\r\n", b"\n\r\n"),
               signed=SUM.replace(b"\r", b""))),
    SignedCase("no trailer, its signature", trailed(b"", named="")),
    SignedCase("a wrong trailer", trailed(OTHER_SUM), 400, "BadDigest", "The CRC32 you specified did not match"),
    cut("a trailer without its signature", trailed(SUM, b"", signature=False)),
    cut("a trailer without its signature, an empty line", trailed(SUM, signature=False)),
    mismatch("a trailer's wrong signature", trailed(SUM, signed=b"other"), TRAILER_TEXT),
    mismatch("a trailer's wrong signature, no empty line", trailed(SUM, b"", signed=b"other"), TRAILER_TEXT),
    cut("no trailer, its signature, no empty line", trailed(b"", b"", named="")),
    SignedCase("a trailer that was not announced", trailed(SUM, named=""), 400, "MalformedTrailerError"),
    SignedCase("a trailer that is announced only", trailed(b""), 400, "MalformedTrailerError"),
]  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=case.situation) for case in CASES])
def test_signed_chunks_are_answered_as_s3_does(raw: S3, bucket: str, case: SignedCase) -> None:
    answer = case.make(raw, f"/{bucket}/key").send()
    assert answer.status == case.status, answer
    stored = raw.get(f"/{bucket}/key")
    if case.status == 200:
        assert (stored.body, stored.get("Content-Encoding")) == (case.data, None)
        return
    assert stored.status == 404
    elements = error_of(answer)
    assert elements["Code"] == case.code
    assert elements["StringToSign" if case.status == 403 and case.code[:3] == "Sig" else "Message"].startswith(
        case.begins
    )
    assert case.extra.items() <= elements.items()
    if case.code == "SignatureDoesNotMatch":
        assert elements.keys() >= ELEMENTS
        assert elements["AWSAccessKeyId"] == raw.signer.access_key
        assert elements["CanonicalRequest"].startswith(f"PUT\n/{bucket}/key\n")
