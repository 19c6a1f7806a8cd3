"""The decision whether an identity may do an action: one pure function of all rules and facts, for both APIs.

The rules, in order:

1. An identity system decides over its own accounts alone. An identity with a scope may do nothing outside of it.
2. An action that the bucket's policy denies is denied; only the policy operations stay open to the bucket's owner. An
   ACL that grants to everyone cannot be set on a bucket whose public access block forbids it.
3. An action that the policy allows is allowed. A public policy allows nothing to other accounts if the bucket restricts
   public policies.
4. An administrator of the account may do everything, except read objects of others, if there can be any.
5. ACLs grant, of the bucket or of the object depending on the action, unless ownership has disabled them. Grants to
   groups are ignored if public ACLs are ignored. The owner of an object may always read and write its ACL.
6. Swift's lists grant: that of the container, then that of the account.
7. All other actions are denied.

The APIs differ in their grants. Through Swift neither policies (3) nor ACLs of S3 (5) grant, and objects have no owners
of their own. Through S3 nobody is an administrator of all accounts, and others may have to pay.

`decide` gets the facts collected so far. If it needs another one it returns that need, and is called again with the
fact: the owner of a bucket without access settings is allowed without any further fact.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from objstore.access import acl as acls
from objstore.access import swift_acls
from objstore.access.acl import Acl
from objstore.access.actions import ACCOUNT_MANAGEMENT, ACTIONS, OWNERS_ALWAYS
from objstore.access.bucket import BucketAccess
from objstore.access.identity import Identity, Realm
from objstore.access.patterns import Values
from objstore.access.public import is_public
from objstore.core.names import Name

ADMIN = "admin"  # the level of an account's list that makes an owner
_LISTING = "s3:ListBucket"


class Question(NamedTuple):
    """A request for a decision: an identity, an action and its target.

    action: the action to allow, of `actions.ACTIONS`. name: of the account, bucket (container) or object. s3: it comes
    through the S3 API. further: actions that come with it, which no policy may deny (the tags and the ACL of a new
    object). realm: the accounts that the identity system decides over, None for all. referrer: the Referer header.
    makes_public: it would set an ACL that grants to everyone. pays: the identity agrees to pay for the request.
    version_id: of the object, '' for the current version.
    """

    identity: Identity
    action: str
    name: Name
    s3: bool = False
    further: tuple[str, ...] = ()
    realm: Realm | None = None
    referrer: str = ""
    makes_public: bool = False
    pays: bool = False
    version_id: str = ""


class ObjectAccess(NamedTuple):
    """The access settings of an object. acl: None if there is no object. tags: URL-encoded."""

    acl: Acl | None = None
    tags: str = ""


class Facts(NamedTuple):
    """The facts collected so far; None if not collected yet.

    has_policy, has_grants: without `bucket`, False if it certainly has no policy, and neither an ACL nor a list that
    lets others write. values: of the condition keys of the policy. level: that the list of the account grants to the
    identity, '' for none.
    """

    bucket: BucketAccess | None = None
    has_policy: bool = True
    has_grants: bool = True
    values: Values | None = None
    level: str | None = None
    stored: ObjectAccess | None = None


class Need(Enum):
    """The fact that a decision lacks; the values are fields of `Facts`."""

    BUCKET = "bucket"
    VALUES = "values"
    LEVEL = "level"
    STORED = "stored"


class Decision(NamedTuple):
    """A decision. rule: its reason, in a word for logs. owner: by the right of an owner, who sees and sets more."""

    allowed: bool
    rule: str
    owner: bool = False


OWNER = Decision(True, "owner", owner=True)
ALLOWED_BY_POLICY = Decision(True, "policy")
ALLOWED_BY_ACL = Decision(True, "acl")
ALLOWED_BY_LIST = Decision(True, "container-list")
ALLOWED_BY_ACCOUNT = Decision(True, "account-list")
READER = Decision(True, "reader-of-all")
LISTER = Decision(True, "lister")  # a client that may list the bucket may know that there is no such key
DENIED_BY_POLICY = Decision(False, "policy")
PUBLIC_ACL_BLOCKED = Decision(False, "public-access-block")
UNPAID = Decision(False, "requester-pays")
OTHER_REALM = Decision(False, "other-realm")
OUT_OF_SCOPE = Decision(False, "out-of-scope")
NOT_GRANTED = Decision(False, "not-granted")


def decide(question: Question, facts: Facts) -> Decision | Need:
    """Return the decision, or the fact that it needs. Raises KeyError for an unknown action."""
    realm, account = question.realm, question.name.account
    if realm is not None and not realm.covers(account):
        return OTHER_REALM
    scope = question.identity.scope
    if scope is not None and (question.name.container is None or not scope.covers(question.name)):
        return OUT_OF_SCOPE
    owns = account in question.identity.accounts or _owns_otherwise(question)
    if question.name.container is None:
        return _of_account(question, facts, owns)
    bucket = facts.bucket
    if bucket is None:
        plain = not question.makes_public and is_plain(question.action, question.s3, facts.has_policy, facts.has_grants)
        return OWNER if owns and plain else Need.BUCKET
    if question.makes_public and bucket.block.block_acls:
        return PUBLIC_ACL_BLOCKED
    if question.s3 and bucket.requester_pays and not owns and not question.pays:
        level = _level(question, facts)
        if level != ADMIN:
            return Need.LEVEL if level is None else UNPAID
    return _by_policy(question, facts, bucket, owns) or _granted(question, facts, bucket, owns)


def is_plain(action: str, s3: bool, has_policy: bool, has_grants: bool) -> bool:
    """Return whether a bucket has nothing that could deny an action to its owner.

    OWNERS_ALWAYS count even if the policy is broken. has_policy, has_grants: as in `Facts`.
    """
    if action in OWNERS_ALWAYS:
        return True
    return not has_policy and not (has_grants and s3 and ACTIONS[action].acl == "object")


def denies(question: Question, facts: Facts) -> bool | Need:
    """Return whether the bucket's policy denies the action, or the fact that is needed for that."""
    bucket = facts.bucket
    if bucket is None:
        return Need.BUCKET if facts.has_policy else False
    verdict = _verdict(question, question.action, facts, bucket)
    return verdict if isinstance(verdict, Need) else verdict == "deny"


