"""Signing keys of version 4, and the chain of signatures of a body that is signed in chunks."""

from __future__ import annotations

import hashlib
import hmac

from objstore.s3.request.signature.v4 import Scope, SigningKey, mismatch

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_MAX_CACHED = 1024


class SigningKeys:
    """A cache of keys derived from secrets: four HMACs less for each request (S3: Deriving the signing key)."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, Scope], SigningKey] = {}

    def get(self, secret: str, scope: Scope) -> SigningKey:
        """Return the key of a secret for a day (`20240506`) and region."""
        source = (secret, scope)
        key = self._keys.get(source)
        if key is None:
            key = SigningKey(derive(secret, scope.date, scope.region))
            if len(self._keys) >= _MAX_CACHED:
                self._keys.clear()
            self._keys[source] = key
        return key


def derive(secret: str, date: str, region: str, service: str = "s3") -> bytes:
    key = ("AWS4" + secret).encode("utf-8", "surrogateescape")
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


class Seed:
    """The check of the signatures of chunks, each of which signs the previous one too.

    signature: of the request, in hex. scope: `date/region/s3/aws4_request`. access_key, canonical_request: of the
    request, for the error.
    """

    def __init__(
        self, key: bytes, timestamp: str, scope: str, signature: str, access_key: str = "", canonical_request: str = ""
    ) -> None:
        self._key = key
        self._head = f"{timestamp}\n{scope}\n"
        self._last = signature
        self._access_key = access_key
        self._canonical_request = canonical_request

    def check_chunk(self, sha256: str, signature: str) -> None:
        """Check the signature of a chunk. sha256: of its bytes, in hex. Raises S3Error SignatureDoesNotMatch."""
        self._check(f"AWS4-HMAC-SHA256-PAYLOAD\n{self._head}{self._last}\n{EMPTY_SHA256}\n{sha256}", signature)

    def check_trailer(self, trailer: bytes, signature: str) -> None:
        """Check the signature of a trailer. Raises S3Error SignatureDoesNotMatch.

        trailer: its lines as `name:value` and a line feed each, a line feed alone if there are none.
        """
        digest = hashlib.sha256(trailer).hexdigest()
        self._check(f"AWS4-HMAC-SHA256-TRAILER\n{self._head}{self._last}\n{digest}", signature)

    def _check(self, text: str, signature: str) -> None:
        expected = hmac.digest(self._key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise mismatch(self._access_key, text, signature, self._canonical_request)
        self._last = signature
