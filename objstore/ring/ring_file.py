"""The contents of a ring file, and their encoding. See doc/format_ring.md for the format."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from sys import intern
from typing import Any, NamedTuple

from objstore.core.errors import MALFORMED, ConfigError
from objstore.core.nodes import Node
from objstore.ring.sealed import FileKind, seal, unseal

RING = FileKind(b"OBJSRING", 2, "ring file")
# The id that stands for "no device": the largest number that the row's item can hold.
NO_DEVICE = {2: 0xFFFF, 4: 0xFFFFFFFF}


class Moves(NamedTuple):
    """Former devices of moved replicas: parallel arrays, ordered by partition, newest first within it.

    time: Unix seconds of the rebalance.
    """

    partition: memoryview
    device: memoryview
    time: memoryview


# Steps of a change of the part power (see `ring.increase`), as both kinds of file name them; "" for none.
PREPARED = "prepared"
INCREASED = "increased"
CANCELLED = "cancelled"
STEPS = ("", PREPARED, INCREASED, CANCELLED)

NO_MOVES = Moves(*(memoryview(array("I")) for _ in range(3)))


class RingContents(NamedTuple):
    """rows: for each replica the device id of each partition; the last may be shorter (a fractional replica).

    replica_count: as the operator gave it; the rows hold round(replica_count * partitions) ids.
    step: of a change of the part power.
    """

    part_power: int
    replica_count: float
    version: int
    devices: Sequence[Node | None]
    rows: Sequence[memoryview]
    moves: Moves = NO_MOVES
    step: str = ""


def id_width(device_count: int) -> int:
    """Return the bytes of a device id for the size of a device table."""
    return 2 if device_count <= NO_DEVICE[2] else 4


def encode_ring(contents: RingContents) -> bytes:
    header = {
        "part_power": contents.part_power,
        "replicas": contents.replica_count,
        "builder_version": contents.version,
        "devices": [node and _device_fields(node) for node in contents.devices],
    }
    arrays = {f"replica.{index}": row for index, row in enumerate(contents.rows)}
    arrays |= {f"move.{name}": view for name, view in contents.moves._asdict().items()}
    return seal(RING, *with_step(header, contents.step), arrays)


def with_step(header: dict[str, object], step: str) -> tuple[int, dict[str, object]]:
    """The version and the header of a file in a step: who ignored it would read and write in the wrong places."""
    return (2, {**header, "part_power_step": step}) if step else (1, header)


def step_of(header: dict[str, object]) -> str:
    """Raises ValueError for one that is unknown."""
    step = header.get("part_power_step", "")
    if step not in STEPS:
        raise ValueError(f"a part power step {step!r}")
    return str(step)


def decode_ring(buffer: bytes | memoryview, source: str) -> RingContents:
    """Decode the ring in `buffer`, as views into it; raises ConfigError if it is not a valid ring."""
    header, arrays = unseal(RING, buffer, source)
    try:
        contents = RingContents(
            int(header["part_power"]),
            float(header["replicas"]),
            int(header["builder_version"]),
            tuple(_node(index, fields) for index, fields in enumerate(header["devices"])),
            tuple(arrays[f"replica.{index}"] for index in range(sum(name.startswith("replica.") for name in arrays))),
            Moves(*(arrays[f"move.{name}"] for name in Moves._fields)),
            step_of(header),
        )
    except MALFORMED as error:
        raise ConfigError(f"{source}: ring file with unusable contents: {error!r}") from error
    problem = _shape_problem(contents)
    if problem:
        raise ConfigError(f"{source}: ring file with unusable contents: {problem}")
    return contents


def _shape_problem(contents: RingContents) -> str:
    if not 0 <= contents.part_power <= 32:
        return f"a part power of {contents.part_power}"
    count = 1 << contents.part_power
    lengths = [len(row) for row in contents.rows]
    if not lengths or lengths[:-1] != [count] * (len(lengths) - 1) or not 0 < lengths[-1] <= count:
        return f"rows of {lengths} partitions in a ring of {count}"
    if len({len(view) for view in contents.moves}) != 1:
        return "move arrays of unequal lengths"
    return ""


def _device_fields(node: Node) -> list[object]:
    return list(node[1:])


def _node(index: int, fields: list[Any] | None) -> Node | None:
    """Addresses and names repeat in large rings; interned, they are kept once."""
    if fields is None:
        return None
    node = Node(index, *fields)
    return node._replace(
        ip=intern(node.ip),
        device=intern(node.device),
        replication_ip=intern(node.replication_ip),
        meta=intern(node.meta),
    )
