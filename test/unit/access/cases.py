"""Situations, each with the rule that decides it: who does what through which API, and what is set there.

A row reads: what happens, who asks, which action, what there is, the rule. `s3` and `swift` say through which API.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from harness.identities import identity

from objstore.access.acl import ALL_USERS, AUTHENTICATED_USERS, Acl, Grant, private
from objstore.access.actions import ACTIONS, CREATE_ACCOUNT, DELETE_ACCOUNT, UPDATE_ACCOUNT
from objstore.access.bucket import BUCKET_OWNER_ENFORCED as ENFORCED
from objstore.access.bucket import BucketAccess, PublicAccessBlock
from objstore.access.decision import (
    ALLOWED_BY_ACCOUNT,
    ALLOWED_BY_ACL,
    ALLOWED_BY_LIST,
    ALLOWED_BY_POLICY,
    DENIED_BY_POLICY,
    LISTER,
    NOT_GRANTED,
    OTHER_REALM,
    OUT_OF_SCOPE,
    PUBLIC_ACL_BLOCKED,
    READER,
    UNPAID,
    Decision,
    Facts,
    ObjectAccess,
    Question,
)
from objstore.access.decision import OWNER as BY_OWNER
from objstore.access.identity import ANYONE, Identity, Realm, bearer
from objstore.access.policy import Policy, parse
from objstore.core.names import Name

REALM = Realm(("AUTH_",))

OWNER = identity("AUTH_owner", "root", True)
OTHER = identity("AUTH_other", "root", True)
CLERK = identity("AUTH_owner", "clerk")  # a user of the owner's account who does not administer it
OTHERS_CLERK = identity("AUTH_other", "clerk")
RESELLER = identity("AUTH_reseller", "admin")._replace(reseller_admin=True)
AUDITOR = identity("AUTH_reseller", "auditor")._replace(groups=("reseller:auditor", "reseller", ".reseller_reader"))

ACCOUNT, BUCKET, KEY = Name("AUTH_owner"), Name("AUTH_owner", "bucket"), Name("AUTH_owner", "bucket", "key")
SYSTEM, ELSEWHERE = Name("AUTH_.system", "c", "o"), Name("OTHER_owner", "c", "o")

ALL = Grant("AUTH_owner", "FULL_CONTROL")
PUBLIC_READ = Acl("AUTH_owner", (ALL, Grant(ALL_USERS, "READ")))
PUBLIC_WRITE = Acl("AUTH_owner", (ALL, Grant(ALL_USERS, "WRITE")))
KNOWN_READ = Acl("AUTH_owner", (ALL, Grant(AUTHENTICATED_USERS, "READ")))
OWN, OTHERS = private("AUTH_owner"), private("AUTH_other")


def granted(permission: str, owner: str = "AUTH_owner", grantee: str = "AUTH_other") -> Acl:
    return Acl(owner, (Grant(owner, "FULL_CONTROL"), Grant(grantee, permission)))


def policy(*statements: dict[str, Any]) -> Policy:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), "bucket")


def statement(effect: str, principal: Any = "*", action: Any = "s3:*", **more: Any) -> dict[str, Any]:
    resource = ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource, **more}


def denying(action: str) -> Policy:
    return policy(statement("Deny", action=action))


ALLOW_ALL = policy(statement("Allow"))
DENY_ALL = policy(statement("Deny"))
DENY_AND_ALLOW = policy(statement("Allow"), statement("Deny", action="s3:GetObject"))
ALLOW_OTHER = policy(statement("Allow", {"AWS": "arn:aws:iam::AUTH_other:root"}))
ALLOW_CLERK = policy(statement("Allow", {"AWS": "arn:aws:iam::AUTH_owner:user/clerk"}))
DENY_OTHER = policy(statement("Allow"), statement("Deny", {"AWS": "AUTH_other"}))
BY_ADDRESS = policy(statement("Deny", Condition={"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
INSIDE, OUTSIDE = {"aws:sourceip": ("10.1.2.3",)}, {"aws:sourceip": ("192.0.2.1",)}

BLOCKS, IGNORES = PublicAccessBlock(block_acls=True), PublicAccessBlock(ignore_acls=True)
BLOCKS_POLICY, RESTRICTS = PublicAccessBlock(block_policy=True), PublicAccessBlock(restrict_buckets=True)


class Case(NamedTuple):
    situation: str
    question: Question
    facts: Facts
    made: Decision


def facts(acl: Acl = OWN, stored: Acl | None = OWN, level: str = "", values: Any = None, **more: Any) -> Facts:
    """stored: the ACL of the object, None if there is none. more: fields of the bucket."""
    bucket = BucketAccess("AUTH_owner", acl, **more)
    return Facts(bucket, values=values, level=level, stored=ObjectAccess(stored))


def _name(action: str) -> Name:
    return {"object": KEY, "bucket": BUCKET}.get(ACTIONS[action].on, ACCOUNT)


def s3(situation: str, who: Identity, action: str, known: Facts, made: Decision, **more: Any) -> Case:
    action = f"s3:{action}"
    return Case(situation, Question(who, action, _name(action), True, **more), known, made)


def swift(situation: str, who: Identity, action: str, known: Facts, made: Decision, **more: Any) -> Case:
    action = action if action in ACTIONS else f"s3:{action}"
    fields = {"name": ACCOUNT if action == "s3:ListAllMyBuckets" else _name(action), "realm": REALM, **more}
    return Case(situation, Question(who, action, **fields), known, made)


_S3_OWNER = [
    s3("the owner reads", OWNER, "GetObject", facts(), BY_OWNER),
    s3("the owner configures", OWNER, "PutBucketPolicy", facts(), BY_OWNER),
    s3("the owner does not read an object of another", OWNER, "GetObject", facts(PUBLIC_WRITE, OTHERS), NOT_GRANTED),
    s3("the owner reads what cannot be of another", OWNER, "GetObject", facts(stored=OTHERS), BY_OWNER),
    s3("the owner reads it if ACLs are disabled", OWNER, "GetObject",
       facts(PUBLIC_WRITE, OTHERS, ownership=ENFORCED), BY_OWNER),
    s3("the owner reads it by its ACL", OWNER, "GetObject",
       facts(PUBLIC_WRITE, granted("READ", "AUTH_other", "AUTH_owner")), ALLOWED_BY_ACL),
    s3("the owner learns that a key is missing", OWNER, "GetObject", facts(PUBLIC_WRITE, None), BY_OWNER),
    s3("the owner deletes an object of another", OWNER, "DeleteObject", facts(PUBLIC_WRITE, OTHERS), BY_OWNER),
    s3("where a Swift list lets others write there are objects of others", OWNER, "GetObject",
       facts(stored=OTHERS, write_acl="other"), NOT_GRANTED),
    s3("a Swift list for everyone does not, if it is ignored", OWNER, "GetObject",
       facts(stored=OTHERS, write_acl="*:*", block=IGNORES), BY_OWNER),
    s3("where a policy lets others write there are objects of others", OWNER, "GetObject",
       facts(stored=OTHERS, policy=policy(statement("Allow", {"AWS": "AUTH_other"}))), NOT_GRANTED),
    s3("the owner is denied by the policy", OWNER, "GetObject", facts(policy=DENY_ALL), DENIED_BY_POLICY),
    s3("the owner mends a policy that denies all", OWNER, "PutBucketPolicy", facts(policy=DENY_ALL), BY_OWNER),
    s3("the owner deletes a policy that denies all", OWNER, "DeleteBucketPolicy", facts(policy=DENY_ALL), BY_OWNER),
    s3("the owner need not pay", OWNER, "GetObject", facts(requester_pays=True), BY_OWNER),
    s3("an administrator by the account's list is an owner", OTHER, "PutBucketPolicy", facts(level="admin"), BY_OWNER),
    s3("an administrator by the account's list mends a policy that denies all", OTHER, "PutBucketPolicy",
       facts(level="admin", policy=DENY_ALL), BY_OWNER),
    s3("an administrator by the account's list need not pay", OTHER, "GetObject",
       facts(level="admin", requester_pays=True), BY_OWNER),
    s3("an administrator by the account's list does not read an object of a third", CLERK, "GetObject",
       facts(PUBLIC_WRITE, OTHERS, level="admin"), NOT_GRANTED),
    s3("a user lists the buckets of the own account", OWNER, "ListAllMyBuckets", facts(), BY_OWNER),
    s3("one who does not administer an account does not list its buckets", CLERK, "ListAllMyBuckets",
       facts(level="read-only"), NOT_GRANTED),
]  # fmt: skip

_S3_SILENCE = [
    s3("another reads", OTHER, "GetObject", facts(), NOT_GRANTED),
    s3("another lists", OTHER, "ListBucket", facts(), NOT_GRANTED),
    s3("another writes", OTHER, "PutObject", facts(), NOT_GRANTED),
    s3("another sets the policy", OTHER, "PutBucketPolicy", facts(), NOT_GRANTED),
    s3("anyone reads", ANYONE, "GetObject", facts(), NOT_GRANTED),
    s3("anyone lists", ANYONE, "ListBucket", facts(), NOT_GRANTED),
    s3("a user of the account reads", CLERK, "GetObject", facts(), NOT_GRANTED),
    s3("an administrator of all accounts is nobody to S3", RESELLER, "GetObject", facts(), NOT_GRANTED),
    s3("a reader of all accounts is nobody to S3", AUDITOR, "GetObject", facts(), NOT_GRANTED),
    s3("another asks for a missing key", OTHER, "GetObject", facts(stored=None), NOT_GRANTED),
    s3("another who lists asks for a missing key", OTHER, "GetObject", facts(granted("READ"), None), LISTER),
    s3("another does not pay", OTHER, "GetObject", facts(stored=PUBLIC_READ, requester_pays=True), UNPAID),
    s3("another pays", OTHER, "GetObject", facts(stored=PUBLIC_READ, requester_pays=True), ALLOWED_BY_ACL, pays=True),
    s3("anyone cannot pay", ANYONE, "GetObject", facts(stored=PUBLIC_READ, requester_pays=True), UNPAID),
]

_S3_ACLS = [
    s3("bucket READ lists", OTHER, "ListBucket", facts(granted("READ")), ALLOWED_BY_ACL),
    s3("bucket READ lists versions", OTHER, "ListBucketVersions", facts(granted("READ")), ALLOWED_BY_ACL),
    s3("bucket READ does not read objects", OTHER, "GetObject", facts(granted("READ")), NOT_GRANTED),
    s3("bucket WRITE writes", OTHER, "PutObject", facts(granted("WRITE")), ALLOWED_BY_ACL),
    s3("bucket WRITE deletes", OTHER, "DeleteObject", facts(granted("WRITE")), ALLOWED_BY_ACL),
    s3("bucket WRITE deletes no versions", OTHER, "DeleteObjectVersion", facts(granted("WRITE")), NOT_GRANTED),
    s3("bucket WRITE does not list", OTHER, "ListBucket", facts(granted("WRITE")), NOT_GRANTED),
    s3("bucket READ_ACP reads the ACL", OTHER, "GetBucketAcl", facts(granted("READ_ACP")), ALLOWED_BY_ACL),
    s3("bucket READ_ACP does not write it", OTHER, "PutBucketAcl", facts(granted("READ_ACP")), NOT_GRANTED),
    s3("bucket WRITE_ACP writes the ACL", OTHER, "PutBucketAcl", facts(granted("WRITE_ACP")), ALLOWED_BY_ACL),
    s3("bucket FULL_CONTROL lists", OTHER, "ListBucket", facts(granted("FULL_CONTROL")), ALLOWED_BY_ACL),
    s3("bucket FULL_CONTROL writes", OTHER, "PutObject", facts(granted("FULL_CONTROL")), ALLOWED_BY_ACL),
    s3("bucket FULL_CONTROL does not delete it", OTHER, "DeleteBucket", facts(granted("FULL_CONTROL")), NOT_GRANTED),
    s3("bucket FULL_CONTROL sets no policy", OTHER, "PutBucketPolicy", facts(granted("FULL_CONTROL")), NOT_GRANTED),
    s3("object READ reads", OTHER, "GetObject", facts(stored=granted("READ")), ALLOWED_BY_ACL),
    s3("object READ does not write", OTHER, "PutObject", facts(stored=granted("READ")), NOT_GRANTED),
    s3("object READ_ACP reads the ACL", OTHER, "GetObjectAcl", facts(stored=granted("READ_ACP")), ALLOWED_BY_ACL),
    s3("object WRITE_ACP writes the ACL", OTHER, "PutObjectAcl", facts(stored=granted("WRITE_ACP")), ALLOWED_BY_ACL),
    s3("object FULL_CONTROL reads versions", OTHER, "GetObjectVersion", facts(stored=granted("FULL_CONTROL")),
       ALLOWED_BY_ACL),
    s3("object FULL_CONTROL does not read tags", OTHER, "GetObjectTagging", facts(stored=granted("FULL_CONTROL")),
       NOT_GRANTED),
    s3("the owner of an object reads its ACL ungranted", OTHER, "GetObjectAcl", facts(stored=Acl("AUTH_other", ())),
       ALLOWED_BY_ACL),
    s3("the owner of an object does not read it ungranted", OTHER, "GetObject", facts(stored=Acl("AUTH_other", ())),
       NOT_GRANTED),
    s3("what an account is granted its users do not have", OTHERS_CLERK, "ListBucket", facts(granted("READ")),
       NOT_GRANTED),
    s3("anyone lists a public bucket", ANYONE, "ListBucket", facts(PUBLIC_READ), ALLOWED_BY_ACL),
    s3("anyone reads a public object", ANYONE, "GetObject", facts(stored=PUBLIC_READ), ALLOWED_BY_ACL),
    s3("anyone writes to a public bucket", ANYONE, "PutObject", facts(PUBLIC_WRITE), ALLOWED_BY_ACL),
    s3("anyone is not known", ANYONE, "ListBucket", facts(KNOWN_READ), NOT_GRANTED),
    s3("another is known", OTHER, "ListBucket", facts(KNOWN_READ), ALLOWED_BY_ACL),
    s3("a user of another account is known", OTHERS_CLERK, "ListBucket", facts(KNOWN_READ), ALLOWED_BY_ACL),
    s3("disabled ACLs grant nothing", OTHER, "ListBucket", facts(granted("READ"), ownership=ENFORCED), NOT_GRANTED),
    s3("disabled ACLs of objects neither", OTHER, "GetObject", facts(stored=PUBLIC_READ, ownership=ENFORCED),
       NOT_GRANTED),
]  # fmt: skip

_S3_POLICIES = [
    s3("a policy allows anyone", ANYONE, "GetObject", facts(policy=ALLOW_ALL), ALLOWED_BY_POLICY),
    s3("a policy allows another", OTHER, "GetObject", facts(policy=ALLOW_OTHER), ALLOWED_BY_POLICY),
    s3("a policy allows another what no ACL can", OTHER, "PutBucketVersioning", facts(policy=ALLOW_OTHER),
       ALLOWED_BY_POLICY),
    s3("a policy lets the owner read an object of another", OWNER, "GetObject",
       facts(stored=OTHERS, policy=ALLOW_ALL), ALLOWED_BY_POLICY),
    s3("a policy for another does not allow anyone", ANYONE, "GetObject", facts(policy=ALLOW_OTHER), NOT_GRANTED),
    s3("a policy for an account does not allow its users", OTHERS_CLERK, "GetObject", facts(policy=ALLOW_OTHER),
       NOT_GRANTED),
    s3("a policy names a user", CLERK, "GetObject", facts(policy=ALLOW_CLERK), ALLOWED_BY_POLICY),
    s3("a denial goes before an allowance", OTHER, "GetObject", facts(policy=DENY_AND_ALLOW), DENIED_BY_POLICY),
    s3("what is not denied stays allowed", OTHER, "PutObject", facts(policy=DENY_AND_ALLOW), ALLOWED_BY_POLICY),
    s3("a denial goes before ACLs", OTHER, "GetObject", facts(stored=granted("READ"), policy=DENY_ALL),
       DENIED_BY_POLICY),
    s3("a denial goes before lists of Swift", OTHER, "GetObject", facts(policy=DENY_ALL, read_acl="other"),
       DENIED_BY_POLICY),
    s3("a denial goes before the account's list", OTHER, "GetObject", facts(policy=DENY_ALL, level="admin"),
       DENIED_BY_POLICY),
    s3("to deny an account is to deny its users", OTHERS_CLERK, "GetObject", facts(policy=DENY_OTHER),
       DENIED_BY_POLICY),
    s3("another mends no policy that denies all", OTHER, "PutBucketPolicy",
       facts(policy=policy(statement("Allow"), statement("Deny"))), DENIED_BY_POLICY),
    s3("a denial of tags binds an upload that has some", OWNER, "PutObject",
       facts(policy=denying("s3:PutObjectTagging")), DENIED_BY_POLICY, further=("s3:PutObjectTagging",)),
    s3("a denial of tags binds no upload without", OWNER, "PutObject",
       facts(policy=denying("s3:PutObjectTagging")), BY_OWNER),
    s3("an upload with tags is allowed if the upload is", OTHER, "PutObject",
       facts(policy=policy(statement("Allow", action="s3:PutObject"))), ALLOWED_BY_POLICY,
       further=("s3:PutObjectTagging", "s3:PutObjectAcl")),
    s3("a condition holds", OWNER, "GetObject", facts(policy=BY_ADDRESS, values=OUTSIDE), DENIED_BY_POLICY),
    s3("a condition does not hold", OWNER, "GetObject", facts(policy=BY_ADDRESS, values=INSIDE), BY_OWNER),
]  # fmt: skip

_S3_PUBLIC = [
    s3("public grants are ignored", ANYONE, "ListBucket", facts(PUBLIC_READ, block=IGNORES), NOT_GRANTED),
    s3("grants to the known are ignored", OTHER, "ListBucket", facts(KNOWN_READ, block=IGNORES), NOT_GRANTED),
    s3("grants to one are not", OTHER, "ListBucket", facts(granted("READ"), block=IGNORES), ALLOWED_BY_ACL),
    s3("a public policy is restricted", ANYONE, "GetObject", facts(policy=ALLOW_ALL, block=RESTRICTS), NOT_GRANTED),
    s3("a public policy is restricted for another account too", OTHER, "GetObject",
       facts(policy=ALLOW_ALL, block=RESTRICTS), NOT_GRANTED),
    s3("a public policy is not restricted for the account's own users", CLERK, "GetObject",
       facts(policy=ALLOW_ALL, block=RESTRICTS),
       ALLOWED_BY_POLICY),
    s3("a policy that is not public is not", OTHER, "GetObject", facts(policy=ALLOW_OTHER, block=RESTRICTS),
       ALLOWED_BY_POLICY),
    s3("blocking new ones leaves those that are there", ANYONE, "ListBucket", facts(PUBLIC_READ, block=BLOCKS),
       ALLOWED_BY_ACL),
    s3("blocking new policies leaves that which is there", ANYONE, "GetObject",
       facts(policy=ALLOW_ALL, block=BLOCKS_POLICY), ALLOWED_BY_POLICY),
]  # fmt: skip

_S3_LISTS = [
    s3("a read list reads", OTHER, "GetObject", facts(read_acl="other"), ALLOWED_BY_LIST),
    s3("a read list lists", OTHER, "ListBucket", facts(read_acl="other:root"), ALLOWED_BY_LIST),
    s3("a read list does not write", OTHER, "PutObject", facts(read_acl="other"), NOT_GRANTED),
    s3("a read list reads no versions", OTHER, "GetObjectVersion", facts(read_acl="other"), NOT_GRANTED),
    s3("a write list writes", OTHER, "PutObject", facts(write_acl="other"), ALLOWED_BY_LIST),
    s3("a write list does not read", OTHER, "GetObject", facts(write_acl="other"), NOT_GRANTED),
    s3("a write list does not configure", OTHER, "PutBucketAcl", facts(write_acl="other"), NOT_GRANTED),
    s3("a list for all referrers reads", ANYONE, "GetObject", facts(read_acl=".r:*"), ALLOWED_BY_LIST),
    s3("without .rlistings it does not list", ANYONE, "ListBucket", facts(read_acl=".r:*"), NOT_GRANTED),
    s3("with .rlistings it lists", ANYONE, "ListBucket", facts(read_acl=".r:*,.rlistings"), ALLOWED_BY_LIST),
    s3("it is public, and ignored as such", ANYONE, "GetObject", facts(read_acl=".r:*", block=IGNORES), NOT_GRANTED),
    s3("so is a list for everyone with a key", OTHER, "GetObject", facts(read_acl="*:*", block=IGNORES), NOT_GRANTED),
    s3("who is named is no public", OTHER, "GetObject", facts(read_acl="*:*,other", block=IGNORES), ALLOWED_BY_LIST),
    s3("read-only of the account reads", OTHER, "GetObject", facts(level="read-only"), ALLOWED_BY_ACCOUNT),
    s3("read-only of the account does not write", OTHER, "PutObject", facts(level="read-only"), NOT_GRANTED),
    s3("read-write of the account writes", OTHER, "PutObject", facts(level="read-write"), ALLOWED_BY_ACCOUNT),
    s3("read-write of the account does not configure", OTHER, "PutBucketTagging", facts(level="read-write"),
       NOT_GRANTED),
]  # fmt: skip

_SWIFT_ROLES = [
    swift("the owner reads", OWNER, "GetObject", facts(), BY_OWNER),
    swift("the owner makes containers", OWNER, "CreateBucket", facts(), BY_OWNER, name=BUCKET),
    swift("the owner reads the account", OWNER, "ListAllMyBuckets", facts(), BY_OWNER),
    swift("the owner changes the account", OWNER, UPDATE_ACCOUNT, facts(), BY_OWNER),
    swift("the owner does not make it", OWNER, CREATE_ACCOUNT, facts(), NOT_GRANTED),
    swift("the owner does not delete it", OWNER, DELETE_ACCOUNT, facts(), NOT_GRANTED),
    swift("objects have no owners of their own", OWNER, "GetObject", facts(PUBLIC_WRITE, OTHERS), BY_OWNER),
    swift("a user of the account reads", CLERK, "GetObject", facts(), NOT_GRANTED),
    swift("another reads", OTHER, "GetObject", facts(), NOT_GRANTED),
    swift("another reads the account", OTHER, "ListAllMyBuckets", facts(), NOT_GRANTED),
    swift("anyone reads", ANYONE, "GetObject", facts(), NOT_GRANTED),
    swift("anyone reads the account", ANYONE, "ListAllMyBuckets", facts(), NOT_GRANTED),
    swift("an administrator of all accounts owns this one", RESELLER, "PutObject", facts(), BY_OWNER),
    swift("an administrator of all accounts makes accounts", RESELLER, CREATE_ACCOUNT, facts(), BY_OWNER),
    swift("an administrator of all accounts deletes them", RESELLER, DELETE_ACCOUNT, facts(), BY_OWNER),
    swift("an administrator of all accounts does not own the system's", RESELLER, "GetObject",
          facts(), NOT_GRANTED, name=SYSTEM),
    swift("an administrator of all accounts does not own those of another system", RESELLER, "GetObject",
          facts(), OTHER_REALM, name=ELSEWHERE),
    swift("the bearer of a container's key reads in it", bearer(BUCKET), "GetObject", facts(), BY_OWNER),
    swift("the bearer of a container's key does not read beside it", bearer(BUCKET), "GetObject",
          facts(read_acl=".r:*"), OUT_OF_SCOPE, name=Name("AUTH_owner", "other", "key")),
    swift("the bearer of an account's key reads in all containers", bearer(ACCOUNT), "GetObject", facts(), BY_OWNER),
    swift("the bearer of an account's key does not read the account", bearer(ACCOUNT), "ListAllMyBuckets", facts(),
          OUT_OF_SCOPE),
    swift("the bearer of a key is denied by the policy", bearer(BUCKET), "GetObject", facts(policy=DENY_ALL),
          DENIED_BY_POLICY),
    swift("what is named in another system is not meant", OTHER, "GetObject", facts(read_acl="other"), OTHER_REALM,
          name=ELSEWHERE),
    swift("a reader of all accounts reads", AUDITOR, "GetObject", facts(), READER),
    swift("a reader of all accounts lists", AUDITOR, "ListBucket", facts(), READER),
    swift("a reader of all accounts reads the account", AUDITOR, "ListAllMyBuckets", facts(), READER),
    swift("a reader of all accounts does not write", AUDITOR, "PutObject", facts(), NOT_GRANTED),
    swift("a reader of all accounts reads nothing of the system", AUDITOR, "GetObject",
          facts(), NOT_GRANTED, name=SYSTEM),
]  # fmt: skip

_HOST, _ELSE = "http://www.example.com/page", "http://www.example.org/page"
_SWIFT_LISTS = [
    swift("a read list reads", OTHER, "GetObject", facts(read_acl="other"), ALLOWED_BY_LIST),
    swift("a read list lists", OTHER, "ListBucket", facts(read_acl="other:root"), ALLOWED_BY_LIST),
    swift("a read list does not write", OTHER, "PutObject", facts(read_acl="other"), NOT_GRANTED),
    swift("a read list does not delete the container", OTHER, "DeleteBucket", facts(read_acl="other"), NOT_GRANTED),
    swift("a write list writes", OTHER, "PutObject", facts(write_acl="other"), ALLOWED_BY_LIST),
    swift("a write list deletes", OTHER, "DeleteObject", facts(write_acl="*:root"), ALLOWED_BY_LIST),
    swift("a write list does not read", OTHER, "GetObject", facts(write_acl="other"), NOT_GRANTED),
    swift("a write list does not change the container", OTHER, "PutBucketTagging", facts(write_acl="other"),
          NOT_GRANTED),
    swift("a list names a user of the account", CLERK, "GetObject", facts(read_acl="owner:clerk"), ALLOWED_BY_LIST),
    swift("a list for everyone with a token", OTHER, "GetObject", facts(read_acl="*:*"), ALLOWED_BY_LIST),
    swift("a list for everyone with a token is not for those without", ANYONE, "GetObject",
          facts(read_acl="*:*"), NOT_GRANTED),
    swift("a list for all referrers reads", ANYONE, "GetObject", facts(read_acl=".r:*"), ALLOWED_BY_LIST),
    swift("without .rlistings it does not list", ANYONE, "ListBucket", facts(read_acl=".r:*"), NOT_GRANTED),
    swift("with .rlistings it lists", ANYONE, "ListBucket", facts(read_acl=".r:*,.rlistings"), ALLOWED_BY_LIST),
    swift(".rlistings alone lets nobody in", ANYONE, "ListBucket", facts(read_acl=".rlistings"), NOT_GRANTED),
    swift("referrers never write", ANYONE, "PutObject", facts(read_acl=".r:*"), NOT_GRANTED),
    swift("a list for a domain", ANYONE, "GetObject", facts(read_acl=".r:.example.com"), ALLOWED_BY_LIST,
          referrer=_HOST),
    swift("a list for a domain is not for another", ANYONE, "GetObject",
          facts(read_acl=".r:.example.com"), NOT_GRANTED, referrer=_ELSE),
    swift("a referrer is taken back", ANYONE, "GetObject", facts(read_acl=".r:*,.r:-.example.com"), NOT_GRANTED,
          referrer=_HOST),
    swift("a read list reads no versions by id", OTHER, "GetObjectVersion", facts(read_acl="other"), NOT_GRANTED),
    swift("a write list deletes no versions", OTHER, "DeleteObjectVersion", facts(write_acl="other"), NOT_GRANTED),
    swift("a read list lists versions", OTHER, "ListBucketVersions", facts(read_acl="other"), ALLOWED_BY_LIST),
    swift("read-only of the account reads versions", OTHER, "GetObjectVersion", facts(level="read-only"),
          ALLOWED_BY_ACCOUNT),
    swift("versions are not listed without .rlistings", ANYONE, "ListBucketVersions", facts(read_acl=".r:*"),
          NOT_GRANTED),
    swift("admin of the account is an owner", OTHER, "PutBucketTagging", facts(level="admin"), BY_OWNER),
    swift("admin of the account changes it", OTHER, UPDATE_ACCOUNT, facts(level="admin"), BY_OWNER),
    swift("admin of the account does not make it", OTHER, CREATE_ACCOUNT, facts(level="admin"), NOT_GRANTED),
    swift("read-write of the account writes", OTHER, "PutObject", facts(level="read-write"), ALLOWED_BY_ACCOUNT),
    swift("read-write of the account makes containers", OTHER, "CreateBucket",
          facts(level="read-write"), ALLOWED_BY_ACCOUNT, name=BUCKET),
    swift("read-write of the account deletes containers", OTHER, "DeleteBucket",
          facts(level="read-write"), ALLOWED_BY_ACCOUNT),
    swift("read-write of the account reads it", OTHER, "ListAllMyBuckets",
          facts(level="read-write"), ALLOWED_BY_ACCOUNT),
    swift("read-write of the account does not change it", OTHER, UPDATE_ACCOUNT,
          facts(level="read-write"), NOT_GRANTED),
    swift("read-only of the account reads", OTHER, "GetObject", facts(level="read-only"), ALLOWED_BY_ACCOUNT),
    swift("read-only of the account reads it", OTHER, "ListAllMyBuckets", facts(level="read-only"), ALLOWED_BY_ACCOUNT),
    swift("read-only of the account does not write", OTHER, "PutObject", facts(level="read-only"), NOT_GRANTED),
]  # fmt: skip

_SWIFT_BOUND = [
    swift("a policy denies the owner", OWNER, "GetObject", facts(policy=DENY_ALL), DENIED_BY_POLICY),
    swift("a policy denies an administrator of all accounts", RESELLER, "GetObject", facts(policy=DENY_ALL),
          DENIED_BY_POLICY),
    swift("a policy denies a reader of all accounts", AUDITOR, "GetObject", facts(policy=DENY_ALL), DENIED_BY_POLICY),
    swift("a policy denies whom a list names", OTHER, "GetObject", facts(policy=DENY_OTHER, read_acl="other"),
          DENIED_BY_POLICY),
    swift("a policy denies what is open to everyone", ANYONE, "GetObject", facts(policy=DENY_ALL, read_acl=".r:*"),
          DENIED_BY_POLICY),
    swift("a policy denies administrators by the account's list", OTHER, "GetObject",
          facts(policy=DENY_ALL, level="admin"), DENIED_BY_POLICY),
    swift("a denial of deletions binds an object that deletes itself", OWNER, "PutObject",
          facts(policy=denying("s3:DeleteObject")), DENIED_BY_POLICY, further=("s3:DeleteObject",)),
    swift("a denial of ACLs binds a change of lists", OWNER, "PutBucketTagging",
          facts(policy=denying("s3:PutBucketAcl")), DENIED_BY_POLICY, further=("s3:PutBucketAcl",)),
    swift("a condition holds", OWNER, "GetObject", facts(policy=BY_ADDRESS, values=OUTSIDE), DENIED_BY_POLICY),
    swift("a condition does not hold", OWNER, "GetObject", facts(policy=BY_ADDRESS, values=INSIDE), BY_OWNER),
    swift("a policy grants nothing to Swift", OTHER, "GetObject", facts(policy=ALLOW_ALL), NOT_GRANTED),
    swift("an ACL of S3 grants nothing to Swift", ANYONE, "ListBucket", facts(PUBLIC_READ), NOT_GRANTED),
    swift("an ACL of an object grants nothing to Swift", ANYONE, "GetObject", facts(stored=PUBLIC_READ), NOT_GRANTED),
    swift("nobody pays through Swift", OTHER, "GetObject", facts(read_acl="other", requester_pays=True),
          ALLOWED_BY_LIST),
    swift("a list for everyone is not set where those are blocked", OWNER, "PutBucketTagging", facts(block=BLOCKS),
          PUBLIC_ACL_BLOCKED, makes_public=True),
    swift("a list for somebody is", OWNER, "PutBucketTagging", facts(block=BLOCKS), BY_OWNER),
    swift("where they are ignored it is set", OWNER, "PutBucketTagging", facts(block=IGNORES), BY_OWNER,
          makes_public=True),
    swift("a list for everyone counts for nothing where those are ignored", ANYONE, "GetObject",
          facts(read_acl=".r:*", block=IGNORES), NOT_GRANTED),
    swift("a list for everyone with a token neither", OTHER, "GetObject",
          facts(read_acl="*:*", block=IGNORES), NOT_GRANTED),
    swift("who is named is no public", OTHER, "GetObject", facts(read_acl=".r:*,other", block=IGNORES),
          ALLOWED_BY_LIST),
    swift("the lists of the account are no public", OTHER, "GetObject", facts(level="read-only", block=IGNORES),
          ALLOWED_BY_ACCOUNT),
]  # fmt: skip

CASES = [
    *_S3_OWNER, *_S3_SILENCE, *_S3_ACLS, *_S3_POLICIES, *_S3_PUBLIC, *_S3_LISTS,
    *_SWIFT_ROLES, *_SWIFT_LISTS, *_SWIFT_BOUND,
]  # fmt: skip
