"""Tokens, limits and documents of listings."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from objstore.s3.language import xml
from objstore.s3.language.errors import S3Error
from objstore.s3.operations.lists import listing


@given(st.text(min_size=1, max_size=200).filter(lambda text: text.isprintable()))
def test_a_token_says_where_to_go_on(name: str) -> None:
    token = listing.token(name)
    assert listing.read_token(token) == name
    assert token.isascii()
    assert xml.escape(token) == token


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda data: data.decode("latin-1")))
def test_a_token_that_is_none(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        listing.read_token(text)
    assert caught.value.code == "InvalidArgument"


@example(34, 2)  # `-` to `/`, which base64 may also call it
@given(st.integers(0, 50), st.integers(1, 255))
def test_a_token_that_was_changed(place: int, change: int) -> None:
    token = listing.token("some/key/of/the/bucket")
    place %= len(token)
    changed = token[:place] + chr(ord(token[place]) ^ change) + token[place + 1 :]
    with pytest.raises(S3Error):
        listing.read_token(changed)


@pytest.mark.parametrize(
    ("text", "expected"), [("", 1000), ("0", 0), ("7", 7), ("+7", 7), ("1001", 1000), ("2147483647", 1000)]
)
def test_limits(text: str, expected: int) -> None:
    assert listing.max_entries({"max-keys": text}, "max-keys", 1000) == expected


@pytest.mark.parametrize("text", ["-1", "x", "1e3", "٣", "2147483648", "9" * 5000, "1_0_"])
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        listing.max_entries({"max-keys": text}, "max-keys", 1000)
    assert caught.value.extra["ArgumentName"] == "max-keys"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_encoded_names_are_ascii_without_what_xml_escapes(name: str) -> None:
    encoded = listing.url_encoded(name)
    assert unquote(encoded, errors="strict") == name
    assert xml.escape(encoded) == encoded
    assert encoded.isascii()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_the_prefix_is_the_same_to_those_who_decode_it(prefix: str) -> None:
    output = listing.echoed_prefix(prefix, listing.url_encoded)
    text = xml.parse(f"<p>{output}</p>".encode()).text or ""
    assert unquote(text, errors="strict") == prefix.replace("\r\n", "\r\n")
