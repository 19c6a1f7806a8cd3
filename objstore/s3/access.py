"""Access control of S3 requests: the questions that a request puts, and the ACLs that it sets.

`access.decision` decides; this module makes its questions from requests, and S3's errors from refusals.
"""

from __future__ import annotations

import time
from functools import partial

from objstore.access import acl as acls
from objstore.access import bucket as buckets
from objstore.access.acl import Acl
from objstore.access.bucket import BucketAccess, BucketDefaults, PublicAccessBlock
from objstore.access.condition_keys import Circumstances, needs_lock, needs_request_tags
from objstore.access.decision import ALLOWED_BY_ACL, Decision, Facts, Question, decide, may_let_anyone
from objstore.access.identity import AccessKeys
from objstore.access.judge import OBJECT_TAGS, Judge, lets_owner_pass
from objstore.core.names import Name
from objstore.core.object_lock import NO_LOCK, Lock, changed
from objstore.layers import documents
from objstore.layers.interface import ObjectLayer
from objstore.s3.bucket_logs.configuration import LOGGING, LOGGING_SYSMETA
from objstore.s3.buckets.registry import Buckets, no_such
from objstore.s3.data import lock_headers, object_headers
from objstore.s3.language import acl_xml, lock_xml, tags, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request.acl_headers import CANNED_HEADER, Owners, asks_for_acl, from_headers
from objstore.s3.request.s3_request import LoggedAccess, S3Request
from objstore.s3.settings import S3Settings
from objstore.web.infos import ContainerInfo

# Operations whose headers describe a new object.
_UPLOADS = frozenset({"PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"})
# Operations that make an object, and those that only prepare one, for `s3:ObjectCreationOperation`.
_CREATES = {
    "PutObject": "true", "PostObject": "true", "CopyObject": "true", "CompleteMultipartUpload": "true",
    "RenameObject": "true", "CreateMultipartUpload": "false", "UploadPart": "false", "UploadPartCopy": "false",
}  # fmt: skip
_EXPECTED_OWNER = "X-Amz-Expected-Bucket-Owner"
_PAYMENT_SYSMETA = f"s3-{buckets.REQUEST_PAYMENT}-0"
_MAX_TAGS = 64 * 1024  # bytes of a Tagging document


