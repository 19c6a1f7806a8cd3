"""Dynamic large objects in the Swift API: the header that makes one, and how their etag is shown."""

from __future__ import annotations

from objstore.core import dlo
from objstore.core.dlo import DLO
from objstore.core.errors import InvalidInput
from objstore.core.manifests import OWN_ETAG
from objstore.core.text import ENVIRON_KEY, to_text
from objstore.web.requests import Environ

_KEY = ENVIRON_KEY[DLO]


def check(environ: Environ, account: str, required: bool) -> None:
    """Check the header of a PUT or POST. required: an empty value is refused, too. Raises InvalidInput."""
    value = environ.get(_KEY)
    if value is None or (not value and not required):
        return
    if "?" in value or "&" in value:
        raise InvalidInput(f"{DLO} must be in the format container/prefix")
    dlo.parse(to_text(value), account)


def show(headers: dict[str, str]) -> None:
    """Change the headers of a dynamic large object that was read as its segments to those that clients see."""
    del headers[OWN_ETAG]
    headers["Etag"] = f'"{headers["Etag"]}"'  # in quotes, as Swift does, since it is not the MD5 of the content
