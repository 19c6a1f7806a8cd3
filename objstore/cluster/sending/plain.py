"""Unconditional changes: to all replicas, again and again until no node holds anything newer."""

from __future__ import annotations

from objstore.cluster.former import NO_STATE, Former, StoredState, read_stored_state
from objstore.cluster.object_change import ObjectChange, Sent
from objstore.cluster.sending.decided import DecidedWrite
from objstore.cluster.writes import write
from objstore.core.timestamps import DECIDED, ZERO, Timestamp

_DELETED = {404: 204}  # for the vote: the tombstone exists in either case
_OTHERS: dict[int, int] = {}


def send(change: ObjectChange, body: bytes) -> Sent:
    change, unmoved = look_back(change)
    cluster, nodes = change.place.cluster, change.place.nodes
    alike = _DELETED if change.method == "DELETE" else _OTHERS
    posts = change.method == "POST"
    while True:
        ask = Former(cluster, nodes).attempt_post if posts else None
        written = write(cluster, nodes, change.requests(body), alike, ask)
        if unmoved is not NO_STATE and not posts:
            written = unmoved.join(written)
        sent = Sent(written, change, len(body))
        rival = written.conflict
        if rival is ZERO:
            return sent
        if written.status < 300 and rival > change.timestamp and not change.final:
            return _overtaken(sent, body, rival)
        newer = change.newer_than(rival)
        if newer is None:
            return sent
        change = newer


def _overtaken(sent: Sent, body: bytes, rival: Timestamp) -> Sent:
    """Return whether a majority accepted the change while one node has something newer: see doc/consistency.md."""
    if rival.offset == DECIDED:
        return sent  # decided by a majority, and so after this change
    again = DecidedWrite(sent.change)
    if not again.make_again():
        return sent
    second = again.send_taken(body)
    return second if second.status < 300 else sent


def look_back(change: ObjectChange) -> tuple[ObjectChange, StoredState]:
    """Return the change with a timestamp newer than those of former nodes, and the state that only these have."""
    if not change.place.nodes.former:
        return change, NO_STATE
    found = read_stored_state(change.place)
    return change.newer_than(found.newest) or change, found
