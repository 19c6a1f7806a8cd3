"""Gathering what the decision over access needs, and asking for it.

What a bucket says of access stands in its container's system metadata, which is in the cache
of infos: the owner of a bucket without a policy costs a few look-ups. The ACL and the tags
of an object are fetched only where they can matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from objstore.core.names import Name
from objstore.s3 import current, tags, xml
from objstore.s3 import headers as names
from objstore.s3.access import acl as acls
from objstore.s3.access import acl_xml, facts
from objstore.s3.access import decision as decisions
from objstore.s3.access.acl import Acl, Owners
from objstore.s3.access.actions import ACTIONS, OWNERS_ALWAYS
from objstore.s3.access.decision import Ask, PublicAccessBlock, Rights, decide
from objstore.s3.access.facts import Subject
from objstore.s3.access.policy import Caller, Policy
from objstore.s3.access.policy import parse as parse_policy
from objstore.s3.access.public import is_public
from objstore.s3.current import Target
from objstore.s3.errors import S3Error
from objstore.s3.request import S3Request
from objstore.web import acls as swift_acls
from objstore.web.context import RequestContext
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
REQUEST_PAYMENT = "request-payment"

# Operations whose headers say what a new object is to be like.
_MAKING = frozenset({"PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"})
_EXPECTED_OWNER = "X-Amz-Expected-Bucket-Owner"
_MISSING = ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed")  # the last for a delete marker
_MOST_TAGS = 64 * 1024  # bytes of a Tagging document

# Where it is said that a bucket has a policy or an ACL.
POLICY_SYSMETA = "s3-policy-0"
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
        if operation.name in _MAKING:
            for further in described_actions(request):
                if self.denies(context, request, further, name, request.key):
                    raise S3Error("AccessDenied")

    def denies(
        self, context: Context, request: S3Request, action: str, bucket: Name, key: str = "", version_id: str = ""
    ) -> bool:
        """Does the policy of a bucket deny an action? bucket: its container.

        For what comes with an action that is allowed: the tags and the ACL of a new object, the tags of the source
        of a copy.
        """
        info = context.native.container(request.environ, bucket)
        if not info.sysmeta.get(POLICY_SYSMETA):
            return False
        return _Question(self, context, request, action, bucket, key, version_id).denied(info)

    def check_anonymous(self, context: Context, request: S3Request, actions: Iterable[str], bucket: Name) -> None:
        """Raises S3Error AccessDenied for an anonymous request if nothing lets it do one of the actions to any key.

        For operations on many keys, each of which is checked by itself: before their body is read and taken apart.
        Raises S3Error NoSuchBucket.
        """
        if request.credential is not None:
            return
        kept = self.bucket(context, request, bucket)
        allowing = [one for one in kept.policy.statements if one.allow] if kept.policy is not None else []
        if any(one.covers_action(action) for one in allowing for action in actions):
            return
        if kept.ownership == decisions.BUCKET_OWNER_ENFORCED or not kept.acl.lets_others_write:
            raise S3Error("AccessDenied")

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
        if not acl.private:
            context.buckets.register(request, name)
        return acls.dump(acl, name.account)

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
        if owner and action in OWNERS_ALWAYS:  # also when the policy cannot be read
            return
        if (
            owner
            and not info.sysmeta.get(POLICY_SYSMETA)
            and (ACTIONS[action].acl != "object" or not (info.sysmeta.get(_ACL_KEPT) or info.write_acl))
        ):
            return
        if not owner:
            owner = self._is_account_admin(context, request, name)
            if not owner and context.native.config(info, REQUEST_PAYMENT) == "Requester" and not _pays(request):
                raise S3Error("AccessDenied")
        refusal = _Question(self, context, request, action, name, key, version_id).refusal(info, owner)
        if refusal:
            raise S3Error("AccessDenied")

    def _is_account_admin(self, context: Context, request: S3Request, name: Name) -> bool:
        return account_level(context, request, name.account) == "admin"


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
        level = "" if owner else account_level(self._context, self._request, kept.owner)
        if kept.block.ignore_acls:
            info = info._replace(
                read_acl=swift_acls.without_public(info.read_acl), write_acl=swift_acls.without_public(info.write_acl)
            )
        swift, swift_public = swift_rights(self._request, info, level)
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
        if self._key and _may_be_of_another(rights, info, owner) and decisions.needs_object_acl(ask, rights, made):
            headers = self._object()
            if headers:
                made = decide(ask, rights._replace(object_acl=self._object_acl(headers)))
            elif not made.allowed and self._may_list(ask, rights, kept.policy, caller):
                return ""  # who may list the bucket may know that there is no such key
        return "" if made.allowed else made.reason

    def denied(self, info: ContainerInfo) -> bool:
        """Does the policy deny it?"""
        policy = self._access._bucket(self._context, self._name, info).policy
        if policy is None:
            return False
        caller = caller_of(self._request)
        return policy.verdict(caller, self._action, self._resource(), self._facts(policy, caller)) == "deny"

    def _resource(self) -> str:
        bucket = self._name.container or ""
        return f"{bucket}/{self._key}" if self._key else bucket

    def _may_list(self, ask: Ask, rights: Rights, policy: Policy | None, caller: Caller) -> bool:
        return decide(ask._replace(action="s3:ListBucket", resource=self._name.container or ""), rights).allowed

    def _facts(self, policy: Policy | None, caller: Caller) -> Mapping[str, Any]:
        if policy is None or not policy.keys:
            return {}
        existing = self._object().get(names.TAGS, "") if self._key and facts.needs_tags(policy.keys) else ""
        wanted = self._request_tags() if facts.needs_request_tags(policy.keys) else ""
        subject = Subject(self._request, caller, self._version_id, existing, wanted, self._name.account)
        return facts.gather(policy.keys, subject)

    def _request_tags(self) -> str:
        """The tags that the request sets, by the same reading that keeps them. Raises S3Error for malformed ones."""
        request = self._request
        if request.operation == "PutObjectTagging":
            return tags.dump(tags.from_xml(xml.parse(request.body.whole(_MOST_TAGS))))
        return names.tagging(request.headers).get(names.TAGS, "") if sets_tags(request) else ""

    def _object(self) -> Mapping[str, str]:
        if self._headers is None:
            target = Target(self._name._replace(object=self._key), self._version_id)
            try:
                stored = current.read(self._context, self._request, target, "HEAD")
            except S3Error as missing:
                if missing.code not in _MISSING:
                    raise
                self._headers = {}
            else:
                stored.answer.close()
                self._headers = stored.headers
        return self._headers

    def _object_acl(self, headers: Mapping[str, str]) -> Acl:
        return acls.load(headers.get(names.ACL, ""), self._name.account)


def sets_tags(request: S3Request) -> bool:
    """Does a request make an object with the tags of its header? A copy that takes over the source's does not."""
    if request.operation not in _MAKING or not request.header("X-Amz-Tagging"):
        return False
    return request.operation != "CopyObject" or request.header("X-Amz-Tagging-Directive") == "REPLACE"


