"""The builder's file: everything the builder knows, sealed like a ring file, replaced as a whole.

Header keys and arrays are listed in doc/format_ring.md. Whoever changes a builder holds `locked` around
reading and writing, so that two operators do not undo each other's work.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count

import numpy as np

from objstore.core.errors import MALFORMED, ConfigError, InvalidInput, LockTimeout
from objstore.core.nodes import Node
from objstore.ring.builder import RingBuilder
from objstore.ring.moves import MoveLog
from objstore.ring.ring_file import encode_ring, step_of, with_step
from objstore.ring.sealed import FileKind, seal, unseal
from objstore.runtime import owners
from objstore.runtime.files import FILES, Files, exists

BUILDER = FileKind(b"OBJSBLDR", 2, "builder file")
BUILDER_SUFFIX = ".builder"
RING_SUFFIX = ".ring"


def ring_path(builder_path: str) -> str:
    """object.builder belongs to object.ring, in the same directory."""
    return builder_path.removesuffix(BUILDER_SUFFIX) + RING_SUFFIX


def encode_builder(builder: RingBuilder) -> bytes:
    header = {
        "part_power": builder.part_power,
        "replicas": builder.replicas,
        "min_part_hours": builder.min_part_hours,
        "overload": builder.overload,
        "version": builder.version,
        "devices": [node and node._asdict() for node in builder.devices],
        "removed": sorted(builder.removed),
    }
    arrays = {f"replica.{index}": row.data for index, row in enumerate(builder.rows)}
    arrays["last_moved"] = builder.last_moved.data
    arrays |= {f"move.{name}": values.data for name, values in builder.moves._asdict().items()}
    return seal(BUILDER, *with_step(header, builder.step), arrays)


def decode_builder(buffer: bytes, source: str) -> RingBuilder:
    """Raises ConfigError if the bytes are not an intact builder of this version."""
    header, views = unseal(BUILDER, buffer, source)
    try:
        arrays = {name: np.array(view, dtype=np.uint32) for name, view in views.items()}
        builder = RingBuilder(header["part_power"], header["replicas"], header["min_part_hours"])
        builder.overload = float(header["overload"])
        builder.version = int(header["version"])
        builder.devices = [None if fields is None else Node(**fields) for fields in header["devices"]]
        builder.removed = set(header["removed"])
        builder.rows = [
            arrays[f"replica.{index}"] for index in range(sum(name.startswith("replica.") for name in arrays))
        ]
        builder.last_moved = arrays["last_moved"]
        builder.step = step_of(header)
        builder.moves = MoveLog(*(arrays[f"move.{name}"] for name in MoveLog._fields))
    except (*MALFORMED, InvalidInput) as error:
        raise ConfigError(f"{source}: builder file with unusable contents: {error!r}") from error
    return builder


def load_builder(path: str) -> RingBuilder:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the builder: {error.strerror}") from error
    return decode_builder(data, path)


def save_builder(builder: RingBuilder, path: str, files: Files = FILES) -> None:
    owners.replace(path, encode_builder(builder), files=files)


def write_ring(builder: RingBuilder, path: str, files: Files = FILES) -> None:
    """Raises InvalidInput before the first rebalance."""
    owners.replace(path, encode_ring(builder.contents()), files=files)


def back_up(path: str, now: float, files: Files = FILES) -> str | None:
    """Copy a builder file to `backups/<Unix seconds>.<name>` beside it, and return that path; None without a file.

    An earlier copy of the same second is not replaced: `<Unix seconds>.1.<name>` is next.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    directory = os.path.join(os.path.dirname(path), "backups")
    owners.make_directory(directory)
    stems = chain([f"{int(now)}"], (f"{int(now)}.{number}" for number in count(1)))
    copies = (os.path.join(directory, f"{stem}.{os.path.basename(path)}") for stem in stems)
    copy = next(copy for copy in copies if not exists(copy))
    owners.replace(copy, data, files=files)
    return copy


def keep(builder: RingBuilder, path: str, now: float) -> None:
    """Keep a changed builder, its former state in `backups`, and write its ring. now: Unix seconds."""
    back_up(path, now)
    save_builder(builder, path)  # before the ring, which can be written again from it
    write_ring(builder, ring_path(path))


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold the builder's lock (a file beside it, which stays); raises LockTimeout when another process has it."""
    fd = owners.open_lock(f"{path}.lock")
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LockTimeout(f"{path}: another process is changing this builder") from error
        yield
    finally:
        os.close(fd)
