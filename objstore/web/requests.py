"""Reading a WSGI environ: names, headers, queries, bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from objstore.core.errors import BodyTruncated, InvalidInput, LimitExceeded
from objstore.core.names import Name
from objstore.core.numbers import whole
from objstore.core.text import ENVIRON_KEY, HEADER_NAME, to_native, to_text

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

__all__ = [
    "ENVIRON_KEY",
    "LATE_HEADERS",
    "Environ",
    "StartResponse",
    "WsgiApp",
    "api_name",
    "body_pieces",
    "check_body",
    "content_length",
    "has_body",
    "header",
    "headers",
    "late_headers",
    "parameters",
    "query",
    "read_body",
    "strict_text",
    "to_native",
    "to_text",
    "vouch",
]

PIECE = 1 << 20  # bytes asked of a body at a time
# A function of a trusted filter, called once the body of an object's PUT was read to its end: further
# headers to keep with the object (its checksum, which a client may send after the body). ASCII.
LATE_HEADERS = "objstore.late_headers"


def vouch(environ: Environ) -> None:
    """Tell the server that the client has valid credentials: its connection is not ended to make room for others."""
    known = environ.get("objstore.vouch")
    if known is not None:
        known()


def check_body(environ: Environ) -> None:
    """Raise BodyTruncated if the client is known to have gone before the end of its body; reads nothing."""
    check = environ.get("objstore.check_body")
    if check is not None:
        check()


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
    """Version and name of a native path `/v1/account[/container[/object]]`, None for another shape.

    A trailing slash after the account or container is ignored, as Swift does.
    Raises InvalidInput where the path is not UTF-8, or holds NUL and not `reserved`: names with
    NUL are the system's own.
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
    """The announced length of the body, None where there is none; raises InvalidInput."""
    text = environ.get("CONTENT_LENGTH")
    if not text:
        return None
    length = whole(text)
    if length is None:
        raise InvalidInput(f"Content-Length is not a number: {text[:60]!r}")
    return length


def has_body(environ: Environ) -> bool:
    return environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


def body_pieces(environ: Environ) -> Iterator[bytes]:
    """The request's body in pieces of up to 1 MiB; raises BodyTruncated where it ends early."""
    expected = content_length(environ)
    if expected is None and not has_body(environ):
        return
    stream = environ["wsgi.input"]
    read = getattr(stream, "read_chunk", stream.read)
    left = expected
    while left is None or left > 0:
        piece = read(PIECE if left is None else min(PIECE, left))
        if not piece:
            if left is not None:
                raise BodyTruncated(f"the body ended {left} bytes before its announced length")
            return
        if left is not None:
            left -= len(piece)
        yield piece


def late_headers(environ: Environ) -> Mapping[str, str]:
    """What a filter knows only after the body; see `LATE_HEADERS`."""
    late: Callable[[], Mapping[str, str]] | None = environ.get(LATE_HEADERS)
    return late() if late is not None else {}


def read_body(environ: Environ, most: int) -> bytes:
    """The whole body; raises LimitExceeded above `most` bytes, BodyTruncated where it ends early."""
    expected = content_length(environ)
    if expected is not None and expected > most:
        raise LimitExceeded(f"the body is larger than {most} bytes")
    pieces = []
    size = 0
    for piece in body_pieces(environ):
        size += len(piece)
        if size > most:
            raise LimitExceeded(f"the body is larger than {most} bytes")
        pieces.append(bytes(piece))
    return b"".join(pieces)
