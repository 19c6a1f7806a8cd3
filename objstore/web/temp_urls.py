"""The query of a temporary URL, and the texts that its signature covers (Swift documentation: TempURL).

    GET\\n<seconds since the epoch>\\n/v1/<account>/<container>/<object>
    GET\\n<seconds since the epoch>\\nprefix:/v1/<account>/<container>/<prefix>

Before the method stands `ip=<addresses>\\n` if the URL is limited to addresses. The path is percent-decoded.
"""

from __future__ import annotations

import calendar
import re
import time
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from objstore.core.errors import InvalidInput
from objstore.core.numbers import whole
from objstore.core.text import to_native
from objstore.web.responses import http_date
from objstore.web.url_keys import DIGESTS, UrlSignature, parse_signature

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
MARK = "temp_url_"  # of the names of all signed parameters
FOR_PAGE = "objstore.for_page"  # in the environ of a request of which a web site's page is made
VERSION = "v1"  # of the API, in paths
_SIGNATURE, _EXPIRES, _PREFIX, _IP_RANGE = "temp_url_sig", "temp_url_expires", "temp_url_prefix", "temp_url_ip_range"
_NAMES = frozenset({_SIGNATURE, _EXPIRES, _PREFIX, _IP_RANGE, "filename", "inline"})
_SHOWING = ("HEAD", "GET", "PUT", "POST")  # a HEAD may also be made by the URL of a method that shows as much
_LAST_DATE = 253_402_300_799  # the end of the year 9999: years in dates of HTTP have four digits
_MAX_PARAMETERS = 1000
_MAX_CACHED, _MAX_CACHED_LENGTH = 2048, 512  # queries, and characters of one
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.~-]+\Z")  # without a character to encode
_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", re.ASCII)


class TempUrl(NamedTuple):
    """The parameters of a temporary URL, as text. expires: seconds since the epoch.

    signed_expires: the same as the signature covers it. expires_header: the same as a date of HTTP. prefix, ip_range:
    None if not limited by it. filename: '' for none. further: names of other parameters, which nobody has signed.
    """

    signature: UrlSignature
    expires: int
    signed_expires: str
    expires_header: str
    prefix: str | None
    ip_range: str | None
    filename: str
    inline: bool
    further: frozenset[str]

    def texts(self, method: str, path: str) -> list[bytes]:
        """Return the texts of which one must be signed for a request. path: native, of an object.

        Raises InvalidInput if the path does not begin with the prefix.
        """
        if self.prefix is not None:
            _, version, account, container, name = path.split("/", 4)
            prefix = to_native(self.prefix)
            if not name.startswith(prefix):
                raise InvalidInput("prefix")
            path = f"prefix:/{version}/{account}/{container}/{prefix}"
        limits = "" if self.ip_range is None else f"ip={self.ip_range}\n"
        rest = f"\n{self.signed_expires}\n{path}"
        if method != "HEAD":
            return [f"{limits}{method}{rest}".encode("latin-1")]
        return [f"{limits}{signed}{rest}".encode("latin-1") for signed in _SHOWING]

    def disposition(self, path: str, stored: str) -> str:
        """Return the Content-Disposition of an answer. path: of the object, as text. stored: its own, '' for none."""
        if self.filename:
            return f"{'inline' if self.inline else 'attachment'}; {_file_name(self.filename)}"
        if self.inline:
            return "inline"
        return stored or f"attachment; {_file_name(path.rstrip('/').rpartition('/')[2])}"


def parse(query: str) -> TempUrl:
    """Return the parameters of a native query.

    Raises InvalidInput with a reason of one word if it is not the query of a temporary URL.
    """
    return _parsed(query) if len(query) <= _MAX_CACHED_LENGTH else _parsed.__wrapped__(query)


@lru_cache(maxsize=_MAX_CACHED)  # many requests are for ranges of one object, or for objects of one prefix
def _parsed(query: str) -> TempUrl:
    values: dict[str, str] = {}
    further = set()
    pieces = query.split("&")
    if len(pieces) > _MAX_PARAMETERS:
        raise InvalidInput("malformed")
    is_encoded = "%" in query or "+" in query or not query.isascii()
    for piece in pieces:
        name, _, value = piece.partition("=")
        if is_encoded:
            name, value = _decoded(name), _decoded(value)
        if name not in _NAMES:
            further.add(name)
        elif name in values:
            raise InvalidInput("repeated")
        else:
            values[name] = value
    signature, expires = values.get(_SIGNATURE), values.get(_EXPIRES)
    if not signature or not expires:
        raise InvalidInput("malformed")
    ip_range = values.get(_IP_RANGE)
    if ip_range is not None and not ip_range.isascii():
        raise InvalidInput("malformed")
    seconds, signed = _time(expires)
    parsed = parse_signature(signature, DIGESTS)
    if parsed is None:
        raise InvalidInput("digest")
    return TempUrl(
        parsed,
        seconds,
        signed,
        http_date(min(seconds, _LAST_DATE)),
        values.get(_PREFIX),
        ip_range,
        values.get("filename", ""),
        "inline" in values,
        frozenset(further),
    )


def _decoded(raw: str) -> str:
    try:
        return unquote_to_bytes(raw.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise InvalidInput("malformed") from None


def _time(text: str) -> tuple[int, str]:
    """Return a time of expiry in seconds, and its signed form: digits as they were sent."""
    seconds = whole(text)
    if seconds is not None:
        return seconds, text
    if not _ISO_8601.match(text):
        raise InvalidInput("malformed")
    try:
        seconds = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    except (ValueError, OverflowError):
        raise InvalidInput("malformed") from None
    return seconds, str(seconds)


def check_address(ip_range: str, address: str) -> None:
    """Raise InvalidInput if the address of a client is not in a range, or the range is not valid."""
    network = _network(ip_range)
    try:
        client = ip_address(address)
    except ValueError:
        raise InvalidInput("address") from None
    if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:
        client = client.ipv4_mapped
    if network is None or client not in network:
        raise InvalidInput("address")


@lru_cache(maxsize=1024)
def _network(text: str) -> IPv4Network | IPv6Network | None:
    """Return the network, or the single address, of a text; None for another text."""
    try:
        return ip_network(text)
    except ValueError:
        return None


def _file_name(name: str) -> str:
    """Return the parameters of Content-Disposition for a file name (RFC 6266, 4.3)."""
    if _PLAIN_NAME.match(name):
        return f"filename=\"{name}\"; filename*=UTF-8''{name}"
    data = name.encode("utf-8", "surrogateescape")
    return f"filename=\"{quote(data, safe=' /')}\"; filename*=UTF-8''{quote(data)}"
