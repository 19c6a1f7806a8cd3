"""Settings as frozen dataclasses: each field names a setting, how its text is read, its default and its help.

    @dataclass(frozen=True)
    class CacheSettings:
        info_ttl: float = setting(duration, "60s", "time to cache an info")

`read` makes such a value from the text of a section. `table` gives the class as a table of `Setting`; sample files,
checks and documentation are made from tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, field, fields
from functools import partial
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from objstore.core.errors import ConfigError

_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
_FALSE = frozenset({"false", "0", "no", "off", "f", "n"})
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)B?\Z", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\Z")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, None: 1}
_KEY = "setting"  # of the metadata of a field


class Dataclass(Protocol):
    """Any dataclass, of which settings are."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


_Settings = TypeVar("_Settings", bound=Dataclass)
_Parsed = TypeVar("_Parsed")
_Value = TypeVar("_Value", covariant=True)


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
            raise ValueError(f"is not one of {', '.join(allowed)}")
        return text.strip()

    return cast


def rate(text: str) -> float:
    """So much a second, mostly 0 for no limit."""
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


class Setting(NamedTuple, Generic[_Value]):
    """parse: raises ValueError that says what is wrong with a text. default: as it would stand in a file."""

    name: str
    parse: Callable[[str], _Value]
    default: str
    help: str

    def read(self, section: Mapping[str, str], where: str = "") -> _Value:
        """The value in a section; raises ConfigError that names the setting, its text and why."""
        text = section.get(self.name, self.default)
        try:
            return self.parse(text)
        except ValueError as error:
            place = f" in {where}" if where else ""
            raise ConfigError(f"{self.name} = {text!r}{place}: {error}") from None


Table = tuple[Setting[object], ...]


def setting(parse: Callable[[str], _Parsed], default: str, help: str) -> _Parsed:
    """A field of a class of settings. A value that is made without the field has its default."""
    described = Setting("", parse, default, help)
    return field(default_factory=partial(parse, default), metadata={_KEY: described})


def table(cls: type[Dataclass], prefix: str = "") -> Table:
    """The settings of a class, in order. prefix: with which their names begin."""
    described = ((each.name, each.metadata.get(_KEY)) for each in fields(cls))
    return tuple(found._replace(name=prefix + name) for name, found in described if found is not None)


def read(cls: type[_Settings], section: Mapping[str, str], where: str = "", prefix: str = "") -> _Settings:
    """The values of a section; raises ConfigError that names the setting, its text and why.

    Names that the class lacks are passed over: PasteDeploy hands every section the defaults
    of its file. `unknown` finds them for `objstore config check`.
    """
    values = {each.name.removeprefix(prefix): each.read(section, where) for each in table(cls, prefix)}
    return cls(**values)


def with_defaults(settings: Table, defaults: Mapping[str, str]) -> Table:
    """The same settings with other defaults, by name."""
    return tuple(each._replace(default=defaults.get(each.name, each.default)) for each in settings)


def unknown(table: Iterable[Setting[object]], section: Iterable[str]) -> list[str]:
    """Names set in a section that no setting has."""
    known = {setting.name for setting in table}
    return sorted(name for name in section if name not in known)


def sample(table: Iterable[Setting[object]]) -> str:
    """The lines of a sample section: each setting commented out at its default, under its help.

    Per cent signs are doubled, as files of PasteDeploy need them.
    """
    lines = (f"# {setting.help}\n# {setting.name} = {setting.default}\n" for setting in table)
    return "".join(lines).replace("%", "%%")
