"""Requests for room within the quotas of a container or account, and for the standing of a name; and their answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from objstore.core.errors import MALFORMED, InvalidInput
from objstore.core.names import Name
from objstore.core.quota_rooms import MemberTotals, RoomRelease, RoomRequest, Standing
from objstore.core.quotas import VERDICTS, Amount
from objstore.core.timestamps import Timestamp
from objstore.wire.messages import NodeRequest

QUERY = "quota"
STANDING = "standing"
RESERVE = "reserve"
RELEASE = "release"
ANSWER = "X-Backend-Quota"  # with the answer: a verdict, or a `Standing` as JSON
MAX_BODY = 64 << 10  # bytes


def standing_request(container: Name, partition: int, key: str, headers: Mapping[str, str]) -> NodeRequest:
    """Return a request that is answered with the `Standing` of a name, 404 if there is no such container."""
    return _request(container, partition, STANDING, key, headers)


def reserve_request(name: Name, partition: int, room: RoomRequest, headers: Mapping[str, str]) -> NodeRequest:
    """Return a request for room. It is answered with the verdict. name: of a container or account."""
    fields = [room.id, room.name, room.new, room.seconds, _totals(room.totals), room.old, room.judged]
    return _request(name, partition, RESERVE, fields, headers)


def release_request(name: Name, partition: int, ended: RoomRelease, headers: Mapping[str, str]) -> NodeRequest:
    """Return a request to end a reservation."""
    written = None if ended.written is None else ended.written.internal
    fields = [ended.id, ended.name, ended.new, ended.seconds, written, _totals(ended.totals)]
    return _request(name, partition, RELEASE, fields, headers)


def _request(name: Name, partition: int, what: str, value: object, headers: Mapping[str, str]) -> NodeRequest:
    sent = {**headers, "Content-Type": "application/json"}
    return NodeRequest("POST", partition, name, sent, f"{QUERY}={what}", json.dumps(value).encode())


def _totals(totals: MemberTotals | None) -> list[object] | None:
    return None if totals is None else [totals.name, totals.policy_index, totals.amount, totals.at.internal]


def decode_key(body: bytes) -> str:
    """Raises InvalidInput, as the others below do."""
    key = _decoded(body)
    if type(key) is not str:
        raise InvalidInput("not a name")
    return key


def decode_reserve(body: bytes) -> RoomRequest:
    try:
        number, name, new, seconds, totals, old, judged = _decoded(body)
        room = RoomRequest(
            _text(number), _text(name), _amount(new), float(seconds), _read_totals(totals), _amount(old), judged is True
        )
    except MALFORMED as error:
        raise InvalidInput(f"not a request for room: {error!r}") from None
    return room


def decode_release(body: bytes) -> RoomRelease:
    try:
        number, name, new, seconds, written, totals = _decoded(body)
        stamp = None if written is None else Timestamp.parse(written)
        ended = RoomRelease(_text(number), _text(name), _amount(new), float(seconds), stamp, _read_totals(totals))
    except MALFORMED as error:
        raise InvalidInput(f"not the end of a reservation: {error!r}") from None
    return ended


def encode_standing(standing: Standing) -> str:
    amounts = [standing.listed, standing.counted, standing.quota, standing.reported]
    return json.dumps([*amounts, standing.policy_index, standing.changed.internal, standing.at.internal])


def decode_standing(text: str) -> Standing:
    try:
        listed, counted, quota, reported, policy, changed, at = json.loads(text)
        return Standing(
            _amount(listed),
            _amount(counted),
            _amount(quota),
            _amount(reported),
            int(policy),
            Timestamp.parse(changed),
            Timestamp.parse(at),
        )
    except MALFORMED as error:
        raise InvalidInput(f"not a standing: {error!r}") from None


def decode_verdict(text: str) -> str:
    if text not in VERDICTS:
        raise InvalidInput(f"not a verdict: {text[:100]!r}")
    return text


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except MALFORMED as error:
        raise InvalidInput(f"not JSON: {error!r}") from None


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError("not a text")
    return value


def _amount(value: Sequence[object]) -> Amount:
    objects, size = value
    if type(objects) is not int or type(size) is not int:
        raise ValueError("not an amount")
    return Amount(objects, size)


def _read_totals(value: Any) -> MemberTotals | None:
    if value is None:
        return None
    name, policy, amount, at = value
    return MemberTotals(_text(name), int(policy), _amount(amount), Timestamp.parse(at))
