"""Whether a bucket keeps versions, and what a version id may look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objstore.core.names import Name
from objstore.s3.errors import S3Error
from objstore.s3.request import S3Request
from objstore.s3.stored import NULL, Target, missing
from objstore.s3.versions.names import Ref, parse_id

if TYPE_CHECKING:
    from objstore.s3.context import Context

CONFIG = "versioning"
ENABLED = "Enabled"
SUSPENDED = "Suspended"


def state(context: Context, request: S3Request, bucket: Name) -> str:
    """ENABLED, SUSPENDED, or '' for a bucket that never kept versions. bucket: or a name in it."""
    native = context.native
    kept = native.config(native.container(request.environ, bucket), CONFIG)
    return kept and next((known for known in (ENABLED, SUSPENDED) if known in kept), "")


def parse(target: Target) -> Ref:
    """The version that a target names by its id; raises S3Error InvalidArgument for what is no id of ours."""
    ref = parse_id(target.version)
    if ref is None:
        extra = {"ArgumentName": "versionId", "ArgumentValue": target.version}
        raise S3Error("InvalidArgument", "Invalid version id specified", extra)
    return ref


def check_id(target: Target) -> None:
    """Raises S3Error InvalidArgument for a version id that is none."""
    if target.version not in ("", NULL):
        parse(target)


def unknown(target: Target) -> S3Error:
    """The error for a version of a bucket that never kept any."""
    check_id(target)
    return missing(target)
