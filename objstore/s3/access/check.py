"""Gathering what the decision over access needs, and asking for it.

What a bucket says of access stands in its container's system metadata, which is in the cache
of infos: the owner of a bucket without a policy costs a few look-ups. The ACL and the tags
of an object are fetched only where they can matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from objstore.core.names import Name
from objstore.s3 import tags, xml
from objstore.s3.access import acl as acls
from objstore.s3.access import decision as decisions
from objstore.s3.access import facts
from objstore.s3.access.acl import Acl, Owners
from objstore.s3.access.actions import ACTIONS
from objstore.s3.access.decision import Ask, PublicAccessBlock, Rights, decide
from objstore.s3.access.facts import Subject
from objstore.s3.access.policy import Caller, Policy
from objstore.s3.access.policy import parse as parse_policy
from objstore.s3.access.public import is_public
from objstore.s3.errors import S3Error
from objstore.s3.native import unexpected
from objstore.s3.request import S3Request
from objstore.web import acls as swift_acls
from objstore.web.infos import ContainerInfo
from objstore.web.keys import AccessKeys

if TYPE_CHECKING:
    from objstore.s3.context import Context
    from objstore.s3.operation import Operation

# Kinds of configuration, as `native.config` knows them.
ACL = "acl"
POLICY = "policy"
OWNERSHIP = "ownership"
PUBLIC_ACCESS = "public-access"

OBJECT_ACL = "X-Object-Transient-Sysmeta-S3-Acl"
_OBJECT_TAGS = "X-Object-Transient-Sysmeta-S3-Tags"
_OWN_ACL = ("private", "bucket-owner-read", "bucket-owner-full-control")
_EXPECTED_OWNER = "X-Amz-Expected-Bucket-Owner"
_MOST_TAGS = 64 * 1024  # bytes of a Tagging document

# Where it is said that a bucket has a policy or an ACL.
_POLICY_KEPT = "s3-policy-0"
_ACL_KEPT = "s3-acl-0"


class BucketAccess(NamedTuple):
    """What a bucket says of access. owner: its account."""

    owner: str
    acl: Acl
    policy: Policy | None
    ownership: str
    block: PublicAccessBlock


class Access:
    """keys: who has which access key; None where any canonical id is taken for someone's."""

    def __init__(self, keys: AccessKeys | None = None) -> None:
        self._keys = keys

    def check(self, context: Context, request: S3Request, operation: Operation) -> None:
        """Raises S3Error AccessDenied where the one who asks may not do the operation, NoSuchBucket."""
        if not request.bucket or operation.name == "CreateBucket":
            if request.credential is None or not owns(request, request.account):
                raise S3Error("AccessDenied")
            return
        name = context.buckets.resolve(request, request.bucket)
        expected = request.headers.get(_EXPECTED_OWNER)
        if expected is not None and expected != name.account:
            raise S3Error("AccessDenied")
        version = request.query.get("versionId", "")
        action = operation.versioned_action if version and operation.versioned_action else operation.action
        if action:
            self._check(context, request, action, name, request.key, version)

    def require(
        self, context: Context, request: S3Request, action: str, bucket: str, key: str = "", version_id: str = ""
    ) -> Name:
        """The native name, of the bucket or of the key in it, that may be acted upon. Raises S3Error as `check`.

        For what an operation does besides what its `action` says: the source of a copy, each key of
        a deletion, a further permission (`s3:PutObjectTagging`).
        """
        name = context.buckets.resolve(request, bucket)
        self._check(context, request, action, name, key, version_id)
        return Name(name.account, bucket, key) if key else name

    def allows(
        self, context: Context, request: S3Request, action: str, bucket: str, key: str = "", version_id: str = ""
    ) -> bool:
        """`require` as a question; still raises S3Error NoSuchBucket."""
        try:
            self.require(context, request, action, bucket, key, version_id)
        except S3Error as refused:
            if refused.code != "AccessDenied":
                raise
            return False
        return True

    def expect_owner(self, context: Context, request: S3Request, bucket: str, expected: str) -> None:
        """Hold a bucket's owner against an x-amz-source-expected-bucket-owner; raises S3Error AccessDenied."""
        if expected and context.buckets.resolve(request, bucket).account != expected:
            raise S3Error("AccessDenied")

    def new_object_acl(self, context: Context, request: S3Request) -> str:
        """The value of X-Object-Transient-Sysmeta-S3-Acl for an object that the request writes into its bucket.

        '' where the ACL need not be kept. Raises S3Error AccessControlListNotSupported, AccessDenied where
        public ACLs are blocked, InvalidArgument, InvalidRequest, NoSuchBucket.
        """
        headers = request.headers
        name = context.buckets.resolve(request, request.bucket)
        asks = acls.CANNED_HEADER in headers or any(header in headers for header in acls.GRANT_HEADERS)
        if not asks and (not request.account or request.account == name.account):
            return ""
        kept = self.bucket(context, request, name)
        canned = headers.get(acls.CANNED_HEADER)
        if kept.ownership == decisions.BUCKET_OWNER_ENFORCED:
            if asks and canned != "bucket-owner-full-control":
                raise S3Error("AccessControlListNotSupported")
            return ""
        owner = request.account or name.account
        if kept.ownership == decisions.BUCKET_OWNER_PREFERRED and canned == "bucket-owner-full-control":
            owner = name.account
        acl = acls.from_headers(headers, Owners(owner, name.account), self.known) or acls.private(owner)
        refuse_public(acl, kept.block)
        return acls.dump(acl, name.account)

    def object_acl(self, context: Context, name: Name, kept: str) -> Acl:
        """The ACL that an object's header X-Object-Transient-Sysmeta-S3-Acl says."""
        return acls.load(kept, name.account)

    def bucket(self, context: Context, request: S3Request, name: Name) -> BucketAccess:
        """What the bucket of a name says of access; raises S3Error NoSuchBucket."""
        info = context.native.container(request.environ, name)
        if not info.exists:
            raise S3Error("NoSuchBucket", "", {"BucketName": name.container or ""})
        return self._bucket(context, name, info)

    def known(self, account: str) -> bool:
        """Is this the canonical id of someone?"""
        return self._keys is None or self._keys.has_account(account)

    def _bucket(self, context: Context, name: Name, info: ContainerInfo) -> BucketAccess:
        config = context.native.config
        policy = config(info, POLICY)
        assert name.container is not None
        return BucketAccess(
            name.account,
            acls.load(config(info, ACL), name.account),
            parse_policy(policy, name.container) if policy else None,
            config(info, OWNERSHIP) or context.settings.default_object_ownership,
            read_block(config(info, PUBLIC_ACCESS) or context.settings.default_public_access_block),
        )

    def _check(self, context: Context, request: S3Request, action: str, name: Name, key: str, version_id: str) -> None:
        info = context.native.container(request.environ, name)
        if not info.exists:
            raise S3Error("NoSuchBucket", "", {"BucketName": name.container or ""})
        owner = owns(request, name.account)
        if (
            owner
            and not info.sysmeta.get(_POLICY_KEPT)
            # Only where others may write can there be objects of others.
            and (ACTIONS[action].acl != "object" or not (info.sysmeta.get(_ACL_KEPT) or info.write_acl))
        ):
            return
        refusal = _Question(self, context, request, action, name, key, version_id).refusal(info, owner)
        if refusal:
            raise S3Error("AccessDenied")


