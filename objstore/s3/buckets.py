"""Whose a bucket is: the registry of bucket names, one for all accounts.

A registered bucket has an *entry*: an object of its name in the hidden account `.buckets`, in one of 256
containers by the name's hash. The entry is made by a PUT with `If-None-Match: *`, so that of all who want
a name exactly one gets it, and changed and deleted with `If-Match` of what was read. A container that Swift made
has no entry; it is a bucket to its own account, and is registered when that account first changes something in it
through S3: from then on no other account gets its name.

Order of writes, so that a crash between any two leaves nothing wrong:

- create: entry, then container. An entry without a container is *vacant*: the bucket does not exist. Its
  owner takes it up again by creating the bucket; anyone else may once it is older than `GRACE`, which is
  longer than any creation under way.
- delete: the container, its hidden containers (versions, parts, data of other storage classes), then the entry. What
  a crash leaves is a vacant entry, perhaps with parts; deleting the bucket again, or creating it, clears them first.

Hidden containers are cleared only while the bucket's container is not there: what a bucket that was made again has in
them was written later than what is listed then. A writer of the deleted bucket that is still at work has its last
step refused (`core.lives`), so nothing it was answered for is in them.

A replica of the container that was away when it was deleted may know of an object that the others do not, and bring
the bucket back. So the entry is *held* then: for a while (`deleted_name_hold`) no other account can have the name.

The container of a registered bucket can also be deleted through Swift: that leaves a vacant entry too.

Swift's containers have names of their own in each account. So an account may have one of a name that is another's
bucket: see `resolve`, and doc/decisions/bucket_names_and_containers.md.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from objstore.core.lives import PARTLY
from objstore.core.names import Name
from objstore.runtime import green
from objstore.s3 import bucket_names, versions
from objstore.s3.errors import S3Error
from objstore.s3.native import Native, hidden, unexpected
from objstore.s3.request import S3Request
from objstore.s3.settings import S3Settings
from objstore.web import infos
from objstore.web.context import RequestContext
from objstore.web.requests import Environ

ACCOUNT = ".buckets"
GRACE = 600.0  # seconds that a vacant entry is its owner's alone
_OWNER = "X-Object-Sysmeta-Bucket-Owner"
_CREATED = "X-Object-Sysmeta-Bucket-Created"
_REGION = "X-Object-Sysmeta-Bucket-Region"
_HELD = "X-Object-Sysmeta-Bucket-Held"
_EXPECTED = ("X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner")
_TRIES = 5  # to win or lose against others who want the same name at once
_PAUSE = 0.05  # seconds between tries


class Entry(NamedTuple):
    """What the registry has of a name. account: '' for a name that nobody has. created: seconds since the epoch.

    etag: changes with every write of the entry. held: until when a deleted bucket's name is its owner's.
    """

    account: str = ""
    created: float = 0.0
    region: str = ""
    etag: str = ""
    held: float = 0.0


NOBODYS = Entry()


class Buckets:
    """kinds: of the hidden containers that buckets can have."""

    def __init__(
        self,
        native: Native,
        settings: S3Settings,
        now: Callable[[], float] = time.time,
        kinds: Sequence[str] = ("versions", "parts"),
    ) -> None:
        self._native = native
        self._settings = settings
        self._now = now
        self._kinds = kinds
        self._native_paths = frozenset(path.strip("/").partition("/")[0] for path in settings.native_paths)

    def resolve(self, request: S3Request, bucket: str) -> Name:
        """The container of a bucket; raises S3Error NoSuchBucket, InvalidBucketName where there is no such name.

        BucketAlreadyExists where the requester's account has a container of this name, and the bucket is another's:
        which of the two is meant is not clear, unless the request names the owner that it expects.

        From the cache where it is there. That the container exists is not sure: one deleted through
        Swift is found to be missing when it is asked for.
        """
        name = request.containers.get(bucket)
        if name is None:
            name = request.containers[bucket] = self._resolved(request, bucket)
        return name

    def _resolved(self, request: S3Request, bucket: str) -> Name:
        entry = self.entry(request.environ, bucket)
        if entry.account:
            if entry.account != request.account and self._is_ambiguous(request, entry, bucket):
                raise S3Error("BucketAlreadyExists", _AMBIGUOUS, {"BucketName": bucket})
            return Name(entry.account, bucket)
        if request.account:
            name = Name(request.account, bucket)
            if self._native.container(request.environ, name).exists:
                return name
        bucket_names.check(bucket, dns_compliant=False)  # containers of Swift can have any name
        raise no_such(bucket)

    def _is_ambiguous(self, request: S3Request, entry: Entry, bucket: str) -> bool:
        if not request.account or entry.account in map(request.header, _EXPECTED):
            return False
        return self._native.container(request.environ, Name(request.account, bucket)).exists

    def entry(self, environ: Environ, bucket: str) -> Entry:
        """What the registry has of a name, perhaps from the cache."""
        place = place_of(bucket)
        known = environ.setdefault("objstore.infos", {})  # of this request
        found: Entry | None = known.get(place)
        if found is not None:
            return found
        cache: infos.Cache | None = environ.get("objstore.cache")
        if cache is None:
            found = self._read(environ, place)
        else:
            key = infos.cache_key(place)
            found = cache.get(key, Entry)
            if found is None:
                token = cache.token(key)
                found = self._read(environ, place)
                cache.set(key, found, cache.info_ttl if found.account else cache.missing_ttl, token)
        known[place] = found
        return found

    def create(self, request: S3Request, bucket: str, headers: Mapping[str, str]) -> bool:
        """Make a bucket of the requester's account, its container with these headers of configuration.

        True for a new one, False for one that was the account's already, which is left as it is.
        Raises S3Error InvalidBucketName, TooManyBuckets, BucketAlreadyExists, OperationAborted.
        """
        bucket_names.check(bucket, self._settings.dns_compliant_bucket_names)
        if bucket in self._native_paths:  # by path style it would stand where something else is
            raise S3Error("InvalidBucketName", "", {"BucketName": bucket})
        environ, name = request.environ, Name(request.account, bucket)
        place = place_of(bucket)
        for _ in range(_TRIES):
            entry = self._read(environ, place)
            if entry.account not in ("", request.account) and not self._is_abandoned(environ, entry, bucket):
                raise S3Error("BucketAlreadyExists", "", {"BucketName": bucket})
            exists = self._native.exists(environ, name)
            if exists and entry.account == request.account:
                return False
            if not exists:
                self._check_count(environ, name)
            if self._write(environ, place, entry, request.account):
                break
            green.sleep(_PAUSE)
        else:
            raise S3Error("OperationAborted")
        if exists:
            return False
        for account in {entry.account or request.account, request.account}:
            self._clear_hidden(environ, Name(account, bucket))
        self._native.done(environ, "PUT", name, (201, 202), headers=headers)
        return True

    def claim(self, request: S3Request) -> None:
        """Register the requester's container of Swift that it changes through S3, if nobody has the name.

        Raises S3Error BucketAlreadyExists if another account gets the name meanwhile.
        """
        if not request.account or self.entry(request.environ, request.bucket).account:
            return
        name = Name(request.account, request.bucket)
        if self._native.container(request.environ, name).exists:
            self.register(request, name)

    def register(self, request: S3Request, name: Name) -> None:
        """Register a container that Swift made, before a change through S3 or an ACL that concerns other accounts.

        Raises S3Error BucketAlreadyExists where another account has the name.
        """
        assert name.container is not None
        if self.entry(request.environ, name.container).account == name.account:
            return
        place = place_of(name.container)
        if not self._write(request.environ, place, NOBODYS, name.account):
            entry = self._read(request.environ, place)
            if entry.account != name.account:
                raise S3Error("BucketAlreadyExists", "", {"BucketName": name.container})

    def delete(self, request: S3Request, name: Name) -> None:
        """Delete an empty bucket, with its uploads under way. Raises S3Error BucketNotEmpty, NoSuchBucket."""
        environ, bucket = request.environ, name.container
        assert bucket is not None
        entry = self._read(environ, place_of(bucket))
        if versions.any_left(self._native, environ, name):
            raise S3Error("BucketNotEmpty", "", {"BucketName": bucket})
        answer = self._native.done(environ, "DELETE", name, (204, 404, 409))
        if answer.status == 409:
            raise S3Error("BucketNotEmpty", "", {"BucketName": bucket})
        self._clear_hidden(environ, name)
        if entry.account == name.account:
            place = place_of(bucket)
            if PARTLY in answer.headers:
                self._write(environ, place, entry, name.account, self._now() + self._settings.deleted_name_hold)
            else:
                self._native.done(environ, "DELETE", place, (204, 404, 409, 412), headers={"If-Match": entry.etag})
                self._forget(environ, place)
        if answer.status == 404:
            raise no_such(bucket)

    def _read(self, environ: Environ, place: Name) -> Entry:
        answer = self._native.ask(environ, "HEAD", place)
        answer.close()
        if answer.status == 404:
            return NOBODYS
        if not answer.ok:
            raise unexpected(answer.status)
        headers = answer.headers
        return Entry(
            headers.get(_OWNER, ""),
            float(headers.get(_CREATED, "0")),
            headers.get(_REGION, ""),
            headers.get("Etag", "").strip('"'),
            float(headers.get(_HELD, "0")),
        )

    def _write(self, environ: Environ, place: Name, seen: Entry, account: str, held: float = 0.0) -> bool:
        """Put the name down as an account's; False where the entry is not, or no longer, as it was seen.

        held: until when, for a bucket that was deleted; the entry then goes by itself.
        """
        condition = {"If-Match": seen.etag} if seen.account else {"If-None-Match": "*"}
        headers = {
            **condition,
            "Content-Type": "text/plain",
            _OWNER: account,
            _CREATED: f"{self._now():.5f}",
            _REGION: self._settings.region,
            **({_HELD: f"{held:.5f}", "X-Delete-At": str(math.ceil(held))} if held else {}),
        }
        body = secrets.token_hex(16).encode()  # so that every write has an etag of its own
        ok = (201, 404, 409, 412)
        answer = self._native.done(environ, "PUT", place, ok, headers=headers, body=body)
        if answer.status == 404 and not seen.account:
            self._native.done(environ, "PUT", place.of_container, (201, 202))
            answer = self._native.done(environ, "PUT", place, ok, headers=headers, body=body)
        self._forget(environ, place)
        return answer.status == 201

    def _forget(self, environ: Environ, place: Name) -> None:
        infos.forget(RequestContext.of(environ), place)

    def _is_abandoned(self, environ: Environ, entry: Entry, bucket: str) -> bool:
        if max(entry.created + GRACE, entry.held) >= self._now():
            return False
        return not self._native.exists(environ, Name(entry.account, bucket))

    def _check_count(self, environ: Environ, name: Name) -> None:
        answer = self._native.done(environ, "HEAD", name.of_account, (200, 204, 404))
        most = self._settings.max_buckets_per_account
        if int(answer.headers.get("X-Account-Container-Count", "0")) < most:
            return
        # Hidden containers were counted too; buckets are those that a listing shows.
        pages = self._native.pages(environ, name.of_account, {})
        if sum(1 for _ in itertools.islice(pages, most)) >= most:
            raise S3Error("TooManyBuckets")

    def _clear_hidden(self, environ: Environ, name: Name) -> None:
        """Delete what belonged to a bucket that is no more: parts, versions that never counted, lost data."""
        assert name.container is not None
        for kind in self._kinds:
            self._clear(environ, Name(name.account, hidden(kind, name.container)), name)

    def _clear(self, environ: Environ, name: Name, bucket: Name) -> None:
        """Delete a hidden container with all that is in it, where it is there, and as long as its bucket is not."""
        assert name.container is not None
        while True:
            try:
                rows = self._native.listing(environ, name, {"limit": "1000"})
            except S3Error as missing:
                if missing.code == "NoSuchBucket":
                    return
                raise
            if self._native.exists(environ, bucket):
                return  # it was made again, and some of this may be its
            for row in rows:
                self._native.done(environ, "DELETE", Name(name.account, name.container, row["name"]), (204, 404))
            if len(rows) < 1000:
                break
        self._native.done(environ, "DELETE", name, (204, 404, 409))


def place_of(bucket: str) -> Name:
    """Where the entry of a name is kept."""
    digest = hashlib.md5(bucket.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
    return Name(ACCOUNT, digest[:2], bucket)


def no_such(bucket: str) -> S3Error:
    return S3Error("NoSuchBucket", "", {"BucketName": bucket})


_AMBIGUOUS = (
    "Your account has a container of this name, made through Swift, and the bucket of this name is another account's."
    " Use the container through Swift, or name the owner of the bucket in x-amz-expected-bucket-owner."
)