class Access:
    """The checks of requests against policies, ACLs and the settings of the store.

    keys: the access keys and their owners; None if any text is valid as a canonical id.
    """

    def __init__(
        self,
        layer: ObjectLayer,
        buckets: Buckets,
        settings: S3Settings,
        keys: AccessKeys | None = None,
    ) -> None:
        self._layer = layer
        self._buckets = buckets
        self._max_body = settings.max_xml_body
        self._keys = keys
        self.defaults = BucketDefaults(
            settings.default_object_ownership, settings.default_public_access_block, settings.region
        )

    def check(self, request: S3Request, action: str, versioned_action: str) -> None:
        """Refuse an operation that the identity may not do.

        Raises S3Error AccessDenied, NoSuchBucket.
        """
        if not request.bucket or request.operation == "CreateBucket":
            self._check_account(request)
            return
        name = self._buckets.resolve(request, request.bucket)
        expected = request.headers.get(_EXPECTED_OWNER)
        if expected is not None and expected != name.account:
            raise S3Error("AccessDenied")
        version = request.query.get("versionId", "")
        if version and versioned_action:
            action = versioned_action
        if action:
            self._check(request, action, name, request.key, version, request.operation in _UPLOADS)

    def permit_read(self, request: S3Request, name: Name) -> None:
        """See `ReadOptions.permit`. Raises S3Error AccessDenied, NoSuchBucket."""
        assert name.object is not None
        self._check(request, "s3:GetObject", name.of_container, name.object, "")

    def denies(self, request: S3Request, action: str, bucket: Name, key: str = "", version_id: str = "") -> bool:
        """Return whether the policy of a bucket denies an action. bucket: its container.

        For an action that belongs to an allowed one: reading the tags of the source of a copy, or of an object that is
        read.
        """
        info = self._layer.container_info(request.context, bucket)
        question = Question(request.identity, action, _in(bucket, key), True, version_id=version_id)
        return self._judge(request, question, info).denies()

    def allows(self, request: S3Request, action: str, bucket: Name, key: str, version_id: str = "") -> bool:
        """Return whether the identity may do something more than the operation. bucket: its container."""
        info = self._layer.container_info(request.context, bucket)
        if bucket.account in request.identity.accounts and lets_owner_pass(info, action, True):
            return True
        question = Question(request.identity, action, _in(bucket, key), True, version_id=version_id)
        return self._judge(request, question, info).decide().allowed

    def check_anonymous(self, request: S3Request, actions: tuple[str, ...], bucket: Name) -> None:
        """Refuse an anonymous request if nothing lets it do one of the actions to any key.

        For operations on many keys, each with a check of its own: before their body is read and parsed. Raises S3Error
        AccessDenied, NoSuchBucket.
        """
        if not request.identity.known and not may_let_anyone(self.bucket(request, bucket), actions):
            raise S3Error("AccessDenied")

    def require(self, request: S3Request, action: str, bucket: str, key: str = "", version_id: str = "") -> Name:
        """Return the native name, of the bucket or of the key in it, after a check of the action.

        For what an operation does in addition to its `action`: reading the source of a copy, deleting each of several
        keys. Raises S3Error as `check`.
        """
        name = self._buckets.resolve(request, bucket)
        self._check(request, action, name, key, version_id)
        return _in(name, key)

    def expect_owner(self, request: S3Request, bucket: str, expected: str) -> None:
        """Compare a bucket's owner with an x-amz-source-expected-bucket-owner.

        Raises S3Error AccessDenied if they differ.
        """
        if expected and self._buckets.resolve(request, bucket).account != expected:
            raise S3Error("AccessDenied")

    def new_object_acl(self, request: S3Request) -> str:
        """Return the value of OBJECT_ACL for an object that the request writes into its bucket.

        '' if the ACL need not be stored. Raises S3Error AccessControlListNotSupported, AccessDenied if public ACLs are
        blocked, InvalidArgument, InvalidRequest, NoSuchBucket.
        """
        headers = request.headers
        name = self._buckets.resolve(request, request.bucket)
        has_acl = asks_for_acl(headers)
        if not has_acl and (not request.account or request.account == name.account):
            return ""
        bucket = self.bucket(request, name)
        canned = headers.get(CANNED_HEADER)
        if bucket.acls_disabled:
            if has_acl and canned != "bucket-owner-full-control":
                raise S3Error("AccessControlListNotSupported")
            return ""
        owner = request.account or name.account
        if bucket.ownership == buckets.BUCKET_OWNER_PREFERRED and canned == "bucket-owner-full-control":
            owner = name.account
        acl = from_headers(headers, Owners(owner, name.account), self.has_account) or acls.private(owner)
        refuse_public(acl, bucket.block)
        if not acl.private:
            self._buckets.register(request, name)
        return acls.dump(acl, name.account)

    def bucket(self, request: S3Request, name: Name) -> BucketAccess:
        """Return the access settings of the bucket of a name; raises S3Error NoSuchBucket."""
        info = self._layer.container_info(request.context, name)
        if not info.exists:
            raise no_such(name.container or "")
        return buckets.of_container(name, info, self.defaults)

    def requested_acl(self, request: S3Request, bucket: BucketAccess, owners: Owners) -> Acl:
        """Return the ACL that a request for `?acl` sets, by headers or in its body.

        Raises S3Error AccessControlListNotSupported, AccessDenied, MalformedACLError, MissingSecurityHeader and others.
        """
        body = request.body.whole(self._max_body)
        acl = from_headers(request.headers, owners, self.has_account)
        if acl is None:
            if not body:
                raise S3Error("MissingSecurityHeader")
            acl = acl_xml.from_xml(body, owners.owner, self.has_account)
        if bucket.acls_disabled:
            # The one ACL that changes nothing.
            if request.header(CANNED_HEADER) == "bucket-owner-full-control" or (body and acl.private):
                return acls.private(owners.bucket)
            raise S3Error("AccessControlListNotSupported")
        refuse_public(acl, bucket.block)
        return acl

    def has_account(self, account: str) -> bool:
        """Return whether this is the canonical id of an account."""
        return self._keys is None or self._keys.has_account(account)

    def _check_account(self, request: S3Request) -> None:
        """Refuse to list or create buckets unless the identity administers the account."""
        decision = decide(Question(request.identity, "s3:ListAllMyBuckets", Name(request.account), True), Facts())
        if not (isinstance(decision, Decision) and decision.allowed):
            raise S3Error("AccessDenied")

    def _check(self, request: S3Request, action: str, name: Name, key: str, version: str, making: bool = False) -> None:
        """Refuse an action on a container, or on a key in it, that the identity may not do.

        name: of the container. making: True if the headers of the request describe a new object.
        """
        info = self._layer.container_info(request.context, name)
        if not info.exists:
            raise no_such(name.container or "")
        if LOGGING_SYSMETA in info.sysmeta:
            accesses = request.logged = request.logged or []
            accesses.append(LoggedAccess(name, documents.read(info.sysmeta, LOGGING), action, key, version))
        identity = request.identity
        if name.account in identity.accounts and lets_owner_pass(info, action, True):
            return
        question = Question(
            identity,
            action,
            _in(name, key),
            s3=True,
            further=described_actions(request) if making else (),
            referrer=request.header("Referer"),
            pays=_PAYMENT_SYSMETA in info.sysmeta and _pays(request),
            version_id=version,
        )
        decision = self._judge(request, question, info).decide()
        if not decision.allowed:
            request.environ.setdefault("objstore.log_info", []).append(f"denied:{decision.rule}")
            raise S3Error("AccessDenied")
        if question.pays:
            request.charged = True
        if decision is ALLOWED_BY_ACL:
            request.by_acl = True

    def _judge(self, request: S3Request, question: Question, info: ContainerInfo) -> Judge:
        return Judge(self._layer, request.context, question, partial(circumstances, request), info, self.defaults)


