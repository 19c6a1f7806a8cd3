"""Records on their way from one device to another, many at once. They travel as they are, with their checksums."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from objstore.core.errors import ChecksumMismatch, InvalidInput
from objstore.store.change import DATA, Change
from objstore.store.objects.change_stream import StreamReader
from objstore.store.objects.format import Unsound, decode_record
from objstore.store.objects.memory_reader import MemoryReader
from objstore.store.objects.records import check_fields, read_data
from objstore.store.packed.format import HEADER_SIZE, TAG_SIZE, Header, decode_header, is_sound, verify_record
from objstore.store.packed.places import Place
from objstore.store.packed.volumes import Volumes

_SPAN = 1 << 20  # bytes of a volume that are read at once
_GAP = 1 << 14  # bytes between two records that are read rather than skipped


class WantedRecord(NamedTuple):
    """A record to be read, of the name and change that the index has at its place."""

    place: Place
    name_hash: str
    change: Change


def read_records(volumes: Volumes, wanted: Sequence[WantedRecord]) -> list[bytes | None]:
    """Read records in the order of their places, neighbors by one call; None for those that are not sound, or moved."""
    records: list[bytes | None] = [None] * len(wanted)
    for span in _spans([each.place for each in wanted]):
        first, last = wanted[span[0]].place, wanted[span[-1]].place
        with contextlib.suppress(Unsound, OSError):
            tag, data = volumes.read_span(first.volume, first.position, last.position + last.length - first.position)
            view = memoryview(data)
            for index in span:
                place, name_hash, change = wanted[index]
                record = view[place.position - first.position :][: place.length]
                with contextlib.suppress(Unsound):
                    verify_record(tag, record, name_hash, change)
                    records[index] = bytes(record)
    return records


def _spans(places: Sequence[Place]) -> Iterator[list[int]]:
    """Group places, by their indexes in order of place, so that each group is read by one call."""
    span: list[int] = []
    start = end = volume = -1
    for index in sorted(range(len(places)), key=places.__getitem__):
        place = places[index]
        behind = place.position + place.length
        if span and (place.volume != volume or place.position > end + _GAP or behind > start + _SPAN):
            yield span
            span = []
        if not span:
            volume, start = place.volume, place.position
        span.append(index)
        end = behind
    if span:
        yield span


class ReceivedRecord(NamedTuple):
    """A record of which every byte has been verified."""

    header: Header
    metadata: bytes
    content: memoryview


def check_received(record: bytes) -> ReceivedRecord:
    """Verify the record of any volume. Raises ChecksumMismatch; InvalidInput if the metadata are of another change."""
    try:
        header = decode_header(record[:TAG_SIZE], record)
        if not is_sound(header, record):
            raise Unsound("the record does not match its checksums")
        metadata, content = record[HEADER_SIZE : header.head], memoryview(record)[header.head :]
        fields = decode_record(metadata)
    except Unsound as error:
        raise ChecksumMismatch(str(error)) from error
    try:
        size = check_fields(fields, header.change)
    except Unsound as error:
        raise InvalidInput(str(error)) from error
    if size != len(content):
        raise InvalidInput("the size does not match the metadata")
    return ReceivedRecord(header, metadata, content)


def record_stream(record: ReceivedRecord) -> bytes:
    """Return a record in the form of `objects.change_stream`, for those who take no records."""
    header, metadata, content = record
    data = None
    if header.change.kind == DATA:
        data = MemoryReader(read_data(decode_record(metadata), header.change), content)
    return b"".join(StreamReader(metadata, data))
