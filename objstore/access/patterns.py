"""Patterns of policies and CORS rules: `*` for any text, `?` for one character, `${key}` for what a request has.

Matching takes time linear in the pattern for each place of the text, whatever the pattern: the
text between two stars is looked for at its first place only, which is enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

Values = Mapping[str, Sequence[str]]  # condition keys, in lower case, to what the request has of them

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_LITERAL = {"*": "*", "?": "?", "$": "$"}
# A key, perhaps with what it is taken for where the request has none: `${aws:username, 'nobody'}`.
_REFERENCE = re.compile(r"\s*([A-Za-z0-9:/_.+=@-]+)\s*(?:,\s*'([^']*)'\s*)?\Z")


def _expression(parts: Sequence[str]) -> str:
    """parts: the literal text between the stars, as expressions."""
    first, *rest = parts
    if not rest:
        return first + r"\Z"
    *middle, last = rest
    # Atomic groups: what a part was found at first is never given back.
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + f".*{last}\\Z"


def _escaped(text: str) -> str:
    return re.escape(text).replace(r"\?", ".")


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_expression([_escaped(part) for part in pattern.split("*")]), re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    return compiled(pattern).match(text) is not None


def variables(pattern: str) -> frozenset[str]:
    """The condition keys, in lower case, that a pattern refers to."""
    found = (_REFERENCE.match(inner) for inner in _VARIABLE.findall(pattern) if inner not in _LITERAL)
    return frozenset(match[1].lower() for match in found if match)


def is_malformed(pattern: str) -> bool:
    """Does a `${` begin what is no variable? It would never be replaced."""
    if pattern.count("${") != len(_VARIABLE.findall(pattern)):
        return True
    return any(inner not in _LITERAL and not _REFERENCE.match(inner) for inner in _VARIABLE.findall(pattern))


def filled(pattern: str, values: Values) -> str | None:
    """Plain text with its variables replaced; None where the request has no single value for one."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        found = _value(match[1], values)
        missing = missing or found is None
        return found or ""

    text = _VARIABLE.sub(value, pattern)
    return None if missing else text


def matches_filled(pattern: str, text: str, values: Values) -> bool:
    """Does a pattern with variables match? What stands for a variable is taken literally, stars and all."""
    parts = [""]
    end = 0
    for match in _VARIABLE.finditer(pattern):
        _extend(parts, pattern[end : match.start()])
        found = _value(match[1], values)
        if found is None:
            return False
        parts[-1] += re.escape(found)
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
    found = values.get(match[1].lower(), ())
    return found[0] if len(found) == 1 else match[2]
