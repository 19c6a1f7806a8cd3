"""The values of a request for the condition keys of policies.

From the S3 user guide, "Bucket policy examples using condition keys", and the IAM user guide, "AWS global condition
context keys". Only the keys that a policy uses are looked up. A key without a value is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from objstore.access.identity import Identity
from objstore.access.patterns import Values, is_malformed
from objstore.access.policy import MalformedPolicy, Policy, Statement
from objstore.core.object_lock import NO_LOCK, Lock, iso_date


class Circumstances(NamedTuple):
    """The parts of a request that condition keys refer to. now: seconds since the epoch.

    headers: those with a condition key, canonical name to text. query: `prefix`, `delimiter`, `max-keys` of a
    listing. creates: `true` for a request that makes an object, `false` for one that prepares an object, else ''.
    auth_type, signature_version, payload, signed_at: of an S3 signature, see `s3.signature.Signing`. tags: of the
    new object, URL-encoded. lock: that the request sets. source_account, source_arn: of the bucket for which a service
    of this store works.
    """

    now: float = 0.0
    source_ip: str = ""
    secure: bool = False
    tls_version: str = ""
    region: str = ""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    creates: str = ""
    auth_type: str = ""
    signature_version: str = ""
    payload: str = ""
    signed_at: float | None = None
    tags: str = ""
    lock: Lock = NO_LOCK
    source_account: str = ""
    source_arn: str = ""


class Subject(NamedTuple):
    """A request and its target. stored_tags: of the existing object, URL-encoded. owner: the account of the bucket."""

    circumstances: Circumstances
    identity: Identity
    owner: str = ""
    stored_tags: str = ""
    version_id: str = ""


Texts = Iterable[str]
_EXISTING_TAG = "s3:existingobjecttag/"
_REQUEST_TAG = "s3:requestobjecttag/"
_LOCK = "s3:object-lock-"
_DAY = 86_400_000  # milliseconds
_TAG_KEYS = "s3:requestobjecttagkeys"
# Headers that are condition keys under their own name.
_HEADER_KEYS = (
    "X-Amz-Acl", "X-Amz-Grant-Full-Control", "X-Amz-Grant-Read",
    "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write", "X-Amz-Grant-Write-Acp", "X-Amz-Metadata-Directive",
    "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
    "X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Storage-Class", "X-Amz-Website-Redirect-Location",
    "X-Amz-Object-Ownership",
)  # fmt: skip
_QUERY_KEYS = {"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys"}
# Keys of AWS that no request here has: sessions, organisations, networks and services of AWS, access points.
_ABSENT = frozenset(
    {
        "aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:ec2instancesourceprivateipv4",
        "aws:ec2instancesourcevpc", "aws:federatedprovider", "aws:multifactorauthage", "aws:multifactorauthpresent",
        "aws:principalorgid", "aws:principalorgpaths",
        "aws:principalservicenameslist", "aws:resourceorgid", "aws:resourceorgpaths",
        "aws:sourceidentity", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceowner",
        "aws:sourcevpc", "aws:sourcevpcarn", "aws:sourcevpce", "aws:tagkeys", "aws:tokenissuetime",
        "aws:viaawsservice", "aws:vpceaccount", "aws:vpceorgid", "aws:vpceorgpaths", "aws:vpcsourceip",
        "s3:accessgrantsinstancearn", "s3:accesspointnetworkorigin", "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
    }
)  # fmt: skip
# Keys of queries belong to listings, those of an upload's headers to actions that write objects and ACLs.
_LISTING = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
_WRITING = (
    "s3:CreateBucket", "s3:PutBucketAcl", "s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl", "s3:PutObjectVersionTagging", "s3:ReplicateObject", "s3:ReplicateTags",
)  # fmt: skip
_DESCRIBING_KEYS = frozenset({*(f"s3:{name.lower()}" for name in _HEADER_KEYS), "s3:x-amz-copy-source", _TAG_KEYS})
_NO_COMBINATION = "Conditions do not apply to combination of actions and resources in statement"
_TAG_SPACES = (_EXISTING_TAG, _REQUEST_TAG)
_ABSENT_SPACES = ("aws:principaltag/", "aws:requesttag/", "aws:resourcetag/")


def check_keys(policy: Policy) -> None:
    """Check the condition keys and variables of a policy.

    Raises MalformedPolicy if one does not exist, or if no request for the statement's actions has it: the statement
    would never apply.
    """
    for key in sorted(policy.keys):
        if not _is_known(key):
            raise MalformedPolicy("Policy has an invalid condition key", key)
    for statement in policy.statements:
        if statement.actions_named and any(not _applies(one.key, statement) for one in statement.conditions):
            raise MalformedPolicy(_NO_COMBINATION)
    if policy.filling:
        for text in (text for statement in policy.statements for text in statement.filled_texts()):
            if is_malformed(text):
                raise MalformedPolicy("Policy has an invalid variable", text)


def _applies(key: str, statement: Statement) -> bool:
    """Return whether a request for one of the statement's actions can have the key."""
    if key in _QUERY_KEYS:
        return any(map(statement.names_action, _LISTING))
    if key in _DESCRIBING_KEYS or key.startswith(_REQUEST_TAG):
        return any(map(statement.names_action, _WRITING))
    return True


def _is_known(key: str) -> bool:
    if key in _READERS or key in _ABSENT:
        return True
    return any(key.startswith(space) and len(key) > len(space) for space in (*_TAG_SPACES, *_ABSENT_SPACES))


def needs_stored_tags(keys: Iterable[str]) -> bool:
    """Return whether one of the keys refers to the tags of the existing object."""
    return any(key.startswith(_EXISTING_TAG) for key in keys)


