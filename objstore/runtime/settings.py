"""Settings as tables: each names a setting, how its text is read, its default and its help.

Sample files, command line help and documentation are made from the same tables. A table is
a tuple of `Setting`; `read` turns the text values of one section into a value with an
attribute for each setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from objstore.core.errors import ConfigError

_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
_FALSE = frozenset({"false", "0", "no", "off", "f", "n"})
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)B?\Z", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\Z")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, None: 1}


def boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("is neither true nor false")


def size(text: str) -> int:
    """Bytes: `4096`, `64K`, `5G`; units are powers of 1024."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError("is not a size such as 4096, 64K or 5G")
    return int(float(match[1]) * 1024 ** " KMGTP".index(match[2].upper() or " "))


def duration(text: str) -> float:
    """Seconds: `30`, `0.5`, `250ms`, `10m`, `7d`."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError("is not a duration such as 30, 250ms, 10m or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def words(text: str) -> tuple[str, ...]:
    """Items separated by commas or white space."""
    return tuple(text.replace(",", " ").split())


def choice(*allowed: str) -> Callable[[str], str]:
    def cast(text: str) -> str:
        if text.strip() not in allowed:
            raise ValueError(f"is none of {', '.join(allowed)}")
        return text.strip()

    return cast


def rate(text: str) -> float:
    """So much a second, mostly 0 for no bound."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError("is not a number of at least 0")
    return number


def natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("is not at least 0")
    return number


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("is not at least 1")
    return number


class Setting(NamedTuple):
    """default: as it would stand in a file."""

    name: str
    cast: Callable[[str], Any]
    default: str
    help: str


Table = tuple[Setting, ...]


def read(table: Iterable[Setting], section: Mapping[str, str], where: str = "") -> Any:
    """The values of a section; raises ConfigError that names the setting, its value and why.

    Names that the table lacks are passed over: PasteDeploy hands every section the defaults
    of its file. `unknown` finds them for `objstore config check`.
    """
    values = SimpleNamespace()
    for setting in table:
        text = section.get(setting.name, setting.default)
        try:
            value = setting.cast(text)
        except ValueError as error:
            place = f" in {where}" if where else ""
            raise ConfigError(f"{setting.name} = {text!r}{place}: {error}") from None
        setattr(values, setting.name, value)
    return values


def unknown(table: Iterable[Setting], section: Iterable[str]) -> list[str]:
    """Names set in a section that no setting has."""
    known = {setting.name for setting in table}
    return sorted(name for name in section if name not in known)


def sample(table: Iterable[Setting]) -> str:
    """The lines of a sample section: each setting commented out at its default, under its help.

    Per cent signs are doubled, as files of PasteDeploy need them.
    """
    lines = (f"# {setting.help}\n# {setting.name} = {setting.default}\n" for setting in table)
    return "".join(lines).replace("%", "%%")
