"""Numbers in text from other programs.

`int` takes spaces, signs, underscores and digits of every script, and raises ValueError above 4,300 digits; here a
number is a few ASCII digits and nothing else.
"""

from __future__ import annotations

MAX_DIGITS = 18  # a longer number is above every limit


def is_whole(text: str) -> bool:
    """Return whether the text is one or more ASCII digits, of any length."""
    return text.isascii() and text.isdigit()


def whole(text: str) -> int | None:
    """Return the number in a text; None for any other text, or more than `MAX_DIGITS` digits."""
    return int(text) if len(text) <= MAX_DIGITS and text.isascii() and text.isdigit() else None
