"""All that a volume, a record or an index holds, and whether it is sound; for `objstore info`. Changes nothing."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from objstore.runtime.files import FILES, Files
from objstore.store.change import DATA
from objstore.store.objects.format import Unsound, decode_record
from objstore.store.objects.liveness import counting
from objstore.store.objects.records import check_fields
from objstore.store.packed.failed_reads import FailedReads
from objstore.store.packed.format import VOLUME_HEADER_SIZE, Header, padded
from objstore.store.packed.index import Index
from objstore.store.packed.page_files import DamagedIndex, StaleIndex
from objstore.store.packed.places import Entry, Place
from objstore.store.packed.volume_directory import parse_volume_name, volume_name
from objstore.store.packed.volumes import Usage, Volumes

Facts = dict[str, Any]
_PIECE = 1 << 20


class _Found(NamedTuple):
    """A record of a volume, and whether its checksums match."""

    place: Place
    header: Header
    is_sound: bool


def describe_volume(path: str, with_records: bool = False, files: Files = FILES) -> Facts:
    """Describe a .volume file; reads all of it.

    Keys: number, length (bytes of the file), records and dead_records (numbers), live_bytes (also of records that only
    name what others replace: no marks make these dead), dead_bytes, free_bytes (zeros at the end, for the next
    records), torn_bytes (what a writer left that died), problems (a list of sentences), sound. with_records: also
    `record_list`, each with hash, change, position, length, size, dead, sound.
    Raises OSError, and Unsound if it has no sound header.
    """
    volumes, number = _opened(path, files)
    try:
        file = files.open(path)
        size = files.size(file.fd)
        dead = volumes.dead(number)
        found = [_Found(*each) for each in volumes.scan(number, verify=True)]
    finally:
        volumes.close()
    records = [each for each in found if each.header.is_change]
    gaps = list(_gaps(found, size))
    tail = gaps.pop() if gaps and gaps[-1][1] == size else (size, size)
    is_free = _is_zero(files, path, *tail)
    problems = [f"the record at {place.position} does not match its checksums"
                for place, _, is_sound in records if not is_sound and place.position not in dead]  # fmt: skip
    problems += [f"{end - start} bytes at {start} are not a record"
                 for start, end in gaps if start not in dead and not _is_zero(files, path, start, end)]  # fmt: skip
    facts: Facts = {
        "kind": "volume",
        "number": number,
        "length": size,
        "records": len(records),
        "dead_records": sum(each.place.position in dead for each in records),
        "live_bytes": _bytes(each for each in found if each.place.position not in dead),
        "dead_bytes": _bytes(each for each in found if each.place.position in dead),
        "free_bytes": tail[1] - tail[0] if is_free else 0,
        "torn_bytes": 0 if is_free else tail[1] - tail[0],
        "problems": problems,
        "sound": not problems,
    }
    if with_records:
        facts["record_list"] = [
            {**_of_header(each.header, each.place), "dead": each.place.position in dead, "sound": each.is_sound}
            for each in records
        ]
    return facts


def describe_record(path: str, position: int, files: Files = FILES) -> Facts:
    """Describe the record of a volume at a position.

    Keys: those of `record_list` above, indexed (whether the index points at it; None if there is no index), record
    (fields of the metadata), problems. Raises Unsound if no record begins there, OSError.
    """
    volumes, number = _opened(path, files)
    try:
        place, header = next(volumes.scan(number, position), (None, None))
        if place is None or header is None or place.position != position:
            raise Unsound(f"no record begins at {position}")
        problems: list[str] = []
        facts = {"kind": "record", **_of_header(header, place), "dead": position in volumes.dead(number)}
        facts["indexed"] = _is_indexed(path, header.name_hash, place, files)
        try:
            record = decode_record(volumes.read(place, header.name_hash, header.change).metadata)
            facts["record"] = record
            if check_fields(record, header.change) != header.content_length and header.change.kind == DATA:
                problems.append("the size in the metadata does not match the record")
        except Unsound as error:
            problems.append(str(error))
        return {**facts, "problems": problems, "sound": not problems}
    finally:
        volumes.close()


def describe_packed(directory: str, files: Files = FILES) -> Facts:
    """Describe a directory of packed objects, `<device>/packed[-<policy>]`, by its index and its volumes.

    Keys: names, changes (numbers, by kind), live_bytes of what the index points at, volumes (by number: bytes, dead,
    indexed), problems, sound. Reads the whole index, and of volumes only their marks. Raises OSError.
    """
    problems: list[str] = []
    usages: dict[int, Usage] = {}
    volumes = Volumes(files, f"{directory}/volumes")
    try:
        for number in volumes.numbers():
            try:
                usages[number] = volumes.usage(number)
            except FileNotFoundError:  # compacted and removed meanwhile
                continue
            except Unsound as error:
                file = files.open(f"{directory}/volumes/{volume_name(number)}")
                usages[number] = Usage(files.size(file.fd), 0)
                problems.append(f"volume {number}: {error}")
    finally:
        volumes.close()
    kinds: Counter[str] = Counter()
    indexed: Counter[int] = Counter()
    names: dict[str, None] = {}
    try:
        for name_hash, entry in entries(directory, files):
            names[name_hash] = None
            kinds[entry.change.kind] += 1
            indexed[entry.place.volume] += padded(entry.place.length)
    except FileNotFoundError:
        problems.append("there is no index; the server makes one of the volumes when it starts")
    except (DamagedIndex, StaleIndex) as error:
        problems.append(f"the index is damaged: {error}")
    for number, start, end in FailedReads(files, directory).stretches():
        problems.append(f"volume {number}: bytes {start} to {end} could not be read")
    problems += [f"the index points at volume {number}, which is missing" for number in sorted(indexed.keys() - usages)]
    return {
        "kind": "packed objects",
        "names": len(names),
        "changes": dict(kinds),
        "live_bytes": sum(indexed.values()),
        "volumes": {
            volume_name(number): {"bytes": usage.size, "dead": usage.dead, "indexed": indexed[number]}
            for number, usage in usages.items()
        },
        "problems": problems,
        "sound": not problems,
    }


def packed_changes(directory: str, name_hash: str, files: Files = FILES) -> list[tuple[Entry, bool]]:
    """Return the packed changes of a name, and whether each counts among them; none if there is no index.

    Raises OSError, DamagedIndex, StaleIndex.
    """
    index = Index(files, f"{directory}/index")
    try:
        found = index.find(name_hash)
    except (FileNotFoundError, NotADirectoryError, StaleIndex):
        return []
    finally:
        index.close()
    winners = counting([entry.change for entry in found])
    return [(entry, entry.change in winners) for entry in found]


def entries(directory: str, files: Files = FILES) -> Iterator[tuple[str, Entry]]:
    """Iterate over all entries of the index of a `packed` directory. Raises FileNotFoundError if there is none."""
    index = Index(files, f"{directory}/index")
    try:
        yield from index.entries(0, 0)
    except StaleIndex:
        if not files.is_dir(f"{directory}/index"):
            raise FileNotFoundError(f"{directory}/index") from None
        raise
    finally:
        index.close()


def entries_of_names(directory: str, files: Files = FILES) -> dict[str, list[Entry]]:
    """Return all entries of an index, by the hash of their names; none if there is no index."""
    found: dict[str, list[Entry]] = defaultdict(list)
    with contextlib.suppress(FileNotFoundError):
        for name_hash, entry in entries(directory, files):
            found[name_hash].append(entry)
    return found


def _opened(path: str, files: Files) -> tuple[Volumes, int]:
    number = parse_volume_name(os.path.basename(path))
    if number is None:
        raise Unsound("not the name of a volume")
    return Volumes(files, os.path.dirname(path)), number


def _is_indexed(path: str, name_hash: str, place: Place, files: Files) -> bool | None:
    directory = os.path.dirname(os.path.dirname(path))
    if not files.is_dir(f"{directory}/index"):
        return None
    return any(entry.place == place for entry, _ in packed_changes(directory, name_hash, files))


def _of_header(header: Header, place: Place) -> Facts:
    return {
        "hash": header.name_hash,
        "change": str(header.change),
        "position": place.position,
        "length": place.length,
        "size": header.content_length,
    }


def _gaps(records: list[_Found], size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch of a volume in which no record is."""
    position = VOLUME_HEADER_SIZE
    for place, _, _ in records:
        if place.position > position:
            yield position, place.position
        position = place.position + padded(place.length)
    if position < size:
        yield position, size


def _bytes(records: Iterator[_Found]) -> int:
    return sum(padded(found.place.length) for found in records)


def _is_zero(files: Files, path: str, start: int, end: int) -> bool:
    file = files.open(path)
    while start < end:
        buffer = bytearray(min(_PIECE, end - start))
        count = files.read_at(file.fd, buffer, start)
        if any(buffer[:count]):
            return False
        start += count or end
    return True
