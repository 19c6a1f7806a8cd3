"""A bucket's policy and public access block as rules for requests of the Swift API.

A container is a bucket, whichever API it is spoken to by. What its policy denies is denied, and its public access
block keeps ACLs of Swift from making it public. Policies grant nothing here: Swift has ACLs for that. `SwiftGuard`
is a `web.access.AccessGuard`. It decides by pure functions: the actions that a request comes to, and ACLs without
what makes them public (`web.acls.without_public`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from objstore.core.errors import InvalidInput
from objstore.core.names import Name
from objstore.s3.access.check import POLICY_SYSMETA, PUBLIC_ACCESS, Access, read_block
from objstore.s3.errors import S3Error
from objstore.s3.request import S3Request
from objstore.web import access, acls, requests
from objstore.web.access import Identity
from objstore.web.infos import ContainerInfo
from objstore.web.keys import Credential
from objstore.web.requests import Environ
from objstore.web.responses import Response, error

if TYPE_CHECKING:
    from objstore.s3.context import Context

_ACLS = ("X-Container-Read", "X-Container-Write")
_OF_OBJECTS = {
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "PUT": "s3:PutObject",
    "POST": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}
_OF_CONTAINERS = {
    "GET": "s3:ListBucket",
    "HEAD": "s3:ListBucket",
    "PUT": "s3:CreateBucket",
    "POST": "s3:PutBucketTagging",
    "DELETE": "s3:DeleteBucket",
}
# Headers of a change that make further actions of it, by how their names begin.
_FURTHER_OF_OBJECTS = {"X-Delete-": "s3:DeleteObject"}
_FURTHER_OF_CONTAINERS = {
    "X-Container-Read": "s3:PutBucketAcl",
    "X-Container-Write": "s3:PutBucketAcl",
    "X-Container-Meta-Access-Control-": "s3:PutBucketCORS",
}
_CHANGES = ("PUT", "POST")
# Headers that condition keys may be about; those of S3 mean nothing here.
_KEPT_HEADERS = ("Referer", "User-Agent", "If-Match", "If-None-Match")


def actions_of(method: str, name: Name, headers: Mapping[str, str]) -> list[str]:
    """Return the actions of a request for a container or object, as policies name them."""
    table, further = (_OF_OBJECTS, _FURTHER_OF_OBJECTS) if name.object else (_OF_CONTAINERS, _FURTHER_OF_CONTAINERS)
    actions = [table[method]] if method in table else []
    if method in _CHANGES:
        sent = [header.replace("X-Remove-", "X-") for header in headers]
        actions += {action for start, action in further.items() if any(one.startswith(start) for one in sent)}
    return actions


def listing_query(query: Mapping[str, str]) -> dict[str, str]:
    """The query of a listing as S3 would ask it. `path=a` lists what is directly below `a/`."""
    asked = {name: query[name] for name in ("prefix", "delimiter") if name in query}
    if "path" in query:
        path = query["path"].rstrip("/")
        asked |= {"prefix": f"{path}/" if path else "", "delimiter": "/"}
    if "limit" in query:
        asked["max-keys"] = query["limit"]
    return asked


class SwiftGuard:
    """A `web.access.AccessGuard`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._closed_by_default = context.settings.default_public_access_block != "none"

    def __call__(self, environ: Environ, asked: access.Access) -> access.Access | Response:
        name = asked.name
        if name.container is None or asked.method == "OPTIONS":
            return asked
        info = self._context.native.container(environ, name)
        has_policy = bool(info.sysmeta.get(POLICY_SYSMETA))
        if not has_policy and not self._closed_by_default and not info.sysmeta.get(f"s3-{PUBLIC_ACCESS}-0"):
            return asked
        try:
            return self._judged(environ, asked, info, has_policy)
        except S3Error as failure:  # the policy, or the object that it asks about, cannot be read
            return error(failure.status)

    def _judged(
        self, environ: Environ, asked: access.Access, info: ContainerInfo, has_policy: bool
    ) -> access.Access | Response:
        context = self._context
        block = read_block(context.native.config(info, PUBLIC_ACCESS) or context.settings.default_public_access_block)
        if block.block_acls and _makes_public(environ, asked):
            return error(403, "Public ACLs are blocked")
        if has_policy and self._denies(environ, asked):
            identity: Identity | None = environ.get("objstore.identity")
            return error(403) if identity is not None else access.unauthorized(asked.name.account)
        return asked._replace(acl=acls.without_public(asked.acl)) if block.ignore_acls else asked

    def _denies(self, environ: Environ, asked: access.Access) -> bool:
        request = _as_s3(environ, asked)
        bucket, key = asked.name.of_container, asked.name.object or ""
        decider: Access = self._context.access
        actions = actions_of(asked.method, asked.name, requests.headers(environ))
        return any(decider.denies(self._context, request, action, bucket, key) for action in actions)


def _makes_public(environ: Environ, asked: access.Access) -> bool:
    if asked.name.object is not None or asked.method not in _CHANGES:
        return False
    return any(acls.without_public(value) != value for value in (_sent_acl(environ, name) for name in _ACLS))


def _sent_acl(environ: Environ, header: str) -> str:
    """In normal form; a malformed one is refused further in."""
    try:
        return acls.clean(header, requests.header(environ, header))
    except InvalidInput:
        return ""


def _as_s3(environ: Environ, asked: access.Access) -> S3Request:
    """The request as the reading of condition keys needs it."""
    identity: Identity | None = environ.get("objstore.identity")
    credential = None
    if identity is not None:
        account = environ.get("objstore.account") or next(iter(identity.accounts), "")
        credential = Credential(identity, "", account)
    sent = requests.headers(environ)
    headers = {name: sent[name] for name in _KEPT_HEADERS if name in sent}
    query = listing_query(requests.query(environ)) if asked.name.object is None else {}
    no_body: Any = None
    return S3Request(environ, asked.name.container or "", asked.name.object or "", query, headers, no_body, credential)