def described_actions(request: S3Request) -> list[str]:
    """The actions, besides that of the operation, that the headers of an upload ask for."""
    further = ["s3:PutObjectTagging"] if sets_tags(request) else []
    if acls.CANNED_HEADER in request.headers or not acls.GRANT_HEADERS.keys().isdisjoint(request.headers):
        further.append("s3:PutObjectAcl")
    return further


def _may_be_of_another(rights: Rights, info: ContainerInfo, owner: bool) -> bool:
    """Must the bucket's owner ask whose an object is? Only where others may write can there be objects of others."""
    by_policy = rights.policy is not None and rights.policy.lets_write
    return not owner or by_policy or rights.bucket_acl.lets_others_write or bool(info.write_acl)


def owns(request: S3Request, account: str) -> bool:
    """Does the one who asks administer an account?

    To administer all accounts through Swift is not to own their buckets: S3 knows no such user.
    """
    credential = request.credential
    if credential is None:
        return False
    identity = credential.identity
    return account in identity.accounts or (identity.reseller_admin and account == credential.account)


def caller_of(request: S3Request) -> Caller:
    credential = request.credential
    if credential is None:
        return Caller()
    user = credential.identity.user.partition(":")[2]
    return Caller(credential.account, user, owns(request, credential.account))


def account_level(context: Context, request: S3Request, account: str) -> str:
    """What the account's own ACL (X-Account-Access-Control) makes of the one who asks, '' for nothing."""
    if request.credential is None:
        return ""
    info = context.native.layer.account_info(RequestContext.of(request.environ), account)
    return swift_acls.account_level(
        info.sysmeta.get(swift_acls.ACCOUNT_ACL_SYSMETA, ""), request.credential.identity.groups
    )


