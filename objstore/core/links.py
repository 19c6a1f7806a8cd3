"""Headers of links (Swift: symlinks): objects without content that are read as another one, their target.

The maker of a link sets them, and they are stored with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

from objstore.core.errors import InvalidInput
from objstore.core.names import RESERVED, Name

LINK = "X-Object-Sysmeta-Symlink-Target"  # `container/object`, percent-encoded
LINK_ACCOUNT = "X-Object-Sysmeta-Symlink-Target-Account"  # percent-encoded; without it, the account of the link
# Of a static link, which is read only while its target has this etag, without quotes; and the size it then has.
LINK_ETAG = "X-Object-Sysmeta-Symlink-Target-Etag"
LINK_BYTES = "X-Object-Sysmeta-Symlink-Target-Bytes"
LINK_TYPE = "application/symlink"  # of a link whose maker gives no content type


class Link(NamedTuple):
    """A link. target: an object. etag: that the target must have, '' for a dynamic link. size: bytes of that."""

    target: Name
    etag: str = ""
    size: int = 0

    def headers(self, account: str) -> dict[str, str]:
        """Return the headers that make an object of an account this link."""
        headers = {LINK: quote(f"{self.target.container}/{self.target.object}")}
        if self.target.account != account:
            headers[LINK_ACCOUNT] = quote(self.target.account, safe="")
        if self.etag:
            headers |= {LINK_ETAG: self.etag, LINK_BYTES: str(self.size)}
        return headers


def parse(headers: Mapping[str, str], account: str) -> Link:
    """Return the link with these headers, which is an object of an account.

    Raises InvalidInput if no client can have made it: links never lead to hidden containers.
    """
    owner = unquote(headers.get(LINK_ACCOUNT, "")) or account
    target = Name.parse(f"/{owner}/{unquote(headers[LINK])}")
    if RESERVED in target.path:
        raise InvalidInput(f"a link leads to a reserved name: {headers[LINK][:200]!r}")
    return Link(target, headers.get(LINK_ETAG, ""), int(headers.get(LINK_BYTES, 0)))
