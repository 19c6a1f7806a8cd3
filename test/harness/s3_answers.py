"""Requests in each form of signature, sent as they are, and cases of what S3 answers to them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
import xxhash
from awscrt import checksums as crt

from harness.client import SECONDS, Answer, Body
from harness.s3 import S3, error_of

BODY = bytes(range(65, 97))
OTHER = b"not the body"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def md5(data: bytes) -> str:
    return b64(hashlib.md5(data).digest())


def crc32(data: bytes) -> str:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


# The checksums that S3 documents, in base64.
CHECKSUMS: dict[str, Callable[[bytes], str]] = {
    "CRC32": crc32,
    "CRC32C": lambda data: b64(crt.crc32c(data).to_bytes(4, "big")),
    "CRC64NVME": lambda data: b64(crt.crc64nvme(data).to_bytes(8, "big")),
    "SHA1": lambda data: b64(hashlib.sha1(data).digest()),
    "SHA256": lambda data: b64(hashlib.sha256(data).digest()),
    "SHA512": lambda data: b64(hashlib.sha512(data).digest()),
    "MD5": md5,
    "XXHASH64": lambda data: b64(xxhash.xxh64_digest(data)),
    "XXHASH3": lambda data: b64(xxhash.xxh3_64_digest(data)),
    "XXHASH128": lambda data: b64(xxhash.xxh3_128_digest(data)),
}


class Signed(NamedTuple):
    target: str
    headers: dict[str, str]


Sign = Callable[[S3, str, str, Mapping[str, str]], Signed]
HASH = "x-amz-content-sha256"


def _v4_header(raw: S3, method: str, target: str, headers: Mapping[str, str]) -> Signed:
    signer, stamp = raw.signer, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    sent = {"Host": raw.host, **headers, "x-amz-date": stamp}
    names = sorted(name.lower() for name in sent)
    canonical = signer.canonical(method, target, sent, names, sent.get(HASH, "UNSIGNED-PAYLOAD"))
    signature = signer.hex(stamp[:8], signer.string_to_sign(stamp, canonical))
    sent["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.access_key}/{signer.scope(stamp[:8])},"
        f"SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return Signed(target, sent)


def _v4_query(raw: S3, method: str, target: str, headers: Mapping[str, str]) -> Signed:
    payload = headers.get(HASH, "UNSIGNED-PAYLOAD")
    target = raw.signer.presign(method, target, raw.host, headers=headers, payload=payload)
    return Signed(target, {"Host": raw.host, **headers})


def v2_signature(raw: S3, method: str, target: str, headers: Mapping[str, str], date: str) -> str:
    """The signature of version 2; the whole query of the target is signed."""
    known = {name.lower(): value for name, value in headers.items()}
    path, _, query = target.partition("?")
    lines = [method, known.get("content-md5", ""), known.get("content-type", ""), date]
    lines += [f"{name}:{known[name]}" for name in sorted(known) if name.startswith("x-amz-")]
    lines.append(path + (f"?{'&'.join(sorted(query.split('&')))}" if query else ""))
    return b64(hmac.new(raw.signer.secret_key.encode(), "\n".join(lines).encode(), hashlib.sha1).digest())


def _v2_header(raw: S3, method: str, target: str, headers: Mapping[str, str]) -> Signed:
    date = formatdate(usegmt=True)
    signature = v2_signature(raw, method, target, headers, date)
    authorization = f"AWS {raw.signer.access_key}:{signature}"
    return Signed(target, {"Host": raw.host, **headers, "Date": date, "Authorization": authorization})


def _v2_query(raw: S3, method: str, target: str, headers: Mapping[str, str]) -> Signed:
    return v2_presigned(raw, method, target, headers, int(time.time()) + 900)


def v2_presigned(raw: S3, method: str, target: str, headers: Mapping[str, str], end: int) -> Signed:
    """end: when the URL ends, in seconds since the epoch."""
    signature = quote(v2_signature(raw, method, target, headers, str(end)), safe="")
    key = quote(raw.signer.access_key, safe="")
    joint = "&" if "?" in target else "?"
    target = f"{target}{joint}AWSAccessKeyId={key}&Expires={end}&Signature={signature}"
    return Signed(target, {"Host": raw.host, **headers})


FORMS: dict[str, Sign] = {"V4h": _v4_header, "V4q": _v4_query, "V2h": _v2_header, "V2q": _v2_query}
ALL = tuple(FORMS)
V4H, NOT_V4H = ("V4h",), ("V4q", "V2h", "V2q")


def ask(
    raw: S3, form: str, method: str, target: str, headers: Mapping[str, str] | None = None, body: Body = None
) -> Answer:
    """Send a request that is signed in a form; version 4 needs the header HASH, or UNSIGNED-PAYLOAD is added."""
    sent = dict(headers or {})
    if form == "V4h":
        sent.setdefault(HASH, "UNSIGNED-PAYLOAD")
    signed = FORMS[form](raw, method, target, {name: value for name, value in sent.items() if value != LEFT_OUT})
    return raw.send(method, signed.target, signed.headers, body)


LEFT_OUT = "(left out)"  # as a header's value: the header is not sent


def ask_bare(raw: S3, form: str, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    """Send a request without Content-Length and Transfer-Encoding, whatever its body is."""
    signed = FORMS[form](raw, method, target, headers)
    address = urlsplit(raw.endpoint).netloc
    connection = http.client.HTTPConnection(address, timeout=SECONDS)
    connection.putrequest(method, signed.target, skip_host=True, skip_accept_encoding=True)
    for name, value in signed.headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    if body:
        connection.send(body)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


class Case(NamedTuple):
    """A request, by its headers and body, and the answer: status, code, message, further elements.

    message: how it begins; all of it if it ends in `$`. extra: elements by name, None for one that must not be there.
    """

    situation: str
    forms: tuple[str, ...]
    headers: Mapping[str, str]
    status: int
    code: str = ""
    message: str = ""
    extra: Mapping[str, str | None] = {}
    body: bytes | list[bytes] = BODY


def parameters(cases: Iterable[Case]) -> list[Any]:
    """pytest's parameters `form` and `case`, named by the situation."""
    return [pytest.param(form, case, id=f"{case.situation} ({form})") for case in cases for form in case.forms]


def check(case: Case, answer: Answer) -> None:
    """Hold an answer against a case."""
    assert answer.status == case.status, answer
    if not case.code:
        return
    elements = error_of(answer)
    assert elements["Code"] == case.code, elements
    if case.message.endswith("$"):
        assert elements["Message"] == case.message[:-1]
    else:
        assert elements["Message"].startswith(case.message)
    for name, value in case.extra.items():
        assert elements.get(name) == value, (name, elements)
