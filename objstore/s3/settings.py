"""The settings of the S3 filter."""

from __future__ import annotations

from objstore.runtime.settings import Setting, boolean, choice, duration, positive, size, words
from objstore.s3 import amz_headers, incoming
from objstore.s3.storage_classes import mapping

SETTINGS = (
    Setting("region", str.strip, "us-east-1", "region of this store, in signatures and locations"),
    Setting(
        "accepted_regions",
        words,
        "",
        "further regions that signatures may name, for clients that cannot be set to ours; any: all of them",
    ),
    Setting("signature_v2", boolean, "yes", "accept signatures of version 2, in headers, URLs and forms"),
    Setting(
        "max_v2_url_life", duration, "7d", "longest time until a presigned URL of version 2 ends; 0 refuses such URLs"
    ),
    Setting("domains", words, "", "domains whose subdomains are buckets (virtual-host style)"),
    Setting(
        "native_paths",
        words,
        "v1 v1.0 auth info healthcheck metrics recon",
        "first parts of paths that are not S3's where a request is not signed, and no names of new buckets",
    ),
    Setting("max_clock_skew", duration, "15m", "how far a request's date may be from ours"),
    Setting("max_presigned_life", duration, "7d", "longest life of a presigned URL"),
    Setting("dns_compliant_bucket_names", boolean, "yes", "enforce S3's rules for names of new buckets"),
    Setting(
        "deleted_name_hold",
        duration,
        "1d",
        "how long no other account can have the name of a bucket that was deleted while a replica of it was away",
    ),
    Setting("max_buckets_per_account", positive, "10000", "most buckets of an account"),
    Setting(
        "default_object_ownership",
        choice("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"),
        "ObjectWriter",
        "object ownership of buckets that say nothing of it; BucketOwnerEnforced, as AWS has it, disables ACLs",
    ),
    Setting(
        "default_public_access_block",
        choice("none", "all"),
        "none",
        "public access block of buckets that say nothing of it; all, as AWS has it, keeps everything from being public",
    ),
    Setting(
        "server_side_encryption",
        choice("accept", "refuse"),
        "accept",
        "uploads with x-amz-server-side-encryption: AES256; accept stores them as they are, without encryption,"
        " and returns the header with the object; refuse answers NotImplemented",
    ),
    Setting(
        "plus_in_path",
        choice(incoming.NEVER, incoming.V2, incoming.ALWAYS),
        incoming.V2,
        "requests whose unencoded + in the path is a space: never, of signature version 2, always",
    ),
    Setting(
        "unknown_amz_headers",
        choice(amz_headers.REFUSE, amz_headers.IGNORE),
        amz_headers.REFUSE,
        "x-amz- headers that no list knows, in requests that change something: refuse answers NotImplemented",
    ),
    Setting("max_xml_body", size, "1M", "largest XML document of a request"),
    Setting("max_multi_delete", positive, "1000", "most keys of one DeleteObjects"),
    Setting("max_listing", positive, "1000", "most entries of one listing"),
    Setting("min_part_size", size, "5M", "smallest part of an upload but the last"),
    Setting("max_parts", positive, "10000", "most parts of an upload"),
    Setting("max_object_size", size, "5T", "largest object"),
    Setting("storage_classes", mapping, "", "storage policies that keep classes: STANDARD=gold, STANDARD_IA=cold"),
)
