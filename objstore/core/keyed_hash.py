"""HMACs by a key that signs many texts (RFC 2104)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


def signer(key: bytes, digest: str) -> Callable[[bytes], str]:
    """Return the function from a text to its HMAC in hex. digest: as in `hashlib`.

    It goes on from the hashed key: half of the work for a short text, and quicker than `hmac`.
    """
    block = hashlib.new(digest).block_size
    padded = (hashlib.new(digest, key).digest() if len(key) > block else key).ljust(block, b"\0")
    inner_start = hashlib.new(digest, bytes(byte ^ 0x36 for byte in padded))
    outer_start = hashlib.new(digest, bytes(byte ^ 0x5C for byte in padded))

    def sign(text: bytes) -> str:
        inner, outer = inner_start.copy(), outer_start.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.hexdigest()

    return sign