def may_let_anyone(bucket: BucketAccess, actions: tuple[str, ...]) -> bool:
    """Return whether anyone could be allowed one of these actions, which write objects, on some key of the bucket."""
    allowing = [one for one in bucket.policy.statements if one.allow] if bucket.policy is not None else []
    if any(one.covers_action(action) for one in allowing for action in actions):
        return True
    return not bucket.acls_disabled and bucket.acl.lets_others_write


def _owns_otherwise(question: Question) -> bool:
    """Return whether an administrator of all accounts owns this: through Swift any but the system's, else its own."""
    if not question.identity.reseller_admin:
        return False
    realm, account = question.realm, question.name.account
    return account == question.identity.account if question.s3 else realm is None or not realm.is_system(account)


def _level(question: Question, facts: Facts) -> str | None:
    return facts.level if question.identity.known else ""


def _of_account(question: Question, facts: Facts, owns: bool) -> Decision | Need:
    if owns and (question.action not in ACCOUNT_MANAGEMENT or _owns_otherwise(question)):
        return OWNER
    if question.s3:  # nobody lists or makes buckets in the account of another
        return NOT_GRANTED
    return _by_role(question) or _by_level(question, facts) or NOT_GRANTED


def _verdict(question: Question, action: str, facts: Facts, bucket: BucketAccess) -> str | Need:
    """Return `deny`, `allow`, or '' if no statement of the policy applies."""
    policy = bucket.policy
    if policy is None:
        return ""
    if policy.keys and facts.values is None:
        return Need.VALUES
    name = question.name
    resource = f"{name.container}/{name.object}" if name.object is not None else name.container or ""
    return policy.verdict(question.identity, action, resource, facts.values or {})


def _by_policy(question: Question, facts: Facts, bucket: BucketAccess, owns: bool) -> Decision | Need | None:
    verdict = _verdict(question, question.action, facts, bucket)
    if isinstance(verdict, Need):
        return verdict
    if any(_verdict(question, action, facts, bucket) == "deny" for action in question.further):
        return DENIED_BY_POLICY
    if verdict == "deny":
        if question.action not in OWNERS_ALWAYS:
            return DENIED_BY_POLICY
        level = ADMIN if owns else _level(question, facts)
        if level != ADMIN:
            return Need.LEVEL if level is None else DENIED_BY_POLICY
    if verdict == "allow" and question.s3 and not _is_restricted(question, bucket):
        return ALLOWED_BY_POLICY
    return None


