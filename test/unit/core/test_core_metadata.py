"""What of stored headers an answer can have."""

from __future__ import annotations

import pytest

from objstore.core.errors import InvalidInput
from objstore.core.metadata import check_sendable, not_sendable

SOUND = {"X-Object-Meta-A": "plain", "X-Object-Meta-%25": "ümläut\tand tab, \xa0 too", "Content-Type": "text/plain"}


def test_text_of_any_script_can_be_sent() -> None:
    assert not_sendable(SOUND) == []
    check_sendable(SOUND)


def test_bytes_that_are_no_text_can_be_sent() -> None:
    assert not_sendable({"X-Object-Meta-A": b"\xff\xfe".decode("utf-8", "surrogateescape")}) == []


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "\x01", "\x7f", "\x1b[0m", "\ud800", "\udfff"])
def test_controls_and_halves_of_characters_cannot_be_sent(value: str) -> None:
    assert not_sendable({**SOUND, "X-Object-Meta-B": value}) == ["X-Object-Meta-B"]
    with pytest.raises(InvalidInput, match="X-Object-Meta-B"):
        check_sendable({"X-Object-Meta-B": value})


@pytest.mark.parametrize("name", ["", "X-Object-Meta-A B", "X:Y", "X-Ü", "X\r\nY", "X(Y)"])
def test_names_that_are_no_tokens_cannot_be_sent(name: str) -> None:
    if name:
        assert not_sendable({**SOUND, name: "v"}) == [name]
        with pytest.raises(InvalidInput):
            check_sendable({name: "v"})
