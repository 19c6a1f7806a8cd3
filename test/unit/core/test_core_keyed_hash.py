"""HMACs that go on from a hashed key, with the standard library as an oracle."""

import hmac

import pytest

from objstore.core.keyed_hash import signer


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("length", [0, 1, 32, 64, 65, 128, 129])
def test_a_text_has_the_hmac_of_the_standard_library_every_time(digest: str, length: int) -> None:
    key = bytes(range(length))
    sign = signer(key, digest)
    for text in (b"", b"a", b"long" * 1000):
        assert sign(text) == sign(text) == hmac.new(key, text, digest).hexdigest()
