"""Refuse names with forbidden characters or patterns, and long ones (Swift: Name Check).

The guard of this filter answers 400 to permitted requests through both APIs. The path that it checks is that of Swift,
`/v1/account/container/object`, also for S3. Objects with such names that exist already cannot be read, either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from objstore.core.errors import InvalidInput
from objstore.runtime import settings
from objstore.runtime.settings import positive, setting, table
from objstore.web import guards
from objstore.web.guards import Permitted
from objstore.web.requests import Environ, StartResponse, WsgiApp


def _regexp(text: str) -> re.Pattern[str] | None:
    """Parse a regular expression, '' for none. Raises ValueError."""
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None


@dataclass(frozen=True)
class NameCheckSettings:
    """Settings of the filter."""

    forbidden_chars: str = setting(str, "'\"`<>", "characters that no name may have")
    maximum_length: int = setting(positive, "255", "maximum length of the path /v1/account/container/object, in bytes")
    forbidden_regexp: re.Pattern[str] | None = setting(
        _regexp, r"/\./|/\.\./|/\.$|/\.\.$", "regular expression that no path may contain; empty: none"
    )


SETTINGS = table(NameCheckSettings)
_WHAT = "Object/Container/Account name"


class NameCheck:
    """The filter."""

    def __init__(self, app: WsgiApp, values: NameCheckSettings) -> None:
        self.app = app
        self._chars = frozenset(values.forbidden_chars)
        self._values = values

    def info(self) -> dict[str, object]:
        pattern = self._values.forbidden_regexp
        return {
            "name_check": {
                "forbidden_chars": self._values.forbidden_chars,
                "maximum_length": self._values.maximum_length,
                "forbidden_regexp": "" if pattern is None else pattern.pattern,
            }
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        guards.add(environ, self._check)
        return self.app(environ, start_response)

    def _check(self, permitted: Permitted) -> None:
        problem = self.problem(f"/v1{permitted.name.path}")
        if problem:
            raise InvalidInput(problem)

    def problem(self, path: str) -> str:
        """Return '' if a path is allowed, else the reason for the client."""
        values = self._values
        if not self._chars.isdisjoint(path):
            return f"{_WHAT} contains forbidden chars from {values.forbidden_chars}"
        if len(path.encode("utf-8", "surrogateescape")) > values.maximum_length:
            return f"{_WHAT} longer than the allowed maximum {values.maximum_length}"
        pattern = values.forbidden_regexp
        if pattern is not None and pattern.search(path):
            return f"{_WHAT} contains a forbidden substring from regular expression {pattern.pattern}"
        return ""


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], NameCheck]:
    values = settings.read(NameCheckSettings, {**global_conf, **local_conf}, "filter:name_check")
    return lambda app: NameCheck(app, values)
