"""Objects that headers of a request name, as `container/object`, percent-encoded."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from objstore.core.errors import MalformedHeader
from objstore.core.names import RESERVED, Name
from objstore.core.text import ENVIRON_KEY
from objstore.web.requests import Environ


def named_object(environ: Environ, which: str, account: str, slash: bool = False) -> Name:
    """Return the object that a header names.

    It is in the account of a second header, `<which>-Account`, or else in `account`. slash: one before the container is
    ignored. Raises MalformedHeader.
    """
    native = environ.get(ENVIRON_KEY[which], "")
    text = unquoted(native, which)
    parts = (text.removeprefix("/") if slash else text).split("/", 1)
    if len(parts) < 2 or not all(parts):
        raise MalformedHeader(f"{which} header must be of the form <container name>/<object name>")
    other = environ.get(ENVIRON_KEY[f"{which}-Account"])
    if other:
        account = unquoted(other, f"{which}-Account")
        if "/" in account:
            raise MalformedHeader("Account name cannot contain slashes")
    return Name(account, *parts)


def unquoted(native: str, which: str) -> str:
    """Return the text of a percent-encoded header. Raises MalformedHeader."""
    try:
        text = unquote_to_bytes(native.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedHeader(f"{which} header must be UTF-8") from None
    if RESERVED in text:
        raise MalformedHeader(f"{which} header must not contain NUL")
    return text
