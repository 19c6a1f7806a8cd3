"""S3 clients for tests: boto3's, and one that signs what it is given and hides nothing."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit
from xml.etree import ElementTree

import boto3
from botocore.config import Config

from harness.client import Answer, Body, Client

REGION = "us-east-1"
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def boto_client(endpoint: str, access_key: str, secret_key: str, **config: Any) -> Any:
    """boto3's client of S3 with its defaults, but path style and no retries; config: more of botocore's Config."""
    chosen = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}
    session = boto3.session.Session(access_key, secret_key, region_name=REGION)
    return session.client("s3", endpoint_url=endpoint, config=Config(**chosen))


class Signer:
    """Signature Version 4, made from its description and not from the code under test."""

    def __init__(self, access_key: str, secret_key: str, region: str = REGION, service: str = "s3") -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = region
        self.service = service

    def key(self, date: str) -> bytes:
        key = f"AWS4{self.secret_key}".encode()
        for part in (date, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key

    def scope(self, date: str) -> str:
        return f"{date}/{self.region}/{self.service}/aws4_request"

    def hex(self, date: str, text: str) -> str:
        return hmac.new(self.key(date), text.encode(), hashlib.sha256).hexdigest()

    def headers(
        self, method: str, target: str, headers: Mapping[str, str], payload: str, stamp: str = ""
    ) -> dict[str, str]:
        """The headers of a signed request: those given, all of them signed, and what signing adds."""
        stamp = stamp or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        all_headers = {**headers, "x-amz-date": stamp, "x-amz-content-sha256": payload}
        names = sorted(name.lower() for name in all_headers)
        text = self.string_to_sign(stamp, self.canonical(method, target, all_headers, names, payload))
        all_headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{self.scope(stamp[:8])},"
            f"SignedHeaders={';'.join(names)},Signature={self.hex(stamp[:8], text)}"
        )
        return all_headers

    def presign(
        self,
        method: str,
        target: str,
        host: str,
        life: int | str = 60,
        stamp: str = "",
        headers: Mapping[str, str] = {},
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> str:
        """The target with a signature in its query; headers are signed along. payload: stands for the body."""
        stamp = stamp or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        all_headers = {"host": host, **headers}
        names = sorted(name.lower() for name in all_headers)
        credential = quote(f"{self.access_key}/{self.scope(stamp[:8])}", safe="")
        path, _, query = target.partition("?")
        query = (
            f"{query}{'&' if query else ''}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={life}&X-Amz-SignedHeaders={quote(';'.join(names), safe='')}"
        )
        target = f"{path}?{query}"
        text = self.string_to_sign(stamp, self.canonical(method, target, all_headers, names, payload))
        return f"{target}&X-Amz-Signature={self.hex(stamp[:8], text)}"

    def canonical(self, method: str, target: str, headers: Mapping[str, str], names: list[str], payload: str) -> str:
        path, _, query = target.partition("?")
        pairs = sorted(
            tuple(quote(unquote_to_bytes(part), safe="-_.~") for part in [*piece.split("=", 1), ""][:2])
            for piece in query.split("&")
            if piece
        )
        values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        return "\n".join(
            [
                method,
                quote(unquote_to_bytes(path), safe="/-_.~"),
                "&".join(f"{name}={value}" for name, value in pairs),
                *(f"{name}:{values[name]}" for name in names),
                "",
                ";".join(names),
                payload,
            ]
        )

    def string_to_sign(self, stamp: str, canonical: str) -> str:
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return f"AWS4-HMAC-SHA256\n{stamp}\n{self.scope(stamp[:8])}\n{digest}"


class S3:
    """One user's signed requests, one at a time, without retries. Targets are as they go over the wire."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        self.endpoint = endpoint
        self.host = urlsplit(endpoint).netloc
        self.signer = Signer(access_key, secret_key)
        self._client = Client(endpoint)

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        payload: str = "",
        stamp: str = "",
    ) -> Answer:
        """Send a signed request. payload: of x-amz-content-sha256, the body's hash if ''."""
        payload = payload or hashlib.sha256(body).hexdigest()
        signed = self.signer.headers(method, target, {"Host": self.host, **(headers or {})}, payload, stamp)
        return self.send(method, target, signed, body)

    def send(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: Body = None) -> Answer:
        """Send a request as it is, signed or not."""
        return self._client.send(method, target, headers, body)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", target, headers)

    def put(self, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("PUT", target, headers, body)

    def presigned(self, method: str, target: str, body: bytes | None = None, **options: Any) -> Answer:
        headers = options.get("headers")
        return self.send(method, self.signer.presign(method, target, self.host, **options), headers, body)

    def close(self) -> None:
        self._client.close()


def error_of(answer: Answer) -> dict[str, str]:
    """The elements of an error document by name."""
    root = ElementTree.fromstring(answer.body)
    assert root.tag == "Error", answer
    return {child.tag: child.text or "" for child in root}


def code_of(answer: Answer) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status, error_of(answer)["Code"]
