"""Patterns of policies and CORS rules: `*` for any text, `?` for one character, `${key}` for a value of a request.

Matching takes time linear in the pattern for each place of the text, for every pattern: the
text between two stars is searched for at its first place only, which is enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

Values = Mapping[str, Sequence[str]]  # condition keys, in lower case, to their values in the request

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_LITERAL = {"*": "*", "?": "?", "$": "$"}
# A key, perhaps with a default if the request has none: `${aws:username, 'nobody'}`.
_REFERENCE = re.compile(r"\s*([A-Za-z0-9:/_.+=@-]+)\s*(?:,\s*'([^']*)'\s*)?\Z")


def _expression(parts: Sequence[str]) -> str:
    """Return a regular expression. parts: the literal text between the stars, as expressions."""
    first, *rest = parts
    if not rest:
        return first + r"\Z"
    *middle, last = rest
    # Atomic groups: the first match of a part is final.
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + f".*{last}\\Z"


def _escaped(text: str) -> str:
    return re.escape(text).replace(r"\?", ".")


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_expression([_escaped(part) for part in pattern.split("*")]), re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    return compiled(pattern).match(text) is not None


def variables(pattern: str) -> frozenset[str]:
    """Return the condition keys, in lower case, that a pattern refers to."""
    references = (_REFERENCE.match(inner) for inner in _VARIABLE.findall(pattern) if inner not in _LITERAL)
    return frozenset(match[1].lower() for match in references if match)


def is_malformed(pattern: str) -> bool:
    """Return whether a `${` begins text that is not a variable, which would never be replaced."""
    if pattern.count("${") != len(_VARIABLE.findall(pattern)):
        return True
    return any(inner not in _LITERAL and not _REFERENCE.match(inner) for inner in _VARIABLE.findall(pattern))


def filled(pattern: str, values: Values) -> str | None:
    """Return plain text with its variables replaced; None if the request lacks a single value for one."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        text = _value(match[1], values)
        missing = missing or text is None
        return text or ""

    text = _VARIABLE.sub(value, pattern)
    return None if missing else text


def matches_filled(pattern: str, text: str, values: Values) -> bool:
    """Return whether a pattern with variables matches. Values of variables are literal, even their stars."""
    parts = [""]
    end = 0
    for match in _VARIABLE.finditer(pattern):
        _extend(parts, pattern[end : match.start()])
        value = _value(match[1], values)
        if value is None:
            return False
        parts[-1] += re.escape(value)
        end = match.end()
    _extend(parts, pattern[end:])
    return re.match(_expression(parts), text, re.DOTALL) is not None


def _extend(parts: list[str], text: str) -> None:
    first, *rest = text.split("*")
    parts[-1] += _escaped(first)
    parts.extend(_escaped(part) for part in rest)


def _value(inner: str, values: Values) -> str | None:
    if inner in _LITERAL:
        return _LITERAL[inner]
    match = _REFERENCE.match(inner)
    if match is None:
        return None
    texts = values.get(match[1].lower(), ())
    return texts[0] if len(texts) == 1 else match[2]
