"""What x-amz-copy-source names, and which conditions of a request count."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.s3.language.errors import S3Error
from objstore.s3.operations.object import reading
from objstore.s3.operations.objects import CopySource, write_conditions

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40)


@given(KEYS, st.sampled_from(["", "/"]), st.sampled_from(["", "null", "3/L4kqtJlcpXroDTDmpUMLUo"]))
def test_any_key_can_be_a_source(key: str, slash: str, version: str) -> None:
    header = f"{slash}bucket/{quote(key)}" + (f"?versionId={quote(version)}" if version else "")
    source = CopySource(header)
    assert (source.bucket, source.key, source.version) == ("bucket", key, version)


def test_a_plus_is_a_plus() -> None:
    assert CopySource("bucket/a+b%2Bc").key == "a+b+c"


@pytest.mark.parametrize(
    "header", ["", "/", "bucket", "bucket/", "/bucket", "b/%FF", "b/a%00", "b/k?x", "b/k?versionid=1"]
)
def test_what_is_no_source(header: str) -> None:
    with pytest.raises(S3Error) as caught:
        CopySource(header)
    assert caught.value.code == "InvalidArgument"


def test_a_key_that_is_too_long() -> None:
    with pytest.raises(S3Error) as caught:
        CopySource("b/" + "k" * 1025)
    assert caught.value.code == "KeyTooLongError"


@pytest.mark.parametrize("value", ['"a"', "a", '"*"', "*, *", "* *"])
def test_a_write_takes_only_a_star_in_if_none_match(value: str) -> None:
    with pytest.raises(S3Error) as caught:
        write_conditions({"If-None-Match": value})
    assert (caught.value.code, caught.value.extra) == ("NotImplemented", {"Header": "If-None-Match"})
    headers = {"If-None-Match": "*", "If-Match": '"a"', "Range": "bytes=0-"}
    assert write_conditions(headers) == {"If-None-Match": "*", "If-Match": '"a"'}


def test_tags_go_before_dates() -> None:
    asked = reading.conditions_of(
        {"If-Match": "a", "If-None-Match": "b", "If-Modified-Since": "c", "If-Unmodified-Since": "d"}
    )
    assert asked == ({"If-Match": "a", "If-None-Match": "b"}, {})
    asked = reading.conditions_of(
        {"X-Amz-Copy-Source-If-Modified-Since": "c", "X-Amz-Copy-Source-If-Unmodified-Since": "d", "If-Match": "a"},
        "X-Amz-Copy-Source-",
    )
    assert asked == ({}, {"If-Unmodified-Since": "d", "If-Modified-Since": "c"})
