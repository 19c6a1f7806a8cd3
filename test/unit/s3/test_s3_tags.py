"""Tag sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.s3.data import object_headers
from objstore.s3.language import tags, xml
from objstore.s3.language.errors import S3Error

LETTERS = st.sampled_from("abzAZ09 _.:/=+-@é\u4e2d\u3000\t")
WORDS = st.text(LETTERS, max_size=20)
TAGS = st.dictionaries(WORDS.filter(bool), WORDS, max_size=10)


@given(TAGS)
def test_tags_are_kept(some: dict[str, str]) -> None:
    kept = tags.dump(some)
    assert tags.load(kept) == some
    assert tags.count(kept) == len(some)
    assert tags.from_header(kept) == some
    assert not set(kept) & set(" \t")


@given(TAGS)
def test_tags_are_said_in_xml(some: dict[str, str]) -> None:
    assert tags.from_xml(xml.parse(tags.to_xml(some))) == some


@pytest.mark.parametrize("letter", ["\x0b", "\x0c", "\x1c", "\x1f", "\0"])
def test_blanks_that_xml_cannot_have_are_refused(letter: str) -> None:
    """They were stored, and no client could read the document of the tags again."""
    for pair in ((f"a{letter}", "b"), ("a", f"b{letter}")):
        with pytest.raises(S3Error) as caught:
            tags.checked([pair])
        assert caught.value.code == "InvalidTag"


@pytest.mark.parametrize("letter", ["é", "\U00020000", " ", "\u3000", "+", "\n"])
def test_the_kept_form_of_the_longest_tags_fits_a_header_line(letter: str) -> None:
    """Blanks that are not ASCII took nine characters each, which was more than a line between servers may have."""
    some = {f"{number}" + letter * 127: letter * 256 for number in range(10)}
    line = f"{object_headers.TAGS}: {tags.dump(tags.checked(some.items()))}"
    assert len(line.encode()) < 16384


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([("a", "b"), ("a", "c")], "InvalidTag"),
        ([("", "b")], "InvalidTag"),
        ([("k" * 129, "")], "InvalidTag"),
        ([("k", "v" * 257)], "InvalidTag"),
        ([("AWS:k", "v")], "InvalidTag"),
        ([("k", "\x00")], "InvalidTag"),
        ([("k", "a&b")], "InvalidTag"),
        ([(str(number), "") for number in range(11)], "BadRequest"),
    ],
)
def test_what_is_no_tag_set(pairs: list[tuple[str, str]], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        tags.checked(pairs)
    assert caught.value.code == code


def test_buckets_have_more() -> None:
    pairs = [(str(number), "") for number in range(50)]
    assert len(tags.checked(pairs, tags.MAX_OF_BUCKET)) == 50


def test_a_header_that_is_not_utf_8() -> None:
    with pytest.raises(S3Error) as caught:
        tags.from_header("a=%FF")
    assert caught.value.code == "InvalidArgument"
