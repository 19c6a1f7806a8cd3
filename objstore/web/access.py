"""The seam between those who serve names and those who know who may use them.

An authentication filter puts two things into environ:

- `objstore.identity`: the `Identity` of the one who asks; absent for anonymous requests.
- `objstore.account`: the storage account that a user works in, beside the identity.
- `objstore.authorize`: an `Authorizer`, called by the proxy once it knows what the request
  wants and which ACL stands on it. The proxy calls `permit` below and nothing else.

A filter that keeps rules of its own about a container puts an `AccessGuard` into `objstore.guard`: it is asked
first, whoever asks, and can only take away.

A request made with the system's own rights (`objstore.preauthorized`) is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from objstore.core.names import Name
from objstore.web.requests import Environ
from objstore.web.responses import Response, error


class Identity(NamedTuple):
    """Who asks. user: `account:user` as it logged in. groups: what ACLs can name, the user and its
    project account's name first; `.admin` and `.reseller_admin` never stand in ACLs."""

    user: str
    groups: tuple[str, ...]
    accounts: tuple[str, ...]  # storage accounts (`AUTH_test`) that this identity owns
    reseller_admin: bool = False


class Access(NamedTuple):
    """What is asked: the name, the method, and the container's ACL that decides over it ('' for none)."""

    name: Name
    method: str
    acl: str = ""


# None lets the request pass; a response (401, 403) refuses it. An authorizer also sets
# environ['objstore.owner'] to True where the one who asks owns the account: only owners see
# and set ACLs, sync keys and the like.
Authorizer = Callable[[Environ, Access], Response | None]
# What is left to be asked of the authorizer (with an ACL that grants less, perhaps), or the refusal.
AccessGuard = Callable[[Environ, Access], Access | Response]


def permit(environ: Environ, access: Access) -> Response | None:
    """None where the request may go on, else the response that refuses it."""
    if environ.get("objstore.preauthorized"):
        environ["objstore.owner"] = True
        return None
    guard: AccessGuard | None = environ.get("objstore.guard")
    if guard is not None:
        judged = guard(environ, access)
        if isinstance(judged, Response):
            return judged
        access = judged
    authorize: Authorizer | None = environ.get("objstore.authorize")
    if authorize is None:  # a pipeline without authentication: everyone owns everything
        environ["objstore.owner"] = True
        return None
    return authorize(environ, access)


def unauthorized(realm: str) -> Response:
    """401 with the challenge that Swift sends."""
    named = quote(realm.encode("utf-8", "surrogateescape")) or "unknown"
    return error(401, headers={"Www-Authenticate": f'Swift realm="{named}"'})
