"""The logging configuration of a bucket: `BucketLoggingStatus` read, written and stored (S3 API: PutBucketLogging)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from objstore.access.acl import FULL_CONTROL, Acl, Grant
from objstore.s3.language import acl_xml, xml
from objstore.s3.language.errors import S3Error
from objstore.s3.request.acl_headers import checked

LOGGING = "logging"  # kind of document in `layers.documents`
LOGGING_SYSMETA = f"s3-{LOGGING}-0"
SIMPLE = "SimplePrefix"
EVENT_TIME = "EventTime"
DELIVERY_TIME = "DeliveryTime"
_PERMISSIONS = (FULL_CONTROL, "READ", "WRITE")


class Logging(NamedTuple):
    """The logging of a bucket. target: the bucket of the log objects. prefix: of their keys.

    key_format: SIMPLE; EVENT_TIME or DELIVERY_TIME for partitioned keys; '' if none was set, which counts as SIMPLE.
    grants: of the log objects, in addition to those of the owner of the bucket.
    """

    target: str
    prefix: str
    key_format: str = ""
    grants: tuple[Grant, ...] = ()

    def dump(self) -> str:
        return json.dumps(self, separators=(",", ":"))

    def acl(self, owner: str) -> Acl:
        """Return the ACL of a log object in the bucket of this owner."""
        own = Grant(owner, FULL_CONTROL)
        return Acl(owner, (own, *(grant for grant in self.grants if grant != own)))


@lru_cache(maxsize=1024)
def load(text: str) -> Logging:
    """Return the logging that `dump` wrote."""
    target, prefix, key_format, grants = json.loads(text)
    return Logging(target, prefix, key_format, tuple(Grant(*grant) for grant in grants))


def from_xml(root: Any, owner: str, is_account: Callable[[str], bool]) -> Logging | None:
    """Return the logging of a BucketLoggingStatus, None if it disables logging.

    owner: of the bucket. is_account: returns whether a text is a canonical id. Raises S3Error MalformedXML,
    InvalidArgument, MethodNotAllowed, InvalidRequest.
    """
    xml.only(root, ("LoggingEnabled",))
    enabled = root.find("LoggingEnabled")
    if enabled is None:
        return None
    xml.only(enabled, ("TargetBucket", "TargetPrefix", "TargetGrants", "TargetObjectKeyFormat"))
    target, prefix = xml.optional(enabled, "TargetBucket"), xml.optional(enabled, "TargetPrefix")
    if not target or prefix is None:
        raise S3Error("MalformedXML")
    return Logging(target, prefix, _key_format(enabled), _grants(enabled, owner, is_account))


def _key_format(enabled: Any) -> str:
    element = enabled.find("TargetObjectKeyFormat")
    if element is None:
        return ""
    xml.only(element, (SIMPLE, "PartitionedPrefix"))
    if len(element) != 1:
        raise S3Error("MalformedXML")
    if element[0].tag == SIMPLE:
        return SIMPLE
    source = xml.text(element[0], "PartitionDateSource", EVENT_TIME)
    if source not in (EVENT_TIME, DELIVERY_TIME):
        raise S3Error("MalformedXML")
    return source


def _grants(enabled: Any, owner: str, is_account: Callable[[str], bool]) -> tuple[Grant, ...]:
    element = enabled.find("TargetGrants")
    if element is None:
        return ()
    xml.only(element, ("Grant",))
    try:
        grants = tuple(acl_xml.grant(one) for one in element)
    except S3Error as failure:
        raise (S3Error("MalformedXML") if failure.code == "MalformedACLError" else failure) from None
    if any(grant.permission not in _PERMISSIONS for grant in grants):
        raise S3Error("MalformedXML")
    return checked(Acl(owner, grants), is_account).grants


def to_xml(logging: Logging | None) -> bytes:
    if logging is None:
        return xml.document("BucketLoggingStatus", "")
    content: list[tuple[str, Any]] = [("TargetBucket", logging.target), ("TargetPrefix", logging.prefix)]
    if logging.grants:
        content.append(("TargetGrants", [acl_xml.grant_element(grant) for grant in logging.grants]))
    if logging.key_format == SIMPLE:
        content.append(("TargetObjectKeyFormat", [(SIMPLE, "")]))
    elif logging.key_format:
        partitioned = [("PartitionedPrefix", [("PartitionDateSource", logging.key_format)])]
        content.append(("TargetObjectKeyFormat", partitioned))
    return xml.document("BucketLoggingStatus", [("LoggingEnabled", content)])