class _Question:
    """One action on one bucket or key, with what was fetched to decide about it."""

    def __init__(
        self, access: Access, context: Context, request: S3Request, action: str, name: Name, key: str, version_id: str
    ) -> None:
        self._access = access
        self._context = context
        self._request = request
        self._action = action
        self._name = name
        self._key = key
        self._version_id = version_id
        self._headers: Mapping[str, str] | None = None  # of the object, once fetched; empty where there is none

    def refusal(self, info: ContainerInfo, owner: bool) -> str:
        """Why not; '' where it may be done."""
        kept = self._access._bucket(self._context, self._name, info)
        caller = caller_of(self._request)
        swift, swift_public = swift_rights(self._request, info, owner)
        rights = Rights(
            kept.owner,
            kept.acl,
            None,
            kept.policy,
            kept.block.restrict_buckets and kept.policy is not None and is_public(kept.policy),
            kept.ownership,
            kept.block,
            swift,
            swift_public,
        )
        ask = Ask(caller, owner, self._action, self._resource(), self._facts(kept.policy, caller))
        made = decide(ask, rights)
        if self._key and decisions.needs_object_acl(ask, rights, made):
            headers = self._object()
            if headers:
                made = decide(ask, rights._replace(object_acl=self._object_acl(headers)))
            elif not made.allowed and self._may_list(ask, rights, kept.policy, caller):
                return ""  # who may list the bucket may know that there is no such key
        return "" if made.allowed else made.reason

    def _resource(self) -> str:
        bucket = self._name.container or ""
        return f"{bucket}/{self._key}" if self._key else bucket

    def _may_list(self, ask: Ask, rights: Rights, policy: Policy | None, caller: Caller) -> bool:
        return decide(ask._replace(action="s3:ListBucket", resource=self._name.container or ""), rights).allowed

    def _facts(self, policy: Policy | None, caller: Caller) -> Mapping[str, Any]:
        if policy is None or not policy.keys:
            return {}
        existing = self._object().get(_OBJECT_TAGS, "") if self._key and facts.needs_tags(policy.keys) else ""
        wanted = self._request_tags() if facts.needs_request_tags(policy.keys) else ""
        return facts.gather(policy.keys, Subject(self._request, caller, self._version_id, existing, wanted))

    def _request_tags(self) -> str:
        request = self._request
        if request.operation in ("PutObjectTagging", "PutObjectVersionTagging"):
            return tags.dump(tags.from_xml(xml.parse(request.body.whole(_MOST_TAGS))))
        return request.header("X-Amz-Tagging")

    def _object(self) -> Mapping[str, str]:
        if self._headers is None:
            name = Name(self._name.account, self._name.container, self._key)
            answer = self._context.native.ask(self._request.environ, "HEAD", name)
            answer.close()
            if not answer.ok and answer.status not in (404, 416):
                raise unexpected(answer.status)
            self._headers = answer.headers if answer.ok else {}
        return self._headers

    def _object_acl(self, headers: Mapping[str, str]) -> Acl:
        return acls.load(headers.get(OBJECT_ACL, ""), self._name.account)