def needs_request_tags(keys: Iterable[str]) -> bool:
    return any(key.startswith(_REQUEST_TAG) or key == _TAG_KEYS for key in keys)


def needs_lock(keys: Iterable[str]) -> bool:
    """Return whether one of the keys refers to the object lock that a request sets."""
    return any(key.startswith(_LOCK) for key in keys)


def gather(keys: Iterable[str], subject: Subject) -> Values:
    """Return the values of the keys, in lower case, that the request has."""
    gathered: dict[str, tuple[str, ...]] = {}
    for key in keys:
        reader = _READERS.get(key)
        if reader is not None:
            values = tuple(reader(subject))
        elif key.startswith(_EXISTING_TAG):
            values = _tag(subject.stored_tags, key[len(_EXISTING_TAG) :])
        elif key.startswith(_REQUEST_TAG):
            values = _tag(subject.circumstances.tags, key[len(_REQUEST_TAG) :])
        else:
            values = ()
        if values:
            gathered[key] = values
    return gathered


def _tag(tags: str, name: str) -> tuple[str, ...]:
    """Return the values of a tag. Condition keys ignore case, and the names of tags with them."""
    return tuple(value for key, value in parse_qsl(tags, keep_blank_values=True) if key.lower() == name)


def _some(value: str) -> Texts:
    return (value,) if value else ()


def _header(name: str) -> Callable[[Subject], Texts]:
    return lambda subject: _item(subject.circumstances.headers, name)


def _query(name: str) -> Callable[[Subject], Texts]:
    return lambda subject: _item(subject.circumstances.query, name)


def _item(items: Mapping[str, str], name: str) -> Texts:
    return (items[name],) if name in items else ()


def _signature_age(subject: Subject) -> Texts:
    """Return the milliseconds since the signature was made; none for a URL or form of version 2, which has no time."""
    now, signed_at = subject.circumstances.now, subject.circumstances.signed_at
    return () if signed_at is None else (str(max(0, int((now - signed_at) * 1000))),)


def _copy_source(subject: Subject) -> Texts:
    """Return `bucket/key` and `/bucket/key`, decoded and without a version, since policies may use either form."""
    path = subject.circumstances.headers.get("X-Amz-Copy-Source", "").partition("?")[0]
    source = unquote(path, errors="replace").removeprefix("/")
    return (source, f"/{source}") if source else ()


def _user_id(subject: Subject) -> Texts:
    identity = subject.identity
    return (f"{identity.account}:{identity.name}",) if identity.account else ("anonymous",)


def _date(subject: Subject) -> Texts:
    return (datetime.fromtimestamp(subject.circumstances.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)


def _remaining_days(subject: Subject) -> Texts:
    """Return the days that a retention will last, rounded up."""
    until, now = subject.circumstances.lock.until, subject.circumstances.now
    return (str(-((int(now * 1000) - until) // _DAY)),) if until else ()


_READERS: dict[str, Callable[[Subject], Texts]] = {
    **{f"s3:{name.lower()}": _header(name) for name in _HEADER_KEYS},
    **{key: _query(name) for key, name in _QUERY_KEYS.items()},
    "aws:currenttime": _date,
    "aws:epochtime": lambda subject: (str(int(subject.circumstances.now)),),
    "aws:principalaccount": lambda subject: _some(subject.identity.account),
    "aws:principalarn": lambda subject: _some(subject.identity.arn),
    "aws:principalisawsservice": lambda subject: ("true" if subject.identity.service else "false",),
    "aws:principalservicename": lambda subject: _some(subject.identity.service),
    "aws:principaltype": lambda subject: ("User",) if subject.identity.account else ("Anonymous",),
    "aws:referer": _header("Referer"),
    "aws:requestedregion": lambda subject: _some(subject.circumstances.region),
    "aws:securetransport": lambda subject: ("true" if subject.circumstances.secure else "false",),
    "aws:sourceaccount": lambda subject: _some(subject.circumstances.source_account),
    "aws:sourcearn": lambda subject: _some(subject.circumstances.source_arn),
    "aws:sourceip": lambda subject: _some(subject.circumstances.source_ip),
    "aws:useragent": _header("User-Agent"),
    "aws:userid": _user_id,
    "aws:username": lambda subject: _some(subject.identity.name),
    "aws:resourceaccount": lambda subject: _some(subject.owner),
    "s3:authtype": lambda subject: _some(subject.circumstances.auth_type),
    "s3:if-match": _header("If-Match"),
    "s3:if-none-match": _header("If-None-Match"),
    "s3:locationconstraint": lambda subject: (),  # of CreateBucket, for which there is no bucket and no policy
    "s3:objectcreationoperation": lambda subject: _some(subject.circumstances.creates),
    f"{_LOCK}legal-hold": lambda subject: _some(subject.circumstances.lock.legal_hold),
    f"{_LOCK}mode": lambda subject: _some(subject.circumstances.lock.mode),
    f"{_LOCK}remaining-retention-days": _remaining_days,
    f"{_LOCK}retain-until-date": lambda subject: (
        (iso_date(subject.circumstances.lock.until),) if subject.circumstances.lock.until else ()
    ),
    "s3:requestobjecttagkeys": lambda subject: [
        key for key, _ in parse_qsl(subject.circumstances.tags, keep_blank_values=True)
    ],
    "s3:resourceaccount": lambda subject: _some(subject.owner),
    "s3:signatureage": _signature_age,
    "s3:signatureversion": lambda subject: _some(subject.circumstances.signature_version),
    "s3:tlsversion": lambda subject: _some(subject.circumstances.tls_version),
    "s3:x-amz-content-sha256": lambda subject: _some(subject.circumstances.payload),
    "s3:x-amz-copy-source": _copy_source,
    "s3:versionid": lambda subject: _some(subject.version_id),
}
