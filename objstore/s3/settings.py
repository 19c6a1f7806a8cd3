"""The settings of the S3 filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from objstore.runtime.settings import boolean, choice, duration, positive, setting, size, table, words
from objstore.s3 import amz_headers, incoming
from objstore.s3.storage_classes import mapping


@dataclass(frozen=True)
class S3Settings:
    """Settings of the filter."""

    region: str = setting(str.strip, "us-east-1", "region of this store, in signatures and locations")
    accepted_regions: tuple[str, ...] = setting(
        words, "", "further regions that signatures may name, for clients that cannot be set to ours; any: all of them"
    )
    signature_v2: bool = setting(boolean, "yes", "accept signatures of version 2, in headers, URLs and forms")
    max_v2_url_life: float = setting(
        duration, "7d", "longest time until a presigned URL of version 2 ends; 0 refuses such URLs"
    )
    domains: tuple[str, ...] = setting(words, "", "domains whose subdomains are buckets (virtual-host style)")
    native_paths: tuple[str, ...] = setting(
        words,
        "v1 v1.0 auth info healthcheck metrics recon",
        "first parts of paths that are not S3's where a request is not signed, and no names of new buckets",
    )
    max_clock_skew: float = setting(duration, "15m", "how far a request's date may be from ours")
    max_presigned_life: float = setting(duration, "7d", "longest life of a presigned URL")
    dns_compliant_bucket_names: bool = setting(boolean, "yes", "enforce S3's rules for names of new buckets")
    deleted_name_hold: float = setting(
        duration,
        "1d",
        "how long no other account can have the name of a bucket that was deleted while a replica of it was away",
    )
    max_buckets_per_account: int = setting(positive, "10000", "most buckets of an account")
    default_object_ownership: str = setting(
        choice("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"),
        "ObjectWriter",
        "object ownership of buckets that say nothing of it; BucketOwnerEnforced, as AWS has it, disables ACLs",
    )
    default_public_access_block: str = setting(
        choice("none", "all"),
        "none",
        "public access block of buckets that say nothing of it; all, as AWS has it, keeps everything from being public",
    )
    server_side_encryption: str = setting(
        choice("accept", "refuse"),
        "accept",
        "uploads with x-amz-server-side-encryption: AES256; accept stores them as they are, without encryption,"
        " and returns the header with the object; refuse answers NotImplemented",
    )
    plus_in_path: str = setting(
        choice(incoming.NEVER, incoming.V2, incoming.ALWAYS),
        incoming.V2,
        "requests whose unencoded + in the path is a space: never, of signature version 2, always",
    )
    unknown_amz_headers: str = setting(
        choice(amz_headers.REFUSE, amz_headers.IGNORE),
        amz_headers.REFUSE,
        "x-amz- headers that no list knows, in requests that change something: refuse answers NotImplemented",
    )
    max_xml_body: int = setting(size, "1M", "largest XML document of a request")
    max_multi_delete: int = setting(positive, "1000", "most keys of one DeleteObjects")
    max_listing: int = setting(positive, "1000", "most entries of one listing")
    min_part_size: int = setting(size, "5M", "smallest part of an upload but the last")
    max_parts: int = setting(positive, "10000", "most parts of an upload")
    max_object_size: int = setting(size, "5T", "largest object")
    storage_classes: Mapping[str, str] = setting(
        mapping, "", "storage policies that keep classes: STANDARD=gold, STANDARD_IA=cold"
    )


SETTINGS = table(S3Settings)
