"""Quotas of containers and accounts: a write that would exceed one is refused.

The room for a write is reserved after its body was read, right before it is committed (`PutOptions.late`), so that an
upload that fails on its way takes room from no other, and released when the write has ended. A body of known length
that cannot fit is refused before it is read.

A quota of a container is about its listing: the sizes that it shows, and the number of its objects. The bytes of its
hidden containers (versions, parts of uploads) count too. A quota of an account is about its totals.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from objstore.core import quotas
from objstore.core.errors import ObjstoreError, QuotaBusy, QuotaExceeded, is_refusal
from objstore.core.listed import LISTED_SIZE, LISTED_WHOLE
from objstore.core.manifests import MANIFEST_OWNS, owns
from objstore.core.names import RESERVED, Name, hidden
from objstore.core.quota_rooms import MemberTotals, RoomRelease, RoomRequest, Standing
from objstore.core.quotas import EXCEEDED, GRANTED, NOTHING, POLICY_EXCEEDED, Amount
from objstore.core.timestamps import Timestamp
from objstore.core.versions import COUNTED_ELSEWHERE, UNLISTED
from objstore.layers import quota_rooms
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import (
    ContainerOptions,
    DeleteOptions,
    DeleteResult,
    ObjectLayer,
    PutOptions,
    PutResult,
)
from objstore.layers.passing import Passing
from objstore.layers.quota_rooms import Rooms
from objstore.layers.stack import Deps, LayerKind
from objstore.runtime import green, settings
from objstore.runtime.settings import duration, setting
from objstore.web.context import RequestContext

_LARGE = 64 << 10  # bytes; a body of known length above this is judged before it is read
_PAUSE = (0.005, 0.1)  # seconds before another attempt, at first and at most
# Kinds of hidden containers whose bytes count, see `core.names.hidden`.
_VERSIONS = "versions"
_PARTS = "parts"
_CLAIM = "claim"  # the end of the name of a claim on an upload by parts
_DATA = "class"  # hidden containers of data whose bytes count with the object that they belong to
_TEXTS = {EXCEEDED: "Upload exceeds quota.", POLICY_EXCEEDED: "Upload exceeds policy quota."}


@dataclass(frozen=True)
class QuotasSettings:
    """Settings of the layer."""

    quota_wait: float = setting(
        duration, "10s", "time that a write waits for others which have reserved the room left within a quota"
    )
    quota_reservation: float = setting(
        duration, "2m", "time limit of reserved room, in case a proxy is killed; above the duration of a commit"
    )


class QuotaTerms(NamedTuple):
    """The terms of reservations. rooms: keeps them. seconds: their time limit. members: kinds of hidden containers."""

    rooms: Rooms
    seconds: float = 120.0
    members: Sequence[str] = (_VERSIONS, _PARTS)


class Holder(NamedTuple):
    """A container or an account whose quotas bind a write. listed: the sizes of listings count, not the bytes used."""

    name: Name
    listed: bool


class ObjectAmounts(NamedTuple):
    """The amounts of an object: as listings show it, and as it is counted."""

    listed: Amount
    counted: Amount

    @classmethod
    def of(cls, headers: Mapping[str, str], size: int) -> ObjectAmounts:
        """Return the amounts of an object with these headers. size: of its body."""
        objects = 0 if headers.get(UNLISTED) == "true" else 1
        if headers.get(COUNTED_ELSEWHERE) == "true":
            return cls(Amount(objects), Amount(objects))
        counted = int(headers.get(LISTED_SIZE, size))
        listed = int(headers.get(LISTED_WHOLE, counted))
        return cls(Amount(objects, listed), Amount(objects, counted))


class Quotas(Passing):
    """The layer around `inner`. wait: see `QuotasSettings`."""

    features = ("quotas",)

    def __init__(self, inner: ObjectLayer, terms: QuotaTerms, wait: float = 10.0) -> None:
        super().__init__(inner)
        self._terms = terms
        self._wait = wait

    def info(self) -> dict[str, dict[str, object]]:
        """Return the sections of /info."""
        return {"container_quotas": {}, "account_quotas": {}}

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        holders = self._holders(context, name)
        if not holders:
            return self.inner.put(context, name, options, body)
        write = QuotaWrite(self._terms, context, name, holders)
        owned = options.headers.get(MANIFEST_OWNS, "")
        completes = _kind_of(_container_of(owned)) == _PARTS
        judged = not (options.unlimited or options.rename is not None or completes)
        if judged:
            self._judge_early(write, options, body)
        counted = body if body.length is not None else _CountedBody(body)
        late = options.late

        def reserve() -> Mapping[str, str]:
            further = late() if late is not None else {}
            size = body.length if body.length is not None else counted.size  # type: ignore[attr-defined]
            sizes = ObjectAmounts.of({**options.headers, **further}, size)
            if sizes.listed.size < 0:
                write.hold(sizes)
            else:
                self._reserve(write, sizes, judged)
            if completes:
                write.end_hold(owned)
            return further

        with write.released():
            result = self.inner.put(context, name, options._replace(late=reserve), counted)
            write.written = result.timestamp
        return result

    def delete(self, context: RequestContext, name: Name, options: DeleteOptions) -> DeleteResult:
        result = self.inner.delete(context, name, options)
        holders = self._holders(context, name)
        if holders and holders[-1].name.container is None:
            write = QuotaWrite(self._terms, context, name, holders[-1:])
            green.spawn(write.report_deletion)
        return result

    def create_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> bool:
        quotas.check_container(options.headers)
        made = self.inner.create_container(context, name, options)
        if not made:
            self._begin(context, name, options)
        return made

    def update_container(self, context: RequestContext, name: Name, options: ContainerOptions) -> None:
        quotas.check_container(options.headers)
        self.inner.update_container(context, name, options)
        self._begin(context, name, options)

    def _begin(self, context: RequestContext, name: Name, options: ContainerOptions) -> None:
        """Report the totals of its hidden containers to a container whose quota was set."""
        if options.headers.get(quotas.CONTAINER_BYTES):
            QuotaWrite(self._terms, context, name, [Holder(name, True)]).refresh()

    def _holders(self, context: RequestContext, name: Name) -> list[Holder]:
        """Return the container and the account whose quotas bind writes of a name, in this order."""
        holders = []
        is_hidden = (name.container or "")[:1] == RESERVED
        container = self.container_info(context, _owner(name) if is_hidden else name)
        if container.has_quota:
            holders.append(Holder(_owner(name), True))
        account = self.account_info(context, name.account)
        if account.has_quota and not context.reseller:
            holders.append(Holder(name.of_account, False))
        return holders

    def _judge_early(self, write: QuotaWrite, options: PutOptions, body: ObjectBody) -> None:
        """Refuse a long body that cannot fit, before it is read. Raises QuotaExceeded."""
        if body.length is None or body.length <= _LARGE:
            return
        headers = options.headers
        if (_kind_of(write.name.container) or "").startswith(_DATA):  # of an object whose size is not listed yet
            headers = {name: text for name, text in headers.items() if name != LISTED_SIZE}
        sizes = ObjectAmounts.of(headers, body.length)
        if write.judge(sizes) in _TEXTS:
            write.refresh()
            verdict = write.judge(sizes)
            if verdict in _TEXTS:
                raise QuotaExceeded(_TEXTS[verdict])

    def _reserve(self, write: QuotaWrite, sizes: ObjectAmounts, judged: bool) -> None:
        """Reserve room in all holders. Raises QuotaExceeded, QuotaBusy."""
        deadline = time.monotonic() + self._wait
        pause, longest = _PAUSE
        refreshed = False
        while True:
            verdict = write.reserve(sizes, judged)
            if verdict == GRANTED:
                return
            if verdict in _TEXTS:
                if refreshed:
                    raise QuotaExceeded(_TEXTS[verdict])
                write.refresh()
                refreshed = True
                continue
            if time.monotonic() >= deadline:
                raise QuotaBusy("writes under way have reserved the room that is left within the quota")
            green.sleep(pause * (0.5 + random.random()))
            pause = min(longest, pause * 1.5)


class QuotaWrite:
    """A write that quotas bind: its reservations, until it has ended.

    written: the timestamp of the object, None while it was not made.
    """

    def __init__(self, terms: QuotaTerms, context: RequestContext, name: Name, holders: Sequence[Holder]) -> None:
        self.name = name
        self.written: Timestamp | None = None
        self._rooms, self._seconds, self._members = terms
        self._context = context
        self._holders = holders
        self._id = secrets.token_hex(16)
        self._granted: list[tuple[Holder, RoomRequest]] = []

    def judge(self, sizes: ObjectAmounts) -> str:
        """Return the worst verdict on the write, and reserve nothing."""
        requests = [self._request(holder, sizes, 0.0) for holder in self._holders]
        verdicts = [
            self._rooms.reserve(self._context, holder.name, request) or GRANTED
            for holder, request in zip(self._holders, requests, strict=True)
            if request is not None
        ]
        return quotas.worst(verdicts)

    def reserve(self, sizes: ObjectAmounts, judged: bool) -> str:
        """Reserve room in all holders, or in none; return the verdict."""
        for holder in self._holders:
            request = self._request(holder, sizes, self._seconds)
            if request is None:
                continue
            verdict = self._rooms.reserve(self._context, holder.name, request._replace(judged=judged)) or GRANTED
            if verdict != GRANTED:
                self._release()
                return verdict
            self._granted.append((holder, request))
        return GRANTED

    # An upload by parts is completed in two steps: a claim of negative size takes the bytes of its parts from the
    # totals, then the object is listed. A hold keeps the room for that object in the meantime.

    def hold(self, sizes: ObjectAmounts) -> None:
        """Reserve the room that the claim to be written frees."""
        container = self.name.of_container
        standing = self._rooms.standing(self._context, container, self._key)
        if standing is None or standing.listed.size < 0:
            return  # the claim is only changed
        identity = owns(container.container or "", self._key.removesuffix(_CLAIM))
        for holder in self._holders:
            totals = _totals(container, standing, holder.listed)
            room = RoomRequest(identity, self._key, Amount(0, -sizes.listed.size), self._seconds, totals, judged=False)
            self._rooms.reserve(self._context, holder.name, room)

    def end_hold(self, identity: str) -> None:
        for holder in self._holders:
            self._rooms.release(self._context, holder.name, RoomRelease(identity, "", NOTHING, self._seconds))

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release what was reserved at the end. It stays if it is not known whether the object was made."""
        try:
            yield
        except ObjstoreError as failure:
            if self._granted and is_refusal(failure):
                green.spawn(self._release)
            raise
        if self._granted:
            green.spawn(self._release)

    def _release(self) -> None:
        granted, self._granted = self._granted, []
        for holder, request in granted:
            try:
                self._release_one(holder, request)
            except ObjstoreError:
                pass  # it ends by its time

    def _release_one(self, holder: Holder, request: RoomRequest) -> None:
        totals = None
        if request.totals is not None and self.written is not None:
            standing = self._rooms.standing(self._context, self.name.of_container, self._key)
            if standing is None or standing.changed < self.written:
                return  # the row has not come yet: the reservation counts until its time
            totals = _totals(self.name, standing, holder.listed)
        ended = RoomRelease(request.id, request.name, request.new, self._seconds, self.written, totals)
        self._rooms.release(self._context, holder.name, ended)

    def report_deletion(self) -> None:
        """Report the totals after a deletion, so that its room is free at once."""
        try:
            self._report(self.name.of_container, self._key, Timestamp(1))
        except ObjstoreError:
            pass  # the next report of the container does it

    def refresh(self) -> None:
        """Report the current totals of the container and of its hidden ones; they are else as of their last write."""
        owner = _owner(self.name)
        hidden_ones = [Name(owner.account, hidden(kind, owner.container or "")) for kind in self._members]
        for container in (owner, *hidden_ones):
            self._report(container, "", None)

    def _report(self, container: Name, key: str, written: Timestamp | None) -> None:
        holders = [holder for holder in self._holders if holder.name != container]
        standing = self._rooms.standing(self._context, container, key) if holders else None
        if standing is None:
            return
        for holder in holders:
            totals = _totals(container, standing, holder.listed)
            ended = RoomRelease(secrets.token_hex(16), key, NOTHING, self._seconds, written, totals)
            self._rooms.release(self._context, holder.name, ended)

    @property
    def _key(self) -> str:
        return self.name.object or ""

    def _request(self, holder: Holder, sizes: ObjectAmounts, seconds: float) -> RoomRequest | None:
        """Return the request for room in a holder; None if the write needs none, or its container is gone."""
        container = self.name.of_container
        if holder.name == container:
            return RoomRequest(self._id, self._key, sizes.listed, seconds)
        new = Amount(0, sizes.listed.size) if holder.listed else sizes.counted
        if new == NOTHING:
            return None
        standing = self._rooms.standing(self._context, container, self._key)
        if standing is None:
            return None
        old = Amount(0, standing.listed.size) if holder.listed else standing.counted
        return RoomRequest(self._id, self._key, new, seconds, _totals(container, standing, holder.listed), old)


