"""What a request has for the condition keys of policies (S3 user guide, "Bucket policy examples using condition keys";
IAM user guide, "AWS global condition context keys").

Only the keys that a policy asks for are looked up. A key without a value is absent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from objstore.s3.access.patterns import Values, is_malformed
from objstore.s3.access.policy import Caller, Policy, Statement
from objstore.s3.errors import S3Error
from objstore.s3.request import S3Request


class Subject(NamedTuple):
    """tags: URL-encoded, of the object that is there. request_tags: likewise, of the one that is to be.
    owner: the account of the bucket."""

    request: S3Request
    caller: Caller
    version_id: str = ""
    tags: str = ""
    request_tags: str = ""
    owner: str = ""


Found = Iterable[str]
_EXISTING_TAG = "s3:existingobjecttag/"
_REQUEST_TAG = "s3:requestobjecttag/"
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
# Operations that make an object, and those that only prepare one.
_CREATES = {
    "PutObject": "true", "PostObject": "true", "CopyObject": "true", "CompleteMultipartUpload": "true",
    "RenameObject": "true", "CreateMultipartUpload": "false", "UploadPart": "false", "UploadPartCopy": "false",
}  # fmt: skip
# Keys of AWS that no request here has: sessions, organisations, networks and services of AWS, access points, locks.
_ABSENT = frozenset(
    {
        "aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:ec2instancesourceprivateipv4",
        "aws:ec2instancesourcevpc", "aws:federatedprovider", "aws:multifactorauthage", "aws:multifactorauthpresent",
        "aws:principalisawsservice", "aws:principalorgid", "aws:principalorgpaths", "aws:principalservicename",
        "aws:principalservicenameslist", "aws:resourceorgid", "aws:resourceorgpaths", "aws:sourceaccount",
        "aws:sourcearn", "aws:sourceidentity", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceowner",
        "aws:sourcevpc", "aws:sourcevpcarn", "aws:sourcevpce", "aws:tagkeys", "aws:tokenissuetime",
        "aws:viaawsservice", "aws:vpceaccount", "aws:vpceorgid", "aws:vpceorgpaths", "aws:vpcsourceip",
        "s3:accessgrantsinstancearn", "s3:accesspointnetworkorigin", "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn", "s3:object-lock-legal-hold", "s3:object-lock-mode",
        "s3:object-lock-remaining-retention-days", "s3:object-lock-retain-until-date",
    }
)  # fmt: skip
# Keys of queries are of listings, those of an upload's headers of what writes objects and ACLs.
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
    """Raises S3Error MalformedPolicy for a condition key or variable that does not exist, or that no request for the
    statement's actions has: what hangs on it would never apply."""
    for key in sorted(policy.keys):
        if not _is_known(key):
            raise S3Error("MalformedPolicy", "Policy has an invalid condition key", {"Detail": key})
    for statement in policy.statements:
        if statement.actions_named and any(not _applies(one.key, statement) for one in statement.conditions):
            raise S3Error("MalformedPolicy", _NO_COMBINATION)
    if policy.filling:
        for text in (text for statement in policy.statements for text in statement.filled_texts()):
            if is_malformed(text):
                raise S3Error("MalformedPolicy", "Policy has an invalid variable", {"Detail": text})


def _applies(key: str, statement: Statement) -> bool:
    """Can a request for one of the statement's actions have the key?"""
    if key in _QUERY_KEYS:
        return any(map(statement.names_action, _LISTING))
    if key in _DESCRIBING_KEYS or key.startswith(_REQUEST_TAG):
        return any(map(statement.names_action, _WRITING))
    return True


def _is_known(key: str) -> bool:
    if key in _READERS or key in _ABSENT:
        return True
    return any(key.startswith(space) and len(key) > len(space) for space in (*_TAG_SPACES, *_ABSENT_SPACES))


def needs_tags(keys: Iterable[str]) -> bool:
    """Is one of the keys about the tags of the object that is there?"""
    return any(key.startswith(_EXISTING_TAG) for key in keys)


def needs_request_tags(keys: Iterable[str]) -> bool:
    return any(key.startswith(_REQUEST_TAG) or key == _TAG_KEYS for key in keys)


