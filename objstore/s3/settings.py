"""The settings of the S3 filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from objstore.runtime.settings import boolean, choice, duration, positive, setting, size, table, words
from objstore.s3.data.storage_classes import mapping
from objstore.s3.request import amz_headers, incoming


@dataclass(frozen=True)
class S3Settings:
    """The settings of the filter `s3`."""

    region: str = setting(str.strip, "us-east-1", "region of this store, in signatures and locations")
    accepted_regions: tuple[str, ...] = setting(
        words, "", "additional regions accepted in signatures, for clients with a fixed region; any: all regions"
    )
    signature_v2: bool = setting(boolean, "yes", "accept signatures of version 2, in headers, URLs and forms")
    max_v2_url_life: float = setting(
        duration, "7d", "maximum lifetime of a presigned URL of version 2; 0 refuses such URLs"
    )
    domains: tuple[str, ...] = setting(words, "", "domains whose subdomains are buckets (virtual-host style)")
    website_domains: tuple[str, ...] = setting(
        words,
        "",
        (
            "domains whose subdomains are the websites of buckets; on such a domain itself, the first element of the "
            "path names the bucket"
        ),
    )
    native_paths: tuple[str, ...] = setting(
        words,
        "v1 v1.0 auth info healthcheck metrics recon",
        "first path elements that are not buckets if a request is not signed, and that new buckets may not be named",
    )
    max_clock_skew: float = setting(duration, "15m", "tolerated clock difference of a request")
    max_presigned_life: float = setting(duration, "7d", "maximum lifetime of a presigned URL")
    dns_compliant_bucket_names: bool = setting(boolean, "yes", "enforce S3's rules for names of new buckets")
    deleted_name_hold: float = setting(
        duration,
        "1d",
        (
            "time for which no other account can take the name of a bucket that was deleted while one of its "
            "replicas was away"
        ),
    )
    max_buckets_per_account: int = setting(positive, "10000", "maximum number of buckets of an account")
    default_object_ownership: str = setting(
        choice("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"),
        "ObjectWriter",
        "default object ownership of buckets; BucketOwnerEnforced, the default of AWS, disables ACLs",
    )
    default_public_access_block: str = setting(
        choice("none", "all"),
        "none",
        "default public access block of buckets; all, the default of AWS, prevents all public access",
    )
    server_side_encryption: str = setting(
        choice("accept", "refuse"),
        "accept",
        (
            "uploads with x-amz-server-side-encryption: AES256; accept stores them without encryption and returns "
            "the header with the object; refuse answers NotImplemented"
        ),
    )
    plus_in_path: str = setting(
        choice(incoming.NEVER, incoming.V2, incoming.ALWAYS),
        incoming.V2,
        "requests in which an unencoded + in the path means a space: never, v2 (signature version 2), always",
    )
    unknown_amz_headers: str = setting(
        choice(amz_headers.REFUSE, amz_headers.IGNORE),
        amz_headers.REFUSE,
        "unknown x-amz- headers in requests that change something: refuse answers NotImplemented",
    )
    max_xml_body: int = setting(size, "1M", "maximum size of an XML document in a request")
    max_multi_delete: int = setting(positive, "1000", "maximum number of keys of one DeleteObjects")
    max_listing: int = setting(positive, "1000", "maximum number of entries of one listing")
    min_part_size: int = setting(size, "5M", "minimum size of a part, except the last")
    max_parts: int = setting(positive, "10000", "maximum number of parts of an upload")
    max_object_size: int = setting(size, "5T", "maximum size of an object")
    bucket_log_spool: str = setting(
        str.strip, "", "directory of the host for server access logs before delivery; empty: buckets cannot be logged"
    )
    bucket_log_spool_size: int = setting(
        size, "1G", "maximum size of the files in bucket_log_spool; further records are dropped"
    )
    bucket_log_interval: float = setting(duration, "5m", "delivery interval of server access logs")
    bucket_log_object_size: int = setting(
        size, "16M", "size of the records of a worker at which they are delivered before the interval ends"
    )
    storage_classes: Mapping[str, str] = setting(
        mapping, "", "storage policies of storage classes: STANDARD=gold, STANDARD_IA=cold"
    )


SETTINGS = table(S3Settings)