def swift_rights(request: S3Request, info: ContainerInfo, level: str) -> tuple[frozenset[str], frozenset[str]]:
    """What Swift's ACLs of the account (`level`) and the container let the caller do: by name, and by being anyone."""
    named = _BY_LEVEL.get(level, _NOTHING)
    if not (info.read_acl or info.write_acl):
        return named, _NOTHING
    read, write = swift_acls.parse(info.read_acl), swift_acls.parse(info.write_acl)
    if request.credential is not None:
        identity = request.credential.identity
        if swift_acls.groups_allowed(identity, read):
            named |= {"read", "list"}
        if swift_acls.groups_allowed(identity, write):
            named |= {"write"}
    public = _NOTHING
    if swift_acls.referrer_allowed(request.header("Referer"), read):
        public = frozenset({"read", "list"}) if read.listings else frozenset({"read"})
    return named, public


def _pays(request: S3Request) -> bool:
    """Does the one who asks agree to pay, where the bucket's owner does not?"""
    said = request.header("X-Amz-Request-Payer") or request.query.get("x-amz-request-payer", "")
    return request.credential is not None and said == "requester"


_NOTHING: frozenset[str] = frozenset()
_BY_LEVEL = {"read-only": frozenset({"read", "list"}), "read-write": frozenset({"read", "list", "write"})}


def refuse_public(acl: Acl, block: PublicAccessBlock) -> None:
    """Raises S3Error AccessDenied for an ACL that the public access block keeps from being set."""
    if block.block_acls and acl.public:
        raise S3Error("AccessDenied")


def sent_acl(context: Context, request: S3Request, kept: BucketAccess, owners: Owners) -> Acl:
    """The ACL that a request for `?acl` wants to be set, by headers or in its body.

    Raises S3Error AccessControlListNotSupported, AccessDenied, MalformedACLError, MissingSecurityHeader and others.
    """
    body = request.body.whole(context.settings.max_xml_body)
    known = context.access.known
    asked = acls.from_headers(request.headers, owners, known)
    if asked is None:
        if not body:
            raise S3Error("MissingSecurityHeader")
        asked = acl_xml.from_xml(body, owners.owner, known)
    if kept.ownership == decisions.BUCKET_OWNER_ENFORCED:
        # The one ACL that says what holds anyway.
        if request.header(acls.CANNED_HEADER) == "bucket-owner-full-control" or (body and asked.private):
            return acls.private(owners.bucket)
        raise S3Error("AccessControlListNotSupported")
    refuse_public(asked, kept.block)
    return asked


def read_block(text: str) -> PublicAccessBlock:
    """The flags kept as `1010`; `none` and `all` as in the settings."""
    if text in _BLOCKS:
        return _BLOCKS[text]
    return PublicAccessBlock(*(flag == "1" for flag in text))


def block_text(block: PublicAccessBlock) -> str:
    return "".join("1" if flag else "0" for flag in block)


_BLOCKS = {"none": PublicAccessBlock(), "all": PublicAccessBlock(True, True, True, True)}
