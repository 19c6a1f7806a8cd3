"""Everything that one file of an object holds, and whether it is sound; for `objstore info FILE`."""

from __future__ import annotations

import os
from typing import Any

from awscrt.checksums import crc32c

from objstore.runtime.files import FILES, Files, OpenFile
from objstore.store.change import DATA, Change
from objstore.store.objects.file_io import read_trailer, read_whole
from objstore.store.objects.format import (
    ATTRIBUTE,
    BLOCK,
    Trailer,
    Unsound,
    count_blocks,
    decode_record,
)
from objstore.store.objects.records import check_fields


def describe_file(path: str, files: Files = FILES) -> dict[str, object]:
    """Describe a .data, .meta or .ts file; reads all of it and changes nothing.

    Keys: path, kind, timestamp, content_type_timestamp, length (bytes of the file), sound,
    problems (a list of sentences), record (fields of the metadata), and of a .data file
    record_in (`attribute` or `trailer`), size, block_size, blocks, bad_blocks.
    Raises OSError if the file cannot be opened.
    """
    problems: list[str] = []
    facts: dict[str, Any] = {"path": path, "problems": problems}
    change = Change.parse(os.path.basename(path))
    if change is None:
        problems.append("not the name of an object's file")
    else:
        facts["kind"] = change.kind
        facts["timestamp"] = change.timestamp.internal
        if change.content_type is not None:
            facts["content_type_timestamp"] = change.content_type.internal
    file = files.open(path)
    try:
        facts["length"] = files.size(file.fd)
        if change is None or change.kind == DATA:
            _describe_data(files, file, facts, problems)
        else:
            facts["record"] = _noting(problems, lambda: decode_record(read_whole(files, file)))
    finally:
        file.close()
    record = facts.get("record")
    if change is not None and record:
        _noting(problems, lambda: _check_record(record, change, facts))
    facts["sound"] = not problems
    return facts


def _noting(problems: list[str], call: Any) -> Any:
    """Return the result of a call; if it fails, record a problem and return None."""
    try:
        return call()
    except (Unsound, OSError) as error:
        problems.append(str(error))
        return None


def _check_record(record: dict[str, object], change: Change, facts: dict[str, object]) -> None:
    size = check_fields(record, change)
    if facts.get("size", size) != size:
        raise Unsound("the size in the metadata does not match the trailer")


def _describe_data(files: Files, file: OpenFile, facts: dict[str, Any], problems: list[str]) -> None:
    attribute = _noting(problems, lambda: files.attribute(file.fd, ATTRIBUTE))
    trailer = _noting(problems, lambda: read_trailer(files, file))
    if attribute is not None:
        facts["record_in"] = "attribute"
        facts["record"] = _noting(problems, lambda: decode_record(attribute))
    elif trailer is not None and trailer.record:
        facts["record_in"] = "trailer"
        facts["record"] = _noting(problems, lambda: decode_record(trailer.record))
    elif not problems:
        problems.append("the file has no metadata")
    if trailer is not None:
        facts["size"] = trailer.size
        facts["block_size"] = BLOCK
        facts["blocks"] = count_blocks(trailer.size)
        facts["bad_blocks"] = _noting(problems, lambda: _bad_blocks(files, file, trailer))
        if facts["bad_blocks"]:
            problems.append(f"{len(facts['bad_blocks'])} blocks do not match their checksums")


def _bad_blocks(files: Files, file: OpenFile, trailer: Trailer) -> list[int]:
    """Numbers of the blocks whose content does not match its checksum."""
    bad = []
    buffer = memoryview(bytearray(BLOCK))
    for number, checksum in enumerate(trailer.checksums):
        view = buffer[: min(BLOCK, trailer.size - number * BLOCK)]
        if files.read_at(file.fd, view, number * BLOCK) != len(view) or crc32c(view) != checksum:
            bad.append(number)
    return bad