def _is_restricted(question: Question, bucket: BucketAccess) -> bool:
    if not bucket.block.restrict_buckets or question.identity.account == bucket.owner:
        return False
    return bucket.policy is not None and is_public(bucket.policy)


def _granted(question: Question, facts: Facts, bucket: BucketAccess, owns: bool) -> Decision | Need:
    action, stored = ACTIONS[question.action], facts.stored
    by_object = question.s3 and action.acl == "object" and not bucket.acls_disabled and question.name.object is not None
    if owns:
        if not by_object or not bucket.lets_others_write:
            return OWNER
        if stored is None:
            return Need.STORED
        if stored.acl is None or stored.acl.owner == bucket.owner:
            return OWNER
    if question.s3 and action.acl == "bucket" and _acl_allows(question, bucket, bucket.acl):
        return ALLOWED_BY_ACL
    if _list_allows(question, bucket):
        return ALLOWED_BY_LIST
    if not owns:
        granted = _by_role(question) or _by_level(question, facts)
        if granted is OWNER:
            return _granted(question, facts, bucket, True)
        if granted is not None:
            return granted
    if not by_object:
        return NOT_GRANTED
    if stored is None:
        return Need.STORED
    if stored.acl is not None:
        return ALLOWED_BY_ACL if _acl_allows(question, bucket, stored.acl, owns) else NOT_GRANTED
    listing = decide(question._replace(action=_LISTING, further=(), name=question.name.of_container), facts)
    return LISTER if isinstance(listing, Decision) and listing.allowed else NOT_GRANTED


def _acl_allows(question: Question, bucket: BucketAccess, acl: Acl, owns: bool = False) -> bool:
    if bucket.acls_disabled:
        return False
    identity, action = question.identity, ACTIONS[question.action]
    # Grants to an account are for its administrators; other users of it need a policy that names them.
    account = bucket.owner if owns else identity.account if identity.administers(identity.account) else ""
    if account and account == acl.owner and action.permission in ("READ_ACP", "WRITE_ACP"):
        return True
    groups: tuple[str, ...] = ()
    if not bucket.block.ignore_acls:
        groups = (acls.ALL_USERS, acls.AUTHENTICATED_USERS) if identity.known else (acls.ALL_USERS,)
    return acl.allows(account, action.permission, groups)


def _list_allows(question: Question, bucket: BucketAccess) -> bool:
    """Return whether X-Container-Read or X-Container-Write grants, to the identity or, to read, to its Referer."""
    action = ACTIONS[question.action]
    word = "" if action.of_versions and action.on == "object" else action.word(question.s3)
    text = bucket.list_for(word) if word else ""
    if not text:
        return False
    listed = swift_acls.parse(text)
    if question.identity.known and swift_acls.groups_allowed(question.identity, listed):
        return True
    if word == "write" or (word == "list" and not listed.listings):
        return False
    return swift_acls.referrer_allowed(question.referrer, listed)


def _by_role(question: Question) -> Decision | None:
    """Return READER for an identity that may read all accounts through Swift."""
    if question.s3 or not question.identity.reads_all or not ACTIONS[question.action].reads(False):
        return None
    realm = question.realm
    return None if realm is not None and realm.is_system(question.name.account) else READER


def _by_level(question: Question, facts: Facts) -> Decision | Need | None:
    """Return the grant of X-Account-Access-Control; through S3 only for actions that Swift's lists have a word for."""
    level = _level(question, facts)
    if level is None:
        return Need.LEVEL
    if level == ADMIN and question.action not in ACCOUNT_MANAGEMENT:
        return OWNER
    action = ACTIONS[question.action]
    if level and action.reads(question.s3):
        return ALLOWED_BY_ACCOUNT
    may_write = level == "read-write" and question.name.container is not None
    return ALLOWED_BY_ACCOUNT if may_write and (action.word(question.s3) or not question.s3) else None
