"""The decision over redirects of a website: which rule applies to a request, and where it leads.

Rules without an error code apply before the object is looked up, those with one when the answer would be that error.
The first that matches counts. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from objstore.s3.websites.configuration import Redirect, RoutingRule

_IN_PATH = "/:@!$&'()*+,;=~"  # characters of a key that stay as they are in a path
_IN_URL = f"{_IN_PATH}?#[]%"  # also in a URL or a part of one, which may have a query and a fragment


class Origin(NamedTuple):
    """The address of a request. scheme, host: as the client used them. query: text, as it was sent, '' for none.

    root: the path of the website on the host: '' or `/bucket`.
    """

    scheme: str
    host: str
    root: str = ""
    query: str = ""


def rule_for(rules: Iterable[RoutingRule], key: str, status: int = 0) -> RoutingRule | None:
    """Return the rule that applies to a key. status: of the error, 0 before the look-up."""
    return next((rule for rule in rules if rule.status == status and key.startswith(rule.prefix)), None)


def location(redirect: Redirect, key: str, origin: Origin, matched: str = "") -> str:
    """Return the URL that a redirect of a key leads to. matched: the prefix of the key that the rule matched.

    The query of the request goes along, unless the replacement has one or a fragment.
    """
    if redirect.key is not None:
        path = _as_url(redirect.key)
    elif redirect.prefix is not None:
        path = _as_url(redirect.prefix) + quoted(key[len(matched) :])
    else:
        path = quoted(key)
    start = f"{redirect.protocol or origin.scheme}://{redirect.host or origin.host + origin.root}"
    replaced = redirect.key or redirect.prefix or ""
    query = f"?{_in_url(origin.query)}" if origin.query and not set("?#") & set(replaced) else ""
    return f"{start}/{path}{query}"


def object_location(value: str, origin: Origin) -> str:
    """Return the URL for the x-amz-website-redirect-location of an object: a URL, or a path of the website."""
    url = _in_url(value)
    return f"{origin.scheme}://{origin.host}{origin.root}{url}" if value.startswith("/") else url


def quoted(key: str) -> str:
    """Return a key as a path, without a slash before it."""
    return quote(key, safe=_IN_PATH, errors="surrogateescape")


def _as_url(replacement: str) -> str:
    """Return the replacement of a key or prefix as a part of a URL. A slash before it means nothing."""
    return _in_url(replacement.removeprefix("/"))


def _in_url(text: str) -> str:
    """Return a URL, or a part of one, with all characters encoded that it must not have."""
    return quote(text, safe=_IN_URL, errors="surrogateescape")
