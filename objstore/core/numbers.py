"""Numbers in text that others send.

`int` takes spaces, signs, underscores and digits of every script, and raises ValueError above 4,300 digits; here a
number is a few ASCII digits and nothing else.
"""

from __future__ import annotations

MAX_DIGITS = 18  # a number of more is above every limit


def is_whole(text: str) -> bool:
    """Is the text one or more ASCII digits, however many?"""
    return text.isascii() and text.isdigit()


def whole(text: str) -> int | None:
    """The number that the text is; None for any other text, and above `MAX_DIGITS` digits."""
    return int(text) if len(text) <= MAX_DIGITS and text.isascii() and text.isdigit() else None
