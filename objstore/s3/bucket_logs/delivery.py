"""Log objects: which records make one, its key, and its way into the target bucket."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from objstore.access import acl as acls
from objstore.access import bucket as buckets
from objstore.access.bucket import BucketDefaults
from objstore.access.judge import OBJECT_ACL
from objstore.access.log_delivery import may_deliver
from objstore.core.errors import (
    AccountBlocked,
    InvalidInput,
    NotFound,
    ObjstoreError,
    PreconditionFailed,
    QuotaExceeded,
)
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ObjectLayer, PutOptions
from objstore.s3.bucket_logs.configuration import DELIVERY_TIME, EVENT_TIME, Logging, load
from objstore.s3.bucket_logs.spool import SpooledRecord
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition

_DAY = 86_400  # seconds


class LogObject(NamedTuple):
    """A log object. source: the logged bucket. key: in the bucket `logging.target`. records: their number."""

    source: Name
    logging: Logging
    key: str
    content: bytes
    records: int

    @property
    def target(self) -> Name:
        return Name(self.source.account, self.logging.target, self.key)


class Delivery(Enum):
    """The outcome of a delivery. Only one of DELAYED is tried again."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    DELAYED = "delayed"


def log_objects(entries: Iterable[SpooledRecord], file: str, closed: int, region: str) -> list[LogObject]:
    """Return the log objects of a file of the spool: one for each bucket, configuration and, with keys by the time of
    events, day (UTC).

    file: its name, unique among all hosts. closed: seconds since the epoch. The same file makes the same objects.
    """
    groups: dict[tuple[str, str, str, int], list[str]] = {}
    for entry in entries:
        by_day = load(entry.configuration).key_format == EVENT_TIME
        day = int(entry.seconds) // _DAY if by_day else -1
        groups.setdefault((entry.account, entry.bucket, entry.configuration, day), []).append(entry.line)
    objects = []
    for group, lines in groups.items():
        account, bucket, configuration, day = group
        source, logging = Name(account, bucket), load(configuration)
        digest = hashlib.sha256("\0".join(map(str, (file, *group))).encode("utf-8", "surrogateescape"))
        unique = digest.hexdigest()[:16].upper()
        key = object_key(source, logging, region, closed if day < 0 else day * _DAY, unique)
        content = "".join(f"{line}\n" for line in lines).encode()
        objects.append(LogObject(source, logging, key, content, len(lines)))
    return objects


def object_key(source: Name, logging: Logging, region: str, seconds: int, unique: str) -> str:
    """Return the key of a log object (S3 user guide, "Log object key format"). seconds: since the epoch."""
    moment = time.gmtime(seconds)
    name = f"{time.strftime('%Y-%m-%d-%H-%M-%S', moment)}-{unique}"
    if logging.key_format not in (EVENT_TIME, DELIVERY_TIME):
        return f"{logging.prefix}{name}"
    return f"{logging.prefix}{source.account}/{region}/{source.container}/{time.strftime('%Y/%m/%d', moment)}/{name}"


def deliver(layer: ObjectLayer, log_object: LogObject, defaults: BucketDefaults) -> tuple[Delivery, str]:
    """Write a log object, unless it is there; return the outcome, and the reason if it is not DELIVERED."""
    context, target = RequestContext(), log_object.target
    try:
        info = layer.container_info(context, target.of_container)
        if not info.exists:
            return Delivery.REFUSED, "there is no such bucket"
        access = buckets.of_container(target.of_container, info, defaults)
        if not may_deliver(access, target, log_object.source, time.time(), defaults.region):
            return Delivery.REFUSED, "neither its policy nor its ACL lets log delivery write"
        stored_acl = "" if access.acls_disabled else acls.dump(log_object.logging.acl(access.owner), access.owner)
        headers = {"Content-Type": "text/plain", **({OBJECT_ACL: stored_acl} if stored_acl else {})}
        options = PutOptions(headers, condition=WriteCondition(None, "*"))
        layer.put(context, target, options, BytesBody(log_object.content))
    except PreconditionFailed:
        pass  # it was delivered before its file was removed
    except (NotFound, QuotaExceeded, AccountBlocked, InvalidInput) as failure:
        return Delivery.REFUSED, f"{type(failure).__name__}: {failure}"
    except ObjstoreError as failure:
        return Delivery.DELAYED, f"{type(failure).__name__}: {failure}"
    return Delivery.DELIVERED, ""
