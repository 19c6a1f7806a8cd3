"""Room within quotas for the layer in memory, whose totals are always current."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from objstore.core import quotas
from objstore.core.errors import NotFound
from objstore.core.names import RESERVED, Name
from objstore.core.quota_rooms import RoomRelease, RoomRequest, Standing
from objstore.core.quotas import GRANTED, NOTHING, Amount, Quota, RoomNeeded, Use, Write
from objstore.core.timestamps import Timestamp
from objstore.core.versions import COUNTED_ELSEWHERE
from objstore.web.context import RequestContext

if TYPE_CHECKING:
    from objstore.layers.memory import MemoryLayer
    from objstore.layers.memory_state import StoredObject


class MemoryRooms:
    """See `quota_rooms.Rooms`. now: returns seconds since the epoch."""

    def __init__(self, layer: MemoryLayer, now: Callable[[], float]) -> None:
        self._layer = layer
        self._now = now
        self._open: dict[Name, dict[str, tuple[float, RoomRequest]]] = {}

    def standing(self, context: RequestContext, container: Name, key: str) -> Standing | None:
        policy = self._policy(container)
        if policy is None:
            return None
        found = dict(self._layer.stored(container, policy)).get(key)
        listed = NOTHING if found is None else _amount(key, found, True)
        counted = NOTHING if found is None else _amount(key, found, False)
        quota, reported = self._total(container, policy, True), self._total(container, policy, False)
        changed = self._layer.changed(container, key)
        return Standing(listed, counted, quota, reported, policy, changed, Timestamp.from_seconds(self._now()))

    def reserve(self, context: RequestContext, holder: Name, room: RoomRequest) -> str | None:
        metadata = self._metadata(holder)
        if metadata is None:
            return None
        limits = quotas.of_account(metadata) if holder.container is None else quotas.of_container(metadata)
        opened = self._open.setdefault(holder, {})
        for number in [number for number, (until, _) in opened.items() if until < self._now()]:
            del opened[number]
        verdict = quotas.worst(self._judge(holder, limit, room) for limit in limits) if room.judged else GRANTED
        if verdict == GRANTED and room.seconds > 0:
            opened[room.id] = self._now() + room.seconds, room
        return verdict

    def release(self, context: RequestContext, holder: Name, ended: RoomRelease) -> None:
        self._open.get(holder, {}).pop(ended.id, None)

    def _judge(self, holder: Name, quota: Quota, room: RoomRequest) -> str:
        if quota.policy not in (None, _policy(room)):
            return GRANTED
        opened = [one for _, one in self._open[holder].values() if one.id != room.id]
        others = [one for one in opened if quota.policy in (None, _policy(one))]
        same = [one for one in others if (one.member, one.name) == (room.member, room.name)]
        total = NOTHING
        for one in others:
            total = total.plus(self._needed(holder, [one]))
        beside = self._needed(holder, [*same, room]).plus(self._needed(holder, same), -1)
        needed = RoomNeeded(beside, self._needed(holder, [room]))
        return quotas.verdict(quota, Use(self._settled(holder, quota), total), needed)

    def _needed(self, holder: Name, rooms: list[RoomRequest]) -> Amount:
        return quotas.room([Write(room.new, self._old(holder, room)) for room in rooms])

    def _old(self, holder: Name, room: RoomRequest) -> Amount:
        if room.totals is not None:
            return room.old
        found = dict(self._layer.stored(holder, self._policy(holder))).get(room.name)
        return NOTHING if found is None else _amount(room.name, found, True)

    def _settled(self, holder: Name, quota: Quota) -> Amount:
        settled = NOTHING
        for container in self._layer.containers(holder.account):
            policy = self._policy(container)
            if policy is None:
                continue
            if holder.container is None:
                if quota.policy in (None, policy):
                    settled = settled.plus(self._total(container, policy, False))
            elif container == holder:
                settled = settled.plus(self._total(container, policy, True))
            elif (container.container or "").endswith(RESERVED + holder.container):
                settled = settled.plus(Amount(0, self._total(container, policy, True).size))
        return settled

    def _total(self, container: Name, policy: int, listed: bool) -> Amount:
        total = NOTHING
        for key, stored in self._layer.stored(container, policy):
            total = total.plus(_amount(key, stored, listed))
        return total

    def _metadata(self, holder: Name) -> Mapping[str, str] | None:
        try:
            layer, context = self._layer, RequestContext()
            return (layer.account if holder.container is None else layer.container)(context, holder).headers
        except NotFound:
            return None

    def _policy(self, container: Name) -> int | None:
        info = self._layer.container_info(RequestContext(), container)
        return info.policy_index if info.exists else None


def _policy(room: RoomRequest) -> int:
    return 0 if room.totals is None else room.totals.policy_index


def _amount(key: str, stored: StoredObject, listed: bool) -> Amount:
    row = stored.row(key, False)
    if row is None:
        return NOTHING
    elsewhere = stored.headers.get(COUNTED_ELSEWHERE) == "true"
    return Amount(1, 0 if elsewhere else int(row["bytes"]) if listed else stored.counted)
