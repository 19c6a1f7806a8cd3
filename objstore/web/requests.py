"""Reading a WSGI environ: names, headers, queries, bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.core.numbers import whole
from objstore.core.text import ENVIRON_KEY, HEADER_NAME, to_native, to_text

Environ = dict[str, Any]
StartResponse = Callable[..., object]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

__all__ = [
    "ENVIRON_KEY",
    "Environ",
    "StartResponse",
    "WsgiApp",
    "WsgiBody",
    "api_name",
    "content_length",
    "has_body",
    "header",
    "headers",
    "parameters",
    "query",
    "strict_text",
    "to_native",
    "to_text",
    "vouch",
]


def vouch(environ: Environ) -> None:
    """Tell the server that the client has valid credentials: its connection is not ended to make room for others."""
    known = environ.get("objstore.vouch")
    if known is not None:
        known()


def strict_text(native: str, reserved: bool = False) -> str:
    """Text of a native string that must be UTF-8 and, but for `reserved` names, without NUL; raises InvalidInput."""
    if native.isascii():
        text = native
    else:
        try:
            text = native.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidInput("Invalid UTF8 or contains NULL") from None
    if "\x00" in text and not reserved:
        raise InvalidInput("Invalid UTF8 or contains NULL")
    return text


def headers(environ: Environ) -> dict[str, str]:
    """All request headers, canonical name to text, Content-Type and Content-Length among them."""
    found = {
        HEADER_NAME[key]: value if value.isascii() else to_text(value)
        for key, value in environ.items()
        if key[:5] == "HTTP_"
    }
    if environ.get("CONTENT_TYPE"):
        found["Content-Type"] = to_text(environ["CONTENT_TYPE"])
    if environ.get("CONTENT_LENGTH"):
        found["Content-Length"] = environ["CONTENT_LENGTH"]
    return found


def header(environ: Environ, name: str, default: str = "") -> str:
    """One request header as text."""
    value = environ.get(ENVIRON_KEY[name])
    return default if value is None else to_text(value)


def query(environ: Environ) -> dict[str, str]:
    """The items of a request's query, see `parameters`."""
    raw = environ.get("QUERY_STRING")
    return parameters(raw) if raw else {}


def parameters(raw: str) -> dict[str, str]:
    """The items of a query as text, the last of a repeated name; raises InvalidInput if it is not UTF-8."""
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=1000)
    except (UnicodeDecodeError, ValueError):
        raise InvalidInput("Invalid UTF8 or contains NULL") from None
    return dict(pairs)


def api_name(path: str, reserved: bool = False) -> tuple[str, Name] | None:
    """Return version and name of a native path `/v1/account[/container[/object]]`, None for another shape.

    A trailing slash after the account or container is ignored, as Swift does. Raises InvalidInput if the path is not
    UTF-8, or holds NUL and `reserved` is false: names with NUL are reserved for the system.
    """
    parts = path.split("/", 4)
    if len(parts) < 3 or parts[0] or not parts[1] or not parts[2]:
        return None
    container = parts[3] if len(parts) > 3 else ""
    obj = parts[4] if len(parts) > 4 else ""
    if obj and not container:
        return None
    if not path.isascii() or ("\x00" in path and not reserved):
        name = Name(
            strict_text(parts[2], reserved),
            strict_text(container, reserved) or None,
            strict_text(obj, reserved) or None,
        )
    else:
        name = Name(parts[2], container or None, obj or None)
    return parts[1], name


def content_length(environ: Environ) -> int | None:
    """Return the announced length of the body, None if there is none; raises InvalidInput."""
    text = environ.get("CONTENT_LENGTH")
    if not text:
        return None
    length = whole(text)
    if length is None:
        raise InvalidInput(f"Content-Length is not a number: {text[:60]!r}")
    return length


def has_body(environ: Environ) -> bool:
    return environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


class WsgiBody:
    """The body of a request, for those who read it without an environ: see `layers.bodies.ObjectBody`."""

    __slots__ = ("_environ", "length", "read_chunk", "readinto")

    def __init__(self, environ: Environ) -> None:
        length = content_length(environ)
        stream = environ["wsgi.input"]
        self._environ = environ
        self.length = 0 if length is None and not has_body(environ) else length
        self.read_chunk: Callable[[int], bytes] = getattr(stream, "read_chunk", None) or stream.read
        self.readinto: Callable[[memoryview], int] | None = getattr(stream, "readinto", None)

    def check(self) -> None:
        """Raise BodyTruncated if the client is known to have gone before the end of the body; reads nothing."""
        check = self._environ.get("objstore.check_body")
        if check is not None:
            check()