def gather(keys: Iterable[str], subject: Subject) -> Values:
    """The values of those of the keys, in lower case, that the request has."""
    found: dict[str, tuple[str, ...]] = {}
    for key in keys:
        reader = _READERS.get(key)
        if reader is not None:
            values = tuple(reader(subject))
        elif key.startswith(_EXISTING_TAG):
            values = _tag(subject.tags, key[len(_EXISTING_TAG) :])
        elif key.startswith(_REQUEST_TAG):
            values = _tag(subject.request_tags, key[len(_REQUEST_TAG) :])
        else:
            values = ()
        if values:
            found[key] = values
    return found


def _tag(tags: str, name: str) -> tuple[str, ...]:
    """Keys of conditions are the same in any case, those of tags with them."""
    return tuple(value for key, value in parse_qsl(tags, keep_blank_values=True) if key.lower() == name)


def _some(value: str) -> Found:
    return (value,) if value else ()


def _header(name: str) -> Callable[[Subject], Found]:
    return lambda subject: (subject.request.headers[name],) if name in subject.request.headers else ()


def _query(name: str) -> Callable[[Subject], Found]:
    return lambda subject: (subject.request.query[name],) if name in subject.request.query else ()


def _auth_type(subject: Subject) -> Found:
    signing = subject.request.signing
    return _some(signing.type if signing is not None else "")


def _signature_version(subject: Subject) -> Found:
    signing = subject.request.signing
    return _some(signing.version if signing is not None else "")


def _signature_age(subject: Subject) -> Found:
    """Milliseconds since the signature was made; a URL or form of version 2 does not say when that was."""
    signing = subject.request.signing
    if signing is None or signing.seconds is None:
        return ()
    return (str(max(0, int((time.time() - signing.seconds) * 1000))),)


def _payload(subject: Subject) -> Found:
    """The statement about the body: the signature's, or that of an unsigned request."""
    request = subject.request
    return _some(request.signing.payload if request.signing is not None else request.header("X-Amz-Content-Sha256"))


def _copy_source(subject: Subject) -> Found:
    """`bucket/key` and `/bucket/key`, decoded and without a version: a policy may use either, a header any spelling."""
    path = subject.request.header("X-Amz-Copy-Source").partition("?")[0]
    source = unquote(path, errors="replace").removeprefix("/")
    return (source, f"/{source}") if source else ()


def _now(subject: Subject) -> Found:
    return (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)


def _tls_version(subject: Subject) -> Found:
    return _some(str(subject.request.environ.get("SSL_PROTOCOL", "")).removeprefix("TLSv"))


def _user_id(subject: Subject) -> Found:
    caller = subject.caller
    return (f"{caller.account}:{caller.user}",) if caller.account else ("anonymous",)


_READERS: dict[str, Callable[[Subject], Found]] = {
    **{f"s3:{name.lower()}": _header(name) for name in _HEADER_KEYS},
    **{key: _query(name) for key, name in _QUERY_KEYS.items()},
    "aws:currenttime": _now,
    "aws:epochtime": lambda _: (str(int(time.time())),),
    "aws:principalaccount": lambda subject: _some(subject.caller.account),
    "aws:principalarn": lambda subject: _some(subject.caller.arn),
    "aws:principaltype": lambda subject: ("User",) if subject.caller.account else ("Anonymous",),
    "aws:referer": _header("Referer"),
    "aws:requestedregion": lambda subject: (subject.request.region,),
    "aws:securetransport": lambda subject: (
        "true" if subject.request.environ.get("wsgi.url_scheme") == "https" else "false",
    ),
    "aws:sourceip": lambda subject: _some(subject.request.source_ip),
    "aws:useragent": _header("User-Agent"),
    "aws:userid": _user_id,
    "aws:username": lambda subject: _some(subject.caller.user),
    "aws:resourceaccount": lambda subject: _some(subject.owner),
    "s3:authtype": _auth_type,
    "s3:if-match": _header("If-Match"),
    "s3:if-none-match": _header("If-None-Match"),
    "s3:locationconstraint": lambda subject: (),  # of CreateBucket, which is asked of no bucket
    "s3:objectcreationoperation": lambda subject: _some(_CREATES.get(subject.request.operation, "")),
    "s3:requestobjecttagkeys": lambda subject: [
        key for key, _ in parse_qsl(subject.request_tags, keep_blank_values=True)
    ],
    "s3:resourceaccount": lambda subject: _some(subject.owner),
    "s3:signatureage": _signature_age,
    "s3:signatureversion": _signature_version,
    "s3:tlsversion": _tls_version,
    "s3:x-amz-content-sha256": _payload,
    "s3:x-amz-copy-source": _copy_source,
    "s3:versionid": lambda subject: _some(subject.version_id),
}