def circumstances(request: S3Request, keys: frozenset[str]) -> Circumstances:
    """Return the values of condition keys for a request; see `access.judge.Describe`. keys: those of the policy."""
    environ, signing = request.environ, request.signing
    values = Circumstances(
        time.time(),
        request.source_ip,
        environ.get("wsgi.url_scheme") == "https",
        str(environ.get("SSL_PROTOCOL", "")).removeprefix("TLSv"),
        request.region,
        request.headers,
        request.query,
        _CREATES.get(request.operation, ""),
        payload=request.header("X-Amz-Content-Sha256"),
        tags=_tags_of(request) if needs_request_tags(keys) else "",
        lock=_lock_of(request) if needs_lock(keys) else NO_LOCK,
    )
    if signing is None:
        return values
    return values._replace(
        auth_type=signing.type,
        signature_version=signing.version,
        payload=signing.payload,
        signed_at=signing.seconds,
    )


def _tags_of(request: S3Request) -> str:
    """Return the tags that a request sets, in the form in which they are stored. Raises S3Error for malformed ones."""
    if request.operation == "PutObjectTagging":
        return tags.dump(tags.from_xml(xml.parse(request.body.whole(_MAX_TAGS))))
    return object_headers.tagging(request.headers).get(OBJECT_TAGS, "") if sets_tags(request) else ""


def _lock_of(request: S3Request) -> Lock:
    """Return the lock that a request sets. Raises S3Error for a malformed one."""
    if request.operation in _UPLOADS:
        return lock_headers.requested(request.headers)
    if request.operation not in lock_xml.CHANGES:
        return NO_LOCK
    change = lock_xml.CHANGES[request.operation](request.body.whole(_MAX_TAGS), lock_headers.date)
    return changed(NO_LOCK, change, 0)


def sets_tags(request: S3Request) -> bool:
    """Return whether a request makes an object with the tags of its header: not a copy with the tags of its source."""
    if request.operation not in _UPLOADS or not request.header("X-Amz-Tagging"):
        return False
    return request.operation != "CopyObject" or request.header("X-Amz-Tagging-Directive") == "REPLACE"


def described_actions(request: S3Request) -> tuple[str, ...]:
    """Return the actions that the headers of an upload need in addition to that of the operation."""
    further = ("s3:PutObjectTagging",) if sets_tags(request) else ()
    return (*further, "s3:PutObjectAcl") if asks_for_acl(request.headers) else further


def _pays(request: S3Request) -> bool:
    """Return whether the identity agrees to pay, if the bucket's owner does not."""
    payer = request.header("X-Amz-Request-Payer") or request.query.get("x-amz-request-payer", "")
    return request.identity.known and payer == "requester"


def _in(bucket: Name, key: str) -> Name:
    return bucket._replace(object=key) if key else bucket


def refuse_public(acl: Acl, block: PublicAccessBlock) -> None:
    """Refuse a public ACL if the public access block forbids it; raises S3Error AccessDenied."""
    if block.block_acls and acl.public:
        raise S3Error("AccessDenied")
