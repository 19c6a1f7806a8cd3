"""The decision about a request, by the documented rules of Swift's tempauth.

In order: reseller admins may do everything; owners everything in their account, except to create or delete it; OPTIONS
is open to all; then the grants of the container's ACL to referrers and groups; then those of the account's ACL. All
others are refused: 401 if anonymous, 403 if known.
"""

from __future__ import annotations

from objstore.auth.prefixes import Prefix, Prefixes
from objstore.auth.users import RESELLER_READER
from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer
from objstore.web import acls
from objstore.web.access import Access, Identity, unauthorized
from objstore.web.context import RequestContext
from objstore.web.requests import Environ, header
from objstore.web.responses import Response, error

_READS = frozenset({"GET", "HEAD"})
_ACCOUNT_MANAGEMENT = frozenset({"PUT", "DELETE"})


class Authorizer:
    """An `Authorizer` as defined by `web.access`; layer: source of account ACLs."""

    def __init__(self, layer: ObjectLayer, prefixes: Prefixes) -> None:
        self._layer = layer
        self._prefixes = prefixes

    def __call__(self, environ: Environ, access: Access) -> Response | None:
        identity: Identity | None = environ.get("objstore.identity")
        prefix = self._prefixes.of(access.name.account)
        if prefix is None:
            return denied(identity, access.name.account)
        if identity is not None and _owns(identity, access, prefix):
            environ["objstore.owner"] = True
            return None
        if (
            access.method == "OPTIONS"
            or (identity is not None and _reads_all(identity, access, prefix))
            or _container_acl_allows(identity, access, environ)
            or (identity is not None and self._account_acl_allows(identity, access, environ))
        ):
            return None
        return denied(identity, access.name.account)

    def _account_acl_allows(self, identity: Identity, access: Access, environ: Environ) -> bool:
        info = self._layer.account_info(RequestContext.of(environ), access.name.account)
        level = acls.account_level(info.sysmeta.get(acls.ACCOUNT_ACL_SYSMETA, ""), identity.groups)
        if level == "admin" and not _manages_account(access):
            environ["objstore.owner"] = True
            return True
        if level == "read-write" and access.name.container is not None:
            return True
        return level != "" and access.method in _READS


def denied(identity: Identity | None, account: str) -> Response:
    """Return 403 for known users, else 401 with the same challenge as Swift."""
    return unauthorized(account) if identity is None else error(403)


def _manages_account(access: Access) -> bool:
    return access.name.container is None and access.method in _ACCOUNT_MANAGEMENT


def _owns(identity: Identity, access: Access, prefix: Prefix) -> bool:
    if identity.reseller_admin and not _is_system(access.name, prefix):
        return True
    if access.name.account not in identity.accounts or _manages_account(access):
        return False
    return not prefix.require_group or prefix.require_group in identity.groups


def _reads_all(identity: Identity, access: Access, prefix: Prefix) -> bool:
    return access.method in _READS and RESELLER_READER in identity.groups and not _is_system(access.name, prefix)


def _is_system(name: Name, prefix: Prefix) -> bool:
    """Return whether an account belongs to the system: its name begins with a period, or is the bare prefix."""
    return name.account[len(prefix.text) :][:1] in ("", ".")


def _container_acl_allows(identity: Identity | None, access: Access, environ: Environ) -> bool:
    if not access.acl:
        return False
    acl = acls.parse(access.acl)
    by_referrer = access.method in _READS and (access.name.object is not None or acl.listings)
    if by_referrer and acls.referrer_allowed(header(environ, "Referer"), acl):
        return True
    return identity is not None and acls.groups_allowed(identity, acl)
