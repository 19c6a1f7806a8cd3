"""Secret keys of accounts and containers, and their signatures (Swift documentation: Temporary URL, Form POST).

An account and a container have two keys each, as metadata, so that one can be replaced while the other is in use. A
signature is an HMAC, written as hex digits, whose number shows the digest, or as `<digest>:<base64>`. A key of the
account gives access to the whole account, one of a container to that container alone, and so does one of both.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from objstore.core.keyed_hash import signer

DIGESTS = ("sha1", "sha256", "sha512")
DEPRECATED_DIGESTS = ("sha1",)
_METADATA = ("temp-url-key", "temp-url-key-2")
_HEX_DIGITS = {"sha1": 40, "sha256": 64, "sha512": 128}  # of an HMAC
_BY_HEX_DIGITS = {count: digest for digest, count in _HEX_DIGITS.items()}
_MAX_LENGTH = 128  # characters of a signature
_FROM_URL_SAFE = str.maketrans("-_", "+/")
_CACHED_KEYS = 1024


class UrlSignature(NamedTuple):
    """A signature. mac: its bytes in hex."""

    digest: str
    mac: str

    def is_by(self, meta: Mapping[str, str], texts: Iterable[bytes]) -> bool:
        """Return whether a key in the metadata of an account or container gives any of the texts this signature.

        meta: as in `web.infos`. The comparison takes the same time wherever the signatures differ.
        """
        for item in _METADATA:
            key = meta.get(item)
            if key:
                sign = _signer(key, self.digest)
                for text in texts:
                    if hmac.compare_digest(sign(text), self.mac):
                        return True
        return False


@lru_cache(maxsize=_CACHED_KEYS)
def _signer(key: str, digest: str) -> Callable[[bytes], str]:
    return signer(key.encode("utf-8", "surrogateescape"), digest)


def parse_signature(text: str, allowed: Collection[str]) -> UrlSignature | None:
    """Return the signature in a text; None for another form, or a digest that is not allowed.

    Hex digits must be in lower case; others are not equal to any HMAC. Base64 may be of either alphabet, with or
    without its padding.
    """
    if len(text) > _MAX_LENGTH or not text.isascii():
        return None
    digest, mac = _BY_HEX_DIGITS.get(len(text), ""), text
    if ":" in text:
        digest, _, encoded = text.partition(":")
        mac = _hex_of_base64(encoded)
    return UrlSignature(digest, mac) if digest in allowed and len(mac) == _HEX_DIGITS[digest] else None


def _hex_of_base64(text: str) -> str:
    text = text.rstrip("=").translate(_FROM_URL_SAFE)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).hex()
    except binascii.Error:
        return ""


def digests(text: str) -> tuple[str, ...]:
    """Parse the names of digests in a setting; raises ValueError."""
    names = tuple(text.replace(",", " ").split())
    unknown = [name for name in names if name not in DIGESTS]
    if unknown or not names:
        raise ValueError(f"is not one or more of {', '.join(DIGESTS)}")
    return tuple(name for name in DIGESTS if name in names)


def info_of_digests(allowed: Collection[str]) -> dict[str, object]:
    """Return the entries of /info about the digests of a filter."""
    deprecated = [name for name in DEPRECATED_DIGESTS if name in allowed]
    return {"allowed_digests": sorted(allowed), "deprecated_digests": deprecated}
