"""The right of the store's log delivery to write into a bucket (S3 user guide, "Permissions for log delivery").

The bucket must have the account of the logged bucket, as in S3. Its policy decides first, over the service principal
`logging.s3.amazonaws.com` with the action `s3:PutObject`: a denial refuses, a statement that allows it suffices. Else
the ACL of the bucket, unless ACLs are disabled, must grant WRITE to the group LogDelivery. The owner's own rights do
not count: a bucket takes logs only if it says so. Nobody pays for requests of the store itself, so a bucket whose
requesters pay takes none.
"""

from __future__ import annotations

from objstore.access import condition_keys
from objstore.access.acl import LOG_DELIVERY
from objstore.access.bucket import BucketAccess
from objstore.access.condition_keys import Circumstances, Subject
from objstore.access.identity import Identity
from objstore.core.names import Name

SERVICE = Identity(service="logging.s3.amazonaws.com")
_ACTION = "s3:PutObject"


def may_deliver(bucket: BucketAccess, target: Name, source: Name, now: float, region: str = "") -> bool:
    """Return whether log objects of the bucket `source` may be written as `target`, in the bucket of these settings.

    target: an object; the prefix of keys counts as one. now: seconds since the epoch.
    """
    if bucket.owner != source.account or target.account != source.account or bucket.requester_pays:
        return False
    policy = bucket.policy
    if policy is not None:
        arn = f"arn:aws:s3:::{source.container}"
        circumstances = Circumstances(
            now, secure=True, region=region, creates="true", source_account=source.account, source_arn=arn
        )
        values = condition_keys.gather(policy.keys, Subject(circumstances, SERVICE, bucket.owner))
        verdict = policy.verdict(SERVICE, _ACTION, f"{target.container}/{target.object or ''}", values)
        if verdict:
            return verdict == "allow"
    return not bucket.acls_disabled and bucket.acl.allows("", "WRITE", (LOG_DELIVERY,))