def owns(request: S3Request, account: str) -> bool:
    """Does the one who asks administer an account?"""
    credential = request.credential
    if credential is None:
        return False
    identity = credential.identity
    return account in identity.accounts or identity.reseller_admin


def caller_of(request: S3Request) -> Caller:
    credential = request.credential
    if credential is None:
        return Caller()
    user = credential.identity.user.partition(":")[2]
    return Caller(credential.account, user, credential.account in credential.identity.accounts)


def swift_rights(request: S3Request, info: ContainerInfo, owner: bool) -> tuple[frozenset[str], frozenset[str]]:
    """What the container's ACLs of Swift let the caller do: by name, and by being anyone."""
    if owner or not (info.read_acl or info.write_acl):
        return _NOTHING, _NOTHING
    read, write = swift_acls.parse(info.read_acl), swift_acls.parse(info.write_acl)
    named = set()
    if request.credential is not None:
        identity = request.credential.identity
        if swift_acls.groups_allowed(identity, read):
            named |= {"read", "list"}
        if swift_acls.groups_allowed(identity, write):
            named.add("write")
    public = set()
    if swift_acls.referrer_allowed(request.header("Referer"), read):
        public |= {"read", "list"} if read.listings else {"read"}
    return frozenset(named), frozenset(public)


_NOTHING: frozenset[str] = frozenset()


def refuse_public(acl: Acl, block: PublicAccessBlock) -> None:
    """Raises S3Error AccessDenied for an ACL that the public access block keeps from being set."""
    if block.block_acls and acl.public:
        raise S3Error("AccessDenied")


def read_block(text: str) -> PublicAccessBlock:
    """The flags kept as `1010`; `none` and `all` as in the settings."""
    if text in _BLOCKS:
        return _BLOCKS[text]
    return PublicAccessBlock(*(flag == "1" for flag in text))


def block_text(block: PublicAccessBlock) -> str:
    return "".join("1" if flag else "0" for flag in block)


_BLOCKS = {"none": PublicAccessBlock(), "all": PublicAccessBlock(True, True, True, True)}
