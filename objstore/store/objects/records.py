"""Records of metadata: the fields of .data, .meta and .ts files, and the object they make together.

    data         name, timestamp, content_type, etag, size, headers
    meta         timestamp, headers, and content_type and content_type_timestamp, both or none
    tombstone    name, timestamp

Timestamps are in internal form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from objstore.core.metadata import after_post
from objstore.core.timestamps import Timestamp
from objstore.store.change import DATA, METADATA, Change
from objstore.store.interface import ObjectData, ObjectInfo, ObjectMetadata
from objstore.store.objects.format import Unsound

Fields = dict[str, Any]


class ContentType(NamedTuple):
    """A content type and when it was set."""

    timestamp: Timestamp
    value: str


class MetaRecord(NamedTuple):
    """The contents of a .meta file."""

    timestamp: Timestamp
    headers: Mapping[str, str]
    content_type: ContentType | None

    @property
    def change(self) -> Change:
        return Change(self.timestamp, METADATA, self.content_type.timestamp if self.content_type else None)


def data_fields(data: ObjectData, size: int, etag: str) -> Fields:
    return {
        "name": data.name,
        "timestamp": data.timestamp.internal,
        "content_type": data.content_type,
        "etag": etag,
        "size": size,
        "headers": dict(data.metadata),
    }


def info_of_data(data: ObjectData, size: int, etag: str) -> ObjectInfo:
    """The object that a PUT makes."""
    stamp = data.timestamp
    return ObjectInfo(data.name, stamp, stamp, stamp, size, etag, data.content_type, dict(data.metadata))


def read_data(fields: Fields, change: Change) -> ObjectInfo:
    """Return the object of a .data file alone; raises Unsound if fields are missing or do not match."""
    stamp = change.timestamp
    try:
        size, headers = fields["size"], fields["headers"]
        if type(size) is not int or size < 0 or type(headers) is not dict:
            raise Unsound("the metadata's size or headers have a wrong type")
        if fields["timestamp"] != stamp.internal:
            raise Unsound("the metadata's timestamp does not match the file name")
        return ObjectInfo(fields["name"], stamp, stamp, stamp, size, fields["etag"], fields["content_type"], headers)
    except KeyError as error:
        raise Unsound(f"the metadata lacks {error}") from None


def meta_record(change: ObjectMetadata) -> MetaRecord:
    typed = None if change.content_type is None else ContentType(change.timestamp, change.content_type)
    return MetaRecord(change.timestamp, change.metadata, typed)


def meta_fields(record: MetaRecord) -> Fields:
    fields: Fields = {"timestamp": record.timestamp.internal, "headers": dict(record.headers)}
    if record.content_type is not None:
        fields["content_type_timestamp"] = record.content_type.timestamp.internal
        fields["content_type"] = record.content_type.value
    return fields


def read_meta(fields: Fields, change: Change) -> MetaRecord:
    """Decode a .meta file; raises Unsound if fields are missing or do not match."""
    try:
        typed = None if change.content_type is None else ContentType(change.content_type, fields["content_type"])
        record = MetaRecord(change.timestamp, fields["headers"], typed)
        own = fields["timestamp"] == change.timestamp.internal
        if typed is not None:
            own = own and fields["content_type_timestamp"] == typed.timestamp.internal
    except KeyError as error:
        raise Unsound(f"the metadata lacks {error}") from None
    if not own:
        raise Unsound("the metadata's timestamp does not match the file name")
    return record


def tombstone_fields(name: str, timestamp: Timestamp) -> Fields:
    return {"name": name, "timestamp": timestamp.internal}


def fold(first: MetaRecord | None, second: MetaRecord | None, since: Timestamp) -> MetaRecord | None:
    """Combine two records over data of the timestamp `since`: the newer metadata with the newer content type, without
    parts that are not newer than the data.

    None if nothing is left.
    """
    records = [record for record in (first, second) if record is not None and record.timestamp > since]
    if not records:
        return None
    newest = max(records, key=lambda record: record.timestamp)
    types = [record.content_type for record in records if record.content_type is not None]
    typed = max((each for each in types if each.timestamp > since), default=None)
    return MetaRecord(newest.timestamp, newest.headers, typed)


def lay_over(info: ObjectInfo, meta: MetaRecord | None) -> ObjectInfo:
    """An object once a record newer than its data is laid over it."""
    if meta is None:
        return info
    info = info._replace(timestamp=meta.timestamp, metadata=after_post(info.metadata, meta.headers))
    if meta.content_type is not None:
        when, value = meta.content_type
        info = info._replace(content_type_timestamp=when, content_type=value)
    return info


def check_fields(fields: Fields, change: Change) -> int:
    """Bytes of content that belong to a record; raises Unsound if it is not that of the change."""
    if change.kind == DATA:
        return read_data(fields, change).size
    if change.kind == METADATA:
        read_meta(fields, change)
    elif fields.get("timestamp") != change.timestamp.internal:
        raise Unsound("the record's timestamp does not match the file name")
    return 0
