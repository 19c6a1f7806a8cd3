"""The contents of a path of the store as plain values: a file of an object, a hash directory, a volume, a database, a
ring."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from objstore.core.errors import InvalidInput, ObjstoreError
from objstore.core.names import is_hash
from objstore.core.timestamps import Timestamp
from objstore.ring import Ring
from objstore.runtime.files import exists, is_directory
from objstore.store.change import DATA, KINDS
from objstore.store.databases import describe_database
from objstore.store.objects.describe import describe_file
from objstore.store.objects.format import Unsound
from objstore.store.objects.layout import changes_among, file_path
from objstore.store.objects.liveness import decide
from objstore.store.packed.describe import describe_packed, describe_record, describe_volume, packed_changes
from objstore.store.packed.volume_directory import volume_name

Facts = dict[str, Any]
_PACKED = re.compile(r"packed(-\d+)?", re.ASCII).fullmatch


class PathPart(NamedTuple):
    """The part of a path to describe. at: position of a record in a volume. name_hash: of a name in a directory of
    packed objects. records: list those of a volume."""

    at: int | None = None
    name_hash: str | None = None
    records: bool = False


WHOLE = PathPart()


def describe(path: str, part: PathPart = WHOLE) -> Facts:
    """Return facts about a path; `sound` is always among them, and `problems` are sentences.

    Raises InvalidInput if it does not belong to a store, or has no such part, and OSError or NotFound if it cannot be
    read.
    """
    path = os.path.normpath(path)
    if is_directory(path):
        return _directory(path, part)
    os.stat(path)  # raises FileNotFoundError
    extension = os.path.splitext(path)[1]
    if part.name_hash is not None or (part.at is not None and extension != ".volume"):
        raise InvalidInput(f"{path}: --at is for volumes, --hash for directories of packed objects")
    reader = _READERS.get(extension) if extension != ".volume" else lambda path: _volume(path, part)
    if reader is None:
        raise InvalidInput(
            f"{path}: unknown file name extension; known are {', '.join(sorted([*_READERS, '.volume']))}"
        )
    try:
        facts = reader(path)
    except ObjstoreError as error:
        # Damage, and files of other versions, are part of the answer.
        facts = {"problems": [str(error).removeprefix(f"{path}: ")]}
    problems = facts.pop("problems", [])
    return {"path": path, **facts, "problems": problems, "sound": not problems}


def _volume(path: str, part: PathPart) -> Facts:
    try:
        return describe_record(path, part.at) if part.at is not None else describe_volume(path, part.records)
    except Unsound as error:
        return {"problems": [str(error)]}


def _packed(path: str, name_hash: str | None) -> Facts:
    """Describe a directory of packed objects, or what it holds of one name."""
    if name_hash is None:
        return {"path": path, **describe_packed(path)}
    if not is_hash(name_hash):
        raise InvalidInput(f"{name_hash} is not the hash of a name; `objstore locate` shows it")
    records = []
    for entry, counts in packed_changes(path, name_hash):
        volume = os.path.join(path, "volumes", volume_name(entry.place.volume))
        records.append(describe(volume, PathPart(at=entry.place.position)) | {"counts": counts})
    problems = [f"{os.path.basename(each['path'])}: {text}" for each in records for text in each["problems"]]
    return {
        "path": path,
        "kind": "packed changes",
        "hash": name_hash,
        "records": records,
        "problems": problems,
        "sound": not problems,
    }


def _directory(path: str, part: PathPart) -> Facts:
    """Describe a directory of packed objects, or a hash directory: its files, and which of them are live."""
    if part.at is None and _PACKED(os.path.basename(path)):
        return _packed(path, part.name_hash)
    if part.at is not None or part.name_hash is not None:
        raise InvalidInput(f"{path}: --at is for volumes, --hash for directories of packed objects")
    names = sorted(os.listdir(path))
    if not is_hash(os.path.basename(path)):
        raise InvalidInput(f"{path}: not the directory of an object, container or account")
    database = os.path.join(path, f"{os.path.basename(path)}.db")
    if exists(database):
        return describe(database)
    changes = changes_among(names)
    live = decide(changes)
    winners = {live.data, live.tombstone, live.meta, live.content_type}
    files = [describe(file_path(path, change)) | {"counts": change in winners} for change in changes]
    strangers = [name for name in names if not changes_among([name])]
    problems = [f"{name} is not a file of an object" for name in strangers]
    problems += [f"{os.path.basename(file['path'])}: {text}" for file in files for text in file["problems"]]
    state = "object" if live.data else "tombstone" if live.tombstone else "nothing"
    return {
        "path": path,
        "kind": "hash directory",
        "holds": state,
        "files": files,
        "obsolete": [str(change) for change in live.obsolete],
        "problems": problems,
        "sound": not problems,
    }


def _object_file(path: str) -> Facts:
    facts = describe_file(path)
    facts.pop("sound")
    if facts.get("kind") == DATA:
        facts["kind"] = "object"
    return facts


def _ring(path: str) -> Facts:
    ring = Ring.load(path)
    present = [node for node in ring.devices if node is not None]
    return {
        "kind": "ring",
        "version": ring.version,
        "part_power": ring.part_power,
        "partitions": ring.partition_count,
        "replicas": ring.replica_count,
        "devices": [f"d{node.id} r{node.region}z{node.zone} {node} weight {node.weight:g}" for node in present],
    }


def _builder(path: str) -> Facts:
    from objstore.ring.builder_file import load_builder  # numpy
    from objstore.ring.checks import balance, dispersion, validate

    builder = load_builder(path)
    findings = validate(builder)
    return {
        "kind": "builder",
        "version": builder.version,
        "part_power": builder.part_power,
        "partitions": builder.partition_count,
        "replicas": builder.replicas,
        "min_part_hours": builder.min_part_hours,
        "balance": round(balance(builder), 2),
        "dispersion": round(dispersion(builder), 2) if builder.rows else None,
        "devices": [f"d{node.id} r{node.region}z{node.zone} {node} weight {node.weight:g}" for node in builder.present],
        "warnings": findings.warnings,
        "problems": findings.errors,
    }


_READERS: dict[str, Callable[[str], Facts]] = {
    **{f".{kind}": _object_file for kind in KINDS},
    ".db": describe_database,
    ".ring": _ring,
    ".builder": _builder,
}


def plain(value: object) -> Any:
    """Convert a value for JSON: timestamps to text, named tuples to objects, keys to text."""
    if isinstance(value, Timestamp):
        return value.internal
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    return value
