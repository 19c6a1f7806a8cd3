"""LOCK and UNLOCK of an object's name: leases, as proxies ask for them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.timestamps import TICKS, ZERO, Timestamp
from objstore.runtime import green
from objstore.server.answers import answer, error
from objstore.server.request import Request
from objstore.store.interface import Look, ObjectInfo
from objstore.store.leases import Lease, Leases
from objstore.wire import messages
from objstore.wire.messages import NodeResponse

LEASE_SECONDS = 5.0
PROMISE_SECONDS = 2.0  # by which a change under a lease may be newer than the time its lease was given for
_MAX_WAIT = 2.0
_POLL = (0.002, 0.02)  # seconds between tries, at first and at most


Shown = Callable[[ObjectInfo], dict[str, str]]


class _State(NamedTuple):
    """The state of a name when its lease is given."""

    lease: Lease
    newest: Timestamp
    floor: Timestamp
    info: ObjectInfo | None


def lock(request: Request, leases: Leases, seconds: float, shown: Shown) -> NodeResponse:
    """Give the lease, or answer 409 if another holds the name for longer than the request would wait.

    shown: headers of the stored state that conditions need.
    """
    holder = _holder(request)
    stamp = request.timestamp()
    deadline = time.monotonic() + _wait(request)
    store = request.device.objects(request.location.policy)
    name_hash = request.location.hash

    def give(newest: Timestamp, look: Look) -> _State | None:
        held = leases.read(name_hash)
        if held is not None and held.id != holder and leases.is_live(held):
            return None
        floor = max(newest, held.promise if held is not None and held.id != holder else ZERO)
        promise = Timestamp(max(floor, stamp).raw + int(PROMISE_SECONDS * TICKS))
        info = look() if newest.raw else None
        return _State(leases.write(name_hash, holder, seconds, promise), newest, floor, info)

    poll, most = _POLL
    while True:
        leases.sweep()
        state = store.exclusively(request.location, give)
        if state is not None:
            headers = {
                messages.STORED_TIMESTAMP: state.newest.internal,
                messages.LEASE_FLOOR: state.floor.internal,
                messages.LEASE_PROMISE: state.lease.promise.internal,
                **(shown(state.info) if state.info is not None else {}),
            }
            return answer(200, headers)
        while True:
            if time.monotonic() >= deadline:
                return error(409)
            green.sleep(poll * (0.5 + random.random()))
            poll = min(most, poll * 1.3)
            held = leases.read(name_hash)  # without the lock: only to decide whether to try again
            if held is None or not leases.is_live(held):
                break


def unlock(request: Request, leases: Leases) -> NodeResponse:
    """Give a lease back; the answer is 204 even if it has expired."""
    holder = _holder(request)
    abandoned = messages.LEASE_ABANDON in request.headers
    name_hash = request.location.hash

    def take_back(newest: Timestamp, look: Look) -> None:
        held = leases.read(name_hash)
        if held is None or held.id != holder:
            return
        if abandoned:
            leases.write(name_hash, holder, 0, held.promise)
        else:
            leases.remove(name_hash)

    request.device.objects(request.location.policy).exclusively(request.location, take_back)
    return answer(204)


def _holder(request: Request) -> str:
    holder = request.headers.get(messages.LEASE)
    if not holder:
        raise InvalidInput(f"{messages.LEASE} is missing")
    return holder


def _wait(request: Request) -> float:
    text = request.headers.get(messages.LEASE_WAIT, "0")
    try:
        return max(0.0, min(_MAX_WAIT, float(text)))
    except ValueError:
        raise InvalidInput(f"{messages.LEASE_WAIT} is not a number of seconds") from None
