"""Numbers that others send: a few ASCII digits, and nothing that `int` takes besides."""

from __future__ import annotations

import pytest

from objstore.core.numbers import MAX_DIGITS, is_whole, whole


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * MAX_DIGITS, int("9" * MAX_DIGITS))])
def test_digits_are_a_number(text: str, number: int) -> None:
    assert whole(text) == number


@pytest.mark.parametrize("text", ["", " 1", "1\n", "-1", "+1", "1_0", "1.0", "1e3", "²", "٣", "9" * (MAX_DIGITS + 1)])
def test_anything_else_is_none(text: str) -> None:
    assert whole(text) is None


def test_digits_without_end_are_no_error() -> None:
    assert whole("1" * 5000) is None  # int() raises ValueError above 4,300
    assert is_whole("1" * 5000)
