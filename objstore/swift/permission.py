"""Access checks of the Swift API: the question to `access` for each request, and the answer to a refused one.

A container is a bucket in both APIs: each request maps to actions of bucket policies.
Earlier filters put their knowledge into environ:

- `objstore.realm`: the accounts that an identity system controls (`access.identity.Realm`). Without it there is
  no authentication, and everyone owns everything.
- `objstore.identity`: the client, absent for anonymous requests.
- `objstore.bucket_defaults`: defaults of buckets without their own settings (`access.bucket.BucketDefaults`).
- `objstore.preauthorized`: the request is made with the system's rights, and is not checked.

A request by an owner has `objstore.owner` in its environ: only owners see and set ACLs, sync keys and
the like.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from objstore.access import swift_acls
from objstore.access.actions import CREATE_ACCOUNT, DELETE_ACCOUNT, UPDATE_ACCOUNT
from objstore.access.bucket import NO_DEFAULTS, BucketDefaults
from objstore.access.condition_keys import Circumstances
from objstore.access.decision import PUBLIC_ACL_BLOCKED, Question
from objstore.access.identity import ANYONE, Identity, Realm
from objstore.access.judge import Judge, lets_owner_pass
from objstore.core.errors import AccessDenied, InvalidInput
from objstore.core.names import Name
from objstore.layers.interface import ObjectLayer
from objstore.web import requests
from objstore.web.context import RequestContext
from objstore.web.infos import ContainerInfo
from objstore.web.requests import Environ
from objstore.web.responses import Response, error, unauthorized

LISTS = ("X-Container-Read", "X-Container-Write")
_OF_ACCOUNTS = {
    "GET": "s3:ListAllMyBuckets", "HEAD": "s3:ListAllMyBuckets", "PUT": CREATE_ACCOUNT, "POST": UPDATE_ACCOUNT,
    "DELETE": DELETE_ACCOUNT,
}  # fmt: skip
_OF_CONTAINERS = {
    "GET": "s3:ListBucket", "HEAD": "s3:ListBucket", "PUT": "s3:CreateBucket", "POST": "s3:PutBucketTagging",
    "DELETE": "s3:DeleteBucket",
}  # fmt: skip
_OF_OBJECTS = {
    "GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "POST": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}  # fmt: skip
# Of a request with a version id. A PUT makes the version the current one, which all who may read the object can read.
_OF_VERSIONS = {
    "GET": ("s3:GetObjectVersion",), "HEAD": ("s3:GetObjectVersion",), "DELETE": ("s3:DeleteObjectVersion",),
    "PUT": ("s3:PutObject", "s3:GetObjectVersion"),
}  # fmt: skip
_NONE: Mapping[str, str] = {}
_DROPS_TAGS = "s3:DeleteObjectTagging"  # as a POST does, and the conditions of a policy may be about them
# Headers of a change that make further actions of it, by how their names begin.
_FURTHER_OF_OBJECTS = {
    "X-Delete-": "s3:DeleteObject",
    **dict.fromkeys(("X-Object-Lock-Mode", "X-Object-Lock-Event-Hold"), "s3:PutObjectRetention"),
    "X-Object-Lock-Legal-Hold": "s3:PutObjectLegalHold",
    "X-Object-Lock-Bypass-": "s3:BypassGovernanceRetention",
}
_FURTHER_OF_CONTAINERS = {
    "X-Versions-": "s3:PutBucketVersioning",
    "X-History-Location": "s3:PutBucketVersioning",
    "X-Object-Lock-": "s3:PutBucketObjectLockConfiguration",
    **dict.fromkeys(LISTS, "s3:PutBucketAcl"),
    "X-Container-Meta-Access-Control-": "s3:PutBucketCORS",
}
_CHANGES = ("PUT", "POST")
# Headers that condition keys may be about; those of S3 mean nothing here.
_TOLD_HEADERS = ("Referer", "User-Agent", "If-Match", "If-None-Match")


class Permissions:
    """Asks for the decision. layer: the object layer."""

    def __init__(self, layer: ObjectLayer) -> None:
        self._layer = layer

    def refusal(
        self, environ: Environ, context: RequestContext, name: Name, info: ContainerInfo | None = None
    ) -> Response | None:
        """Return None if access control permits the request, else the answer. info: of the container, if it is known.

        The caller then checks the guards (`web.guards`).
        """
        realm: Realm | None = environ.get("objstore.realm")
        if realm is None or environ.get("objstore.preauthorized"):
            environ["objstore.owner"] = True
            return None
        identity: Identity = environ.get("objstore.identity", ANYONE)
        if identity.reseller_admin:
            context.reseller = True
        scope = identity.scope
        if (
            name.account in identity.accounts
            and name.object is not None
            and realm.covers(name.account)
            and (scope is None or scope.covers(name))
        ):
            info = info or self._layer.container_info(context, name)
            if lets_owner_pass(info, _OF_OBJECTS[environ["REQUEST_METHOD"]], False):
                environ["objstore.owner"] = scope is None
                return None
        defaults: BucketDefaults = environ.get("objstore.bucket_defaults", NO_DEFAULTS)
        query = requests.query(environ)
        question = _question(environ, name, identity, realm, environ["REQUEST_METHOD"], query)
        describe = partial(circumstances, environ, name, defaults.region)
        made = Judge(self._layer, context, question, describe, info, defaults).decide()
        if made.owner:
            environ["objstore.owner"] = scope is None
        if made.allowed:
            return None
        environ.setdefault("objstore.log_info", []).append(f"denied:{made.rule}")
        if made is PUBLIC_ACL_BLOCKED:
            return error(403, "Public ACLs are blocked")
        return error(403) if identity.known else unauthorized(name.account)

    def permit_read(self, environ: Environ, context: RequestContext, name: Name) -> None:
        """Check that the client may read a further object, for a request about another. Raises AccessDenied."""
        realm: Realm | None = environ.get("objstore.realm")
        if realm is None or environ.get("objstore.preauthorized"):
            return
        identity: Identity = environ.get("objstore.identity", ANYONE)
        defaults: BucketDefaults = environ.get("objstore.bucket_defaults", NO_DEFAULTS)
        question = _question(environ, name, identity, realm, "GET")
        describe = partial(circumstances, environ, name, defaults.region)
        if not Judge(self._layer, context, question, describe, None, defaults).decide().allowed:
            raise AccessDenied(name.account, identity.known)


def _question(
    environ: Environ, name: Name, identity: Identity, realm: Realm, method: str, query: Mapping[str, str] = _NONE
) -> Question:
    headers = requests.headers(environ) if method in _CHANGES else {}
    action, *further = actions_of(method, name, headers, query)
    return Question(
        identity,
        action,
        name,
        further=tuple(further),
        realm=realm,
        referrer=requests.header(environ, "Referer"),
        makes_public=bool(further) and name.object is None and makes_public(headers),
        version_id=query.get("version-id", ""),
    )


def actions_of(method: str, name: Name, headers: Mapping[str, str], query: Mapping[str, str] = _NONE) -> list[str]:
    """Return the actions of a request, as policies name them: first the one that must be allowed."""
    if name.container is None:
        return [_OF_ACCOUNTS[method]]
    if name.object is None and "versions" in query and method == "GET":
        return ["s3:ListBucketVersions"]
    if name.object is not None and query.get("version-id"):
        of_version = _OF_VERSIONS.get(method)
        if of_version is not None:
            return list(of_version)
    table, further = (_OF_OBJECTS, _FURTHER_OF_OBJECTS) if name.object else (_OF_CONTAINERS, _FURTHER_OF_CONTAINERS)
    actions = dict.fromkeys((table[method],))
    if method in _CHANGES:
        sent = [header.replace("X-Remove-", "X-") for header in headers]
        actions |= {action: None for start, action in further.items() if any(one.startswith(start) for one in sent)}
    if method == "POST" and name.object:
        actions[_DROPS_TAGS] = None
    return list(actions)


def makes_public(headers: Mapping[str, str]) -> bool:
    """Does a change of a container set a list that lets in everyone?"""
    return any(swift_acls.without_public(text) != text for text in (_sent_list(headers, name) for name in LISTS))


def _sent_list(headers: Mapping[str, str], header: str) -> str:
    """In normal form; a malformed one is refused further in."""
    try:
        return swift_acls.clean(header, headers.get(header, ""))
    except InvalidInput:
        return ""


def listing_query(query: Mapping[str, str]) -> dict[str, str]:
    """Return the query of a listing as S3 would ask it. `path=a` lists what is directly below `a/`."""
    asked = {name: query[name] for name in ("prefix", "delimiter") if name in query}
    if "path" in query:
        path = query["path"].rstrip("/")
        asked |= {"prefix": f"{path}/" if path else "", "delimiter": "/"}
    if "limit" in query:
        asked["max-keys"] = query["limit"]
    return asked


def circumstances(environ: Environ, name: Name, region: str, keys: frozenset[str]) -> Circumstances:
    """See `access.judge.Describe`."""
    sent = requests.headers(environ)
    return Circumstances(
        time.time(),
        environ.get("REMOTE_ADDR", ""),
        environ.get("wsgi.url_scheme") == "https",
        str(environ.get("SSL_PROTOCOL", "")).removeprefix("TLSv"),
        region,
        {header: sent[header] for header in _TOLD_HEADERS if header in sent},
        listing_query(requests.query(environ)) if name.object is None else {},
    )
