"""Texts and bytes that were good before they were damaged at random, by a seed.

OBJSTORE_FUZZ_SEED chooses another run, OBJSTORE_FUZZ_SECONDS a longer one for each decoder.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence

SEED = int(os.environ.get("OBJSTORE_FUZZ_SEED", "1"))
SECONDS = float(os.environ.get("OBJSTORE_FUZZ_SECONDS", "0.8"))

# What has ever been read as something else than it is.
_SPECIAL = (
    "", " ", "\t", "\r\n", "\0", "\x7f", "\x85", "\xa0", "\u2028", "\ufeff", "\\ud800", "\\u0000", "é", "元", "²", "٣",
    "\U0001f600", "%", "%00", "%2", "%ff", "%C3%A9", "%0d%0a", "+", "=", "&", ";", ",", "/", "//", "..", "?", "#", '"',
    "'", "\\", "<", ">", "<a>", "</a>", "<!DOCTYPE a>", "<![CDATA[", "&amp;", "&#0;", "&#xD800;", "{", "}", "[", "]",
    "[]", "{}", "null", "true", "NaN", "Infinity", "1e999", "-1", "0", "1.5", "0x1", "1_0", "9" * 19, "9" * 5000,
    "=?utf-7?q?+2AA-?=", "=?utf-8?b?AA==?=", "[" * 2000, "<a>" * 300, "A" * 5000, "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
)  # fmt: skip


class Damage:
    """Damaged samples, the same for the same seed."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(f"{SEED} {seed}")

    def text(self, samples: Sequence[str]) -> str:
        """Text as it is once bytes have been decoded; those that are not UTF-8 as surrogates."""
        return self.bytes(samples).decode("utf-8", "surrogateescape")

    def native(self, samples: Sequence[str]) -> str:
        """As WSGI has it: a character for a byte."""
        return self.bytes(samples).decode("latin-1")

    def bytes(self, samples: Sequence[str]) -> bytes:
        rng = self._random
        text = rng.choice(samples)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
            text = self._once(text, rng.choice(samples))
        return text.encode("utf-8" if rng.random() < 0.9 else "latin-1", "ignore")

    def _once(self, text: str, other: str) -> str:
        rng = self._random
        start = rng.randint(0, len(text))
        stop = min(len(text), start + rng.choice((0, 0, 1, 1, 2, 5, 20, 200)))
        kind = rng.randrange(6)
        if kind == 0:  # a piece is gone
            return text[:start] + text[stop:]
        if kind == 1:  # twice there
            return text[:stop] + text[start:]
        if kind == 2:  # of another sample
            at = rng.randint(0, len(other))
            return text[:start] + other[at : at + rng.randint(1, 30)] + text[stop:]
        if kind == 3:  # any characters
            return text[:start] + "".join(chr(rng.randrange(256)) for _ in range(rng.randint(1, 4))) + text[stop:]
        return text[:start] + rng.choice(_SPECIAL) + text[stop:]

    def number(self, below: int) -> int:
        return self._random.randrange(below)

    def pick(self, choices: Sequence[str]) -> str:
        return self._random.choice(choices)


def tries(seconds: float = SECONDS) -> Iterator[int]:
    """Numbers until so many seconds have passed, 20 at least."""
    end = time.monotonic() + seconds
    count = 0
    while count < 20 or time.monotonic() < end:
        yield count
        count += 1


def hold(decode: Callable[..., object], given: object, expected: tuple[type[Exception], ...]) -> None:
    """Only the expected errors may come of what was given; shows it else."""
    try:
        decode(given)
    except expected:
        pass
    except Exception as failure:
        raise AssertionError(f"{type(failure).__name__}: {failure} of {given!r:.2000}") from failure
