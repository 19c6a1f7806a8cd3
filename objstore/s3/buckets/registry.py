"""The registry of bucket names and their owners, one for all accounts.

A registered bucket has an *entry*: an object of its name in the hidden account `.buckets`, in one of 256 containers by
the name's hash. The entry is made by a PUT with `If-None-Match: *`, so that exactly one of several concurrent clients
gets a name, and it is changed and deleted with `If-Match` of the entry that was read. A container that Swift made has
no entry; it is a bucket to its own account, and is registered when that account first changes something in it through
S3: from then on no other account gets its name.

Order of writes, so that a crash between any two leaves a consistent state:

- create: entry, then container. An entry without a container is *vacant*: the bucket does not exist. Its
  owner takes the name again by creating the bucket; another account may if the entry is older than `GRACE`,
  which is longer than any creation in progress.
- delete: the container, its hidden containers (versions, parts, data of other storage classes), then the entry. A
  crash leaves a vacant entry, perhaps with parts; deleting the bucket again, or creating it, clears them first.

Hidden containers are cleared only while the bucket's container is missing: a bucket that was made again has written
its data in them after the listing. If a writer of the deleted bucket is still at work, its last step is refused
(`core.lives`), so none of its acknowledged data is in them.

A replica of the container that was away when it was deleted may have an object that the others do not, and bring the
bucket back. So the entry is *held* then: for a time (`deleted_name_hold`) no other account can have the name.

The container of a registered bucket can also be deleted through Swift: that leaves a vacant entry too.

Swift's containers have names of their own in each account. So an account may have a container with the name of another
account's bucket: see `resolve`, and doc/decisions/bucket_names_and_containers.md.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import secrets
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from objstore.core.errors import AccountDeleted, Conflict, NotFound, PreconditionFailed
from objstore.core.names import Name, hidden
from objstore.core.policies import Policies
from objstore.layers import listings
from objstore.layers.bodies import BytesBody
from objstore.layers.hidden import clear
from objstore.layers.interface import (
    ContainerOptions,
    DeleteOptions,
    Page,
    PutOptions,
    ReadOptions,
    VersionedLayer,
    VersionsPage,
)
from objstore.layers.placement import DATA
from objstore.layers.placement import kind as placed
from objstore.layers.versions.keys import KIND as VERSIONS
from objstore.runtime import green
from objstore.s3.language.errors import S3Error
from objstore.s3.multipart.names import KIND as PARTS
from objstore.s3.request import bucket_names
from objstore.s3.request.s3_request import S3Request
from objstore.s3.settings import S3Settings
from objstore.web import infos
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition

ACCOUNT = ".buckets"
GRACE = 600.0  # seconds in which only its owner can take a vacant entry
_OWNER = "X-Object-Sysmeta-Bucket-Owner"
_CREATED = "X-Object-Sysmeta-Bucket-Created"
_REGION = "X-Object-Sysmeta-Bucket-Region"
_HELD = "X-Object-Sysmeta-Bucket-Held"
_EXPECTED = ("X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner")
_TRIES = 5  # of writing an entry, against concurrent writers
_PAUSE = 0.05  # seconds between tries
_PAGE = 1000  # rows of a listing


class BucketEntry(NamedTuple):
    """The registry's entry for a name. account: '' if nobody has the name. created: seconds since the epoch.

    etag: changes with every write of the entry. held: the end, in seconds since the epoch, of the time in which only
    the owner of a deleted bucket can have its name.
    """

    account: str = ""
    created: float = 0.0
    region: str = ""
    etag: str = ""
    held: float = 0.0


NOBODYS = BucketEntry()


class Buckets:
    """The buckets of all accounts. kinds: of the hidden containers that buckets can have."""

    def __init__(
        self,
        layer: VersionedLayer,
        settings: S3Settings,
        now: Callable[[], float] = time.time,
        kinds: Sequence[str] = (VERSIONS, PARTS),
    ) -> None:
        self._layer = layer
        self._settings = settings
        self._now = now
        self._kinds = kinds
        self._native_paths = frozenset(path.strip("/").partition("/")[0] for path in settings.native_paths)

    def resolve(self, request: S3Request, bucket: str) -> Name:
        """Return the container of a bucket; raises S3Error NoSuchBucket, InvalidBucketName if there is no such name.

        Raises BucketAlreadyExists if the requester's account has a container of this name, and the bucket is
        another's: which of the two is meant is not clear, unless the request names the owner that it expects.

        The entry may come from the cache, and the container may be missing: for one deleted through Swift, the
        operation on it fails.
        """
        name = request.containers.get(bucket)
        if name is None:
            name = request.containers[bucket] = self._resolved(request, bucket)
        return name

    def _resolved(self, request: S3Request, bucket: str) -> Name:
        entry = self.entry(request.context, bucket)
        if entry.account:
            if entry.account != request.account and self._is_ambiguous(request, entry, bucket):
                raise S3Error("BucketAlreadyExists", _AMBIGUOUS, {"BucketName": bucket})
            return Name(entry.account, bucket)
        if request.account:
            name = Name(request.account, bucket)
            if self._layer.container_info(request.context, name).exists:
                return name
        bucket_names.check(bucket, dns_compliant=False)  # containers of Swift can have any name
        raise no_such(bucket)

    def _is_ambiguous(self, request: S3Request, entry: BucketEntry, bucket: str) -> bool:
        if not request.account or entry.account in map(request.header, _EXPECTED):
            return False
        return self._layer.container_info(request.context, Name(request.account, bucket)).exists

    def entry(self, context: RequestContext, bucket: str) -> BucketEntry:
        """Return the registry's entry for a name, perhaps from the cache."""
        place = place_of(bucket)
        entry: BucketEntry | None = context.infos.get(place)
        if entry is not None:
            return entry
        cache = context.cache
        if cache is None:
            entry = self._read(context, place)
        else:
            key = place.path
            entry = cache.get(key, BucketEntry, context.cache_state)
            if entry is None:
                token = cache.token(key)
                entry = self._read(context, place)
                cache.set(key, entry, cache.info_ttl if entry.account else cache.missing_ttl, token)
        context.infos[place] = entry
        return entry

    def create(self, request: S3Request, bucket: str, options: ContainerOptions) -> bool:
        """Make a bucket of the requester's account, with these options for its container.

        Return True for a new bucket, False if the account has it already; it is unchanged then. Raises S3Error
        InvalidBucketName, TooManyBuckets, BucketAlreadyExists, OperationAborted; AccountDeleted.
        """
        bucket_names.check(bucket, self._settings.dns_compliant_bucket_names)
        if bucket in self._native_paths:  # its path would be that of another API
            raise S3Error("InvalidBucketName", "", {"BucketName": bucket})
        context, name = request.context, Name(request.account, bucket)
        place = place_of(bucket)
        for _ in range(_TRIES):
            entry = self._read(context, place)
            if entry.account not in ("", request.account) and not self._is_abandoned(context, entry, bucket):
                raise S3Error("BucketAlreadyExists", "", {"BucketName": bucket})
            exists = self._exists(context, name)
            if exists and entry.account == request.account:
                return False
            if not exists:
                self._check_count(context, name)
            if self._write(context, place, entry, request.account):
                break
            green.sleep(_PAUSE)
        else:
            raise S3Error("OperationAborted")
        if exists:
            return False
        for account in {entry.account or request.account, request.account}:
            self._clear_hidden(context, Name(account, bucket))
        self._layer.create_container(context, name, options)
        return True

    def claim(self, request: S3Request) -> None:
        """Register the requester's container of Swift before a change through S3, if nobody has the name.

        Raises S3Error BucketAlreadyExists if another account gets the name meanwhile.
        """
        if not request.account or self.entry(request.context, request.bucket).account:
            return
        name = Name(request.account, request.bucket)
        if self._layer.container_info(request.context, name).exists:
            self.register(request, name)

    def register(self, request: S3Request, name: Name) -> None:
        """Register a container that Swift made, before a change through S3 or an ACL that concerns other accounts.

        Raises S3Error BucketAlreadyExists if another account has the name.
        """
        assert name.container is not None
        if self.entry(request.context, name.container).account == name.account:
            return
        place = place_of(name.container)
        if not self._write(request.context, place, NOBODYS, name.account):
            entry = self._read(request.context, place)
            if entry.account != name.account:
                raise S3Error("BucketAlreadyExists", "", {"BucketName": name.container})

    def delete(self, request: S3Request, name: Name) -> None:
        """Delete an empty bucket, with its uploads in progress. Raises S3Error BucketNotEmpty, NoSuchBucket."""
        context, bucket = request.context, name.container
        assert bucket is not None
        entry = self._read(context, place_of(bucket))
        complete = existed = True
        try:
            if next(self._layer.list_versions(context, name, VersionsPage(limit=10)), None) is not None:
                raise S3Error("BucketNotEmpty", "", {"BucketName": bucket})
            complete = self._layer.delete_container(context, name)
        except NotFound:
            existed = False
        except Conflict:
            raise S3Error("BucketNotEmpty", "", {"BucketName": bucket}) from None
        self._clear_hidden(context, name)
        if entry.account == name.account:
            place = place_of(bucket)
            if complete:
                self._remove(context, place, entry)
            else:
                self._write(context, place, entry, name.account, self._now() + self._settings.deleted_name_hold)
        if not existed:
            raise no_such(bucket)

    def _exists(self, context: RequestContext, container: Name) -> bool:
        """Return whether a container exists. Not from the cache, which may be out of date."""
        try:
            self._layer.container(context, container)
        except NotFound:
            return False
        return True

    def _read(self, context: RequestContext, place: Name) -> BucketEntry:
        try:
            headers = self._layer.open(context, place, ReadOptions(head=True)).headers
        except NotFound:
            return NOBODYS
        return BucketEntry(
            headers.get(_OWNER, ""),
            float(headers.get(_CREATED, "0")),
            headers.get(_REGION, ""),
            headers.get("Etag", "").strip('"'),
            float(headers.get(_HELD, "0")),
        )

    def _write(
        self, context: RequestContext, place: Name, current: BucketEntry, account: str, held: float = 0.0
    ) -> bool:
        """Write an account into the entry of a name. Return False if the entry is not `current`.

        held: the end of the hold of a deleted bucket, in seconds since the epoch; the entry expires then.
        """
        headers = {
            "Content-Type": "text/plain",
            _OWNER: account,
            _CREATED: f"{self._now():.5f}",
            _REGION: self._settings.region,
            **({_HELD: f"{held:.5f}", "X-Delete-At": str(math.ceil(held))} if held else {}),
        }
        options = PutOptions(
            headers, condition=WriteCondition(current.etag) if current.account else WriteCondition(None, "*")
        )
        try:
            written = self._put(context, place, options)
        except NotFound:
            if current.account:
                return False
            self._layer.create_container(context, place.of_container, ContainerOptions({}))
            written = self._put(context, place, options)
        finally:
            infos.forget(context, place)
        return written

    def _put(self, context: RequestContext, place: Name, options: PutOptions) -> bool:
        try:
            # A random body, so that every write has an etag of its own.
            self._layer.put(context, place, options, BytesBody(secrets.token_hex(16).encode()))
        except (PreconditionFailed, Conflict):
            return False
        return True

    def _remove(self, context: RequestContext, place: Name, current: BucketEntry) -> None:
        try:
            self._layer.delete(context, place, DeleteOptions(condition=WriteCondition(current.etag)))
        except (NotFound, PreconditionFailed, Conflict):
            pass
        infos.forget(context, place)

    def _is_abandoned(self, context: RequestContext, entry: BucketEntry, bucket: str) -> bool:
        if max(entry.created + GRACE, entry.held) >= self._now():
            return False
        return not self._exists(context, Name(entry.account, bucket))

    def _check_count(self, context: RequestContext, name: Name) -> None:
        limit = self._settings.max_buckets_per_account
        try:
            headers = self._layer.account(context, name.of_account).headers
        except AccountDeleted:
            raise
        except NotFound:
            return
        if int(headers.get("X-Account-Container-Count", "0")) < limit:
            return
        # The count includes hidden containers; a listing has the buckets alone.
        rows = listings.rows(self._layer, context, name.of_account, Page(limit=_PAGE))
        if sum(1 for _ in itertools.islice(rows, limit)) >= limit:
            raise S3Error("TooManyBuckets")

    def _clear_hidden(self, context: RequestContext, name: Name) -> None:
        """Delete the remains of a deleted bucket: parts, versions that never counted, lost data."""
        assert name.container is not None
        for kind in self._kinds:
            clear(self._layer, context, Name(name.account, hidden(kind, name.container)), name)


def hidden_kinds(policies: Policies) -> list[str]:
    """Return the kinds of all hidden containers that a bucket can have."""
    indexes = [policy.index for policy in policies]
    elsewhere = [placed(plain, index) for plain in (DATA, PARTS) for index in indexes] if len(indexes) > 1 else []
    return [VERSIONS, PARTS, *elsewhere]


@lru_cache(maxsize=4096)
def place_of(bucket: str) -> Name:
    """Return the name of the object with the entry of a bucket name."""
    digest = hashlib.md5(bucket.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
    return Name(ACCOUNT, digest[:2], bucket)


def no_such(bucket: str) -> S3Error:
    return S3Error("NoSuchBucket", "", {"BucketName": bucket})


_AMBIGUOUS = (
    "Your account has a container of this name, made through Swift, and the bucket of this name is another account's."
    " Use the container through Swift, or name the owner of the bucket in x-amz-expected-bucket-owner."
)