class _CountedBody:
    """A body of unknown length that counts its bytes."""

    length: int | None = None

    def __init__(self, body: ObjectBody) -> None:
        self._body = body
        self.size = 0

    def check(self) -> None:
        self._body.check()

    def read_chunk(self, limit: int, /) -> bytes:
        piece = self._body.read_chunk(limit)
        self.size += len(piece)
        return piece


def _totals(name: Name, standing: Standing, listed: bool) -> MemberTotals:
    """Return the totals of a container for a holder. Of hidden containers only the bytes count for their owner."""
    amount = Amount(0, standing.quota.size) if listed else standing.reported
    return MemberTotals(name.container or "", standing.policy_index, amount, standing.at)


def _kind_of(container: str | None) -> str | None:
    """Return the kind of a hidden container (`core.names.hidden`), without the index of a policy; None for others."""
    if not container or container[0] != RESERVED:
        return None
    return container[1:].partition(RESERVED)[0].partition("-")[0]


def _owner(name: Name) -> Name:
    """Return the container that the one of a name belongs to: that itself, unless it is a hidden one."""
    container = name.container or ""
    return name.of_container if container[:1] != RESERVED else Name(name.account, container[1:].partition(RESERVED)[2])


def _container_of(owned: str) -> str:
    """Return the container in a value of MANIFEST_OWNS."""
    return unquote(owned).partition("/")[0]


def _make(inner: ObjectLayer, deps: Deps) -> Quotas:
    values = settings.read(QuotasSettings, deps.conf, "app:proxy-server")
    members = [_VERSIONS, _PARTS, *(f"{_PARTS}-{policy.index}" for policy in deps.policies)]
    return Quotas(inner, QuotaTerms(quota_rooms.of(inner), values.quota_reservation, members), values.quota_wait)


KIND = LayerKind(
    "quotas",
    _make,
    QuotasSettings,
    outside_of=("encryption",),
    needed="quotas of containers and accounts would be ignored",
)
