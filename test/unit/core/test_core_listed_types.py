"""Content types, storage classes and checksums in the rows of listings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core import listed_types

TYPES = (
    st.text(st.sampled_from("a/;= "), max_size=5)
    .flatmap(
        lambda text: st.sampled_from([text, f"{text};s3_class=GLACIER", f"{text};s3_class=<x>", f"{text};s3_class="])
    )
    .flatmap(
        lambda text: st.sampled_from(
            [text, f"{text};s3_sum=CRC32", f"{text};s3_sum=NONE", f"{text};s3_sum=x", f"{text};"]
        )
    )
)
CHECKSUMS = st.sampled_from(["", "CRC64NVME", "XXHASH3/COMPOSITE"])


@given(TYPES, st.sampled_from(["", "STANDARD", "GLACIER", "STANDARD_IA"]), CHECKSUMS)
def test_a_type_comes_back_whole_with_what_was_written(content_type: str, storage_class: str, checksum: str) -> None:
    listed = listed_types.read(listed_types.write(content_type, storage_class, checksum))
    assert (listed.content_type, listed.checksum) == (content_type, checksum)
    assert listed.storage_class in ((storage_class,) if storage_class else ("", "STANDARD"))


@given(TYPES, st.sampled_from(["", "GLACIER"]))
def test_a_checksum_can_be_added_later(content_type: str, storage_class: str) -> None:
    listed = listed_types.with_checksum(listed_types.write(content_type, storage_class), "CRC32")
    assert listed == listed_types.write(content_type, storage_class, "CRC32")


def test_a_type_from_before_checksums_is_read() -> None:
    assert listed_types.read("a/b;s3_sum=CRC32;s3_class=GLACIER") == ("a/b;s3_sum=CRC32", "GLACIER", "")


def test_a_clients_parameter_is_no_storage_class() -> None:
    """`text/plain;s3_class=GLACIER` once was listed as of class GLACIER, and lost its parameter."""
    listed = listed_types.write("text/plain;s3_class=GLACIER")
    assert listed_types.read(listed) == ("text/plain;s3_class=GLACIER", "STANDARD", "")


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=utf-8", ""])
def test_a_plain_type_is_written_as_it_is(content_type: str) -> None:
    assert listed_types.write(content_type) == content_type
    assert listed_types.read(content_type) == (content_type, "", "")
