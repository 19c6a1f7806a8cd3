"""Content types and storage classes in the rows of listings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core import listed_types

TYPES = st.text(st.sampled_from("a/;= "), max_size=5).flatmap(
    lambda text: st.sampled_from([text, f"{text};s3_class=GLACIER", f"{text};s3_class=<x>", f"{text};s3_class="])
)


@given(TYPES, st.sampled_from(["", "STANDARD", "GLACIER", "STANDARD_IA"]))
def test_a_type_comes_back_whole_with_the_class_that_was_written(content_type: str, storage_class: str) -> None:
    found, found_class = listed_types.read(listed_types.write(content_type, storage_class))
    assert found == content_type
    assert found_class in ((storage_class,) if storage_class else ("", "STANDARD"))


def test_a_clients_parameter_is_no_storage_class() -> None:
    """`text/plain;s3_class=GLACIER` once was listed as of class GLACIER, and lost its parameter."""
    listed = listed_types.write("text/plain;s3_class=GLACIER")
    assert listed_types.read(listed) == ("text/plain;s3_class=GLACIER", "STANDARD")


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=utf-8", ""])
def test_a_plain_type_is_written_as_it_is(content_type: str) -> None:
    assert listed_types.write(content_type) == content_type
    assert listed_types.read(content_type) == (content_type, "")
