"""The contents of a path of the store as plain values: a file of an object, a hash directory, a database, a ring."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from objstore.core.errors import InvalidInput, ObjstoreError
from objstore.core.names import is_hash
from objstore.core.timestamps import Timestamp
from objstore.ring import Ring
from objstore.runtime.files import exists, is_directory
from objstore.store.change import DATA, KINDS
from objstore.store.databases import describe_database
from objstore.store.objects.describe import describe_file
from objstore.store.objects.layout import changes_among, file_path
from objstore.store.objects.liveness import decide

Facts = dict[str, Any]


def describe(path: str) -> Facts:
    """Return facts about a path; `sound` is always among them, and `problems` are sentences.

    Raises InvalidInput if it does not belong to a store, and OSError or NotFound if it cannot be read.
    """
    path = os.path.normpath(path)
    if is_directory(path):
        return _directory(path)
    os.stat(path)  # raises FileNotFoundError
    reader = _READERS.get(os.path.splitext(path)[1])
    if reader is None:
        raise InvalidInput(f"{path}: unknown file name extension; known are {', '.join(sorted(_READERS))}")
    try:
        facts = reader(path)
    except ObjstoreError as error:
        # Damage, and files of other versions, are part of the answer.
        facts = {"problems": [str(error).removeprefix(f"{path}: ")]}
    problems = facts.pop("problems", [])
    return {"path": path, **facts, "problems": problems, "sound": not problems}


def _directory(path: str) -> Facts:
    """Describe a hash directory: its files, and which of them are live."""
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
