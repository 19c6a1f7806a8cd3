"""Metadata of accounts and containers: for each key the newest value, removals included.

A value is (text, Timestamp); the empty text is a removal, which is remembered so that an older value that arrives later
does not restore the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from objstore.core.timestamps import ZERO, Timestamp
from objstore.store.databases.rows import read_timestamp

Metadata = dict[str, tuple[str, Timestamp]]


def merge(one: Mapping[str, tuple[str, Timestamp]], other: Mapping[str, tuple[str, Timestamp]]) -> Metadata:
    """For each key what was set last; of equal times the greater text. Order does not matter."""
    merged = dict(one)
    for key, (value, timestamp) in other.items():
        stored = merged.get(key)
        if stored is None or (timestamp, value) > (stored[1], stored[0]):
            merged[key] = (value, timestamp)
    return merged


def since(metadata: Mapping[str, tuple[str, Timestamp]], deleted: Timestamp) -> Metadata:
    """Return the metadata set after the deletion of its account or container: a deletion removes metadata too."""
    if deleted == ZERO:
        return dict(metadata)
    return {key: item for key, item in metadata.items() if item[1] > deleted}


def live_metadata(metadata: Mapping[str, tuple[str, Timestamp]]) -> dict[str, str]:
    """Keys that have a value."""
    return {key: value for key, (value, _) in metadata.items() if value}


def dump(metadata: Mapping[str, tuple[str, Timestamp]]) -> str:
    """As kept in a database: `{key: [value, timestamp]}`, keys in order."""
    return json.dumps({key: [value, timestamp.internal] for key, (value, timestamp) in sorted(metadata.items())})


def load(text: str) -> Metadata:
    if text == "{}":
        return {}
    return {key: (value, read_timestamp(timestamp)) for key, (value, timestamp) in json.loads(text).items()}
