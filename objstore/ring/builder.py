"""The operator's side of a ring: its devices, its settings, and the assignment that the last rebalance made.

A builder changes in memory; `builder_file` keeps it on disk. Every change raises its `version`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain, count
from typing import Any, NamedTuple

import numpy as np

from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.ring.balance import BalanceProblem, rebalanced
from objstore.ring.moves import MoveLog
from objstore.ring.ring_file import NO_DEVICE, RingContents, id_width
from objstore.ring.shares import shares, tree_of
from objstore.ring.spread import Table

NOBODY = NO_DEVICE[4]  # in `rows`, a replica without a device
LARGEST_PART_POWER = 32
_NODE_FIELDS = frozenset(Node._fields) - {"id"}


class Rebalance(NamedTuple):
    """The result of a rebalance. moved: replicas with another device than before; held: partitions that may not move
    yet."""

    moved: int
    held: int


class RingBuilder:
    """devices: by id, None for a free id. removed: ids that the next rebalance frees.

    replicas: may be fractional. min_part_hours: hours after a move of a replica of a partition before another may move.
    overload: share by which a device may exceed its weight's share for a better spread (0.1: a tenth). rows: for each
    replica the device id of each partition, uint32; empty before the first rebalance. last_moved: by partition, Unix
    seconds. moves: former devices of moved replicas. step: of a change of the part power (see `ring.increase`).
    """

    def __init__(self, part_power: int, replicas: float, min_part_hours: float) -> None:
        if not 0 <= part_power <= LARGEST_PART_POWER:
            raise InvalidInput(f"part power must be between 0 and {LARGEST_PART_POWER}, not {part_power}")
        self.part_power = part_power
        self.version = 0
        self.step = ""
        self.overload = 0.0
        self.devices: list[Node | None] = []
        self.removed: set[int] = set()
        self.rows: list[np.ndarray] = []
        self.last_moved = np.zeros(1 << part_power, dtype=np.uint32)
        self.moves = MoveLog.empty()
        self.replicas = _checked_replicas(replicas)
        self.min_part_hours = _checked_hours(min_part_hours)

    @property
    def partition_count(self) -> int:
        return 1 << self.part_power

    @property
    def present(self) -> list[Node]:
        """The devices that the next rebalance may use (those of weight 0 included)."""
        return [node for node in self.devices if node is not None and node.id not in self.removed]

    def add(self, node: Node) -> int:
        """Add a device and return its id; see `add_all`."""
        return self.add_all([node])[0]

    def add_all(self, nodes: Iterable[Node]) -> list[int]:
        """Add devices, all or none, and return their ids; `node.id` is not looked at.

        The lowest free ids are taken: no assignment and no recorded move refers to them.
        Raises InvalidInput for a device that is already there or is described badly.
        """
        places = {_place(node): node.id for node in self.present}
        free = chain((index for index, known in enumerate(self.devices) if known is None), count(len(self.devices)))
        added = []
        for node, device in zip(map(_checked_node, nodes), free, strict=False):
            if _place(node) in places:
                raise InvalidInput(f"{node} is already device {places[_place(node)]}")
            places[_place(node)] = device
            added.append(node._replace(id=device))
        for node in added:
            self.devices += [None] * (node.id + 1 - len(self.devices))
            self.devices[node.id] = node
        self.version += len(added)
        return [node.id for node in added]

    def remove(self, device: int) -> None:
        """Remove a device permanently: the next rebalance reassigns all its replicas, without regard to
        min_part_hours."""
        self._present(device)
        self.removed.add(device)
        self.version += 1

    def set_weight(self, device: int, weight: float) -> None:
        """0 empties the device in rebalances to come, under the same rules as other moves."""
        self.set_info(device, weight=weight)

    def set_info(self, device_id: int, /, **changes: Any) -> None:
        """Change fields of a device (see `Node`); raises InvalidInput for unknown ones."""
        if not changes.keys() <= _NODE_FIELDS:
            raise InvalidInput(f"a device has no {', '.join(sorted(changes.keys() - _NODE_FIELDS))}")
        node = _checked_node(self._present(device_id)._replace(**changes))
        for other in self.present:
            if other.id != device_id and _place(other) == _place(node):
                raise InvalidInput(f"{node} is already device {other.id}")
        self.devices[device_id] = node
        self.version += 1

    def set_replicas(self, replicas: float) -> None:
        self.replicas = _checked_replicas(replicas)
        self.version += 1

    def set_overload(self, overload: float) -> None:
        if not (math.isfinite(overload) and overload >= 0):
            raise InvalidInput(f"overload must be a number of at least 0, not {overload}")
        self.overload = overload
        self.version += 1

    def set_min_part_hours(self, hours: float) -> None:
        self.min_part_hours = _checked_hours(hours)
        self.version += 1

    def pretend_min_part_hours_passed(self) -> None:
        """Let all partitions move in the next rebalance."""
        self.last_moved[:] = 0
        self.version += 1

    def rebalance(self, now: float, seed: int | None = None) -> Rebalance:
        """Reassign partitions with as few moves as possible. now: Unix seconds.

        The same builder and seed always give the same assignment; without a seed the builder's version is one.
        Raises InvalidInput if no device has any weight, and while the part power is changed.
        """
        if self.step:
            raise InvalidInput("partitions cannot move until the part power change is finished")
        usable = [None if node is None or node.id in self.removed else node for node in self.devices]
        if not any(node is not None and node.weight > 0 for node in usable):
            raise InvalidInput("there is no device with a weight above 0")
        tree = tree_of(usable)
        before, exists = self._cells()
        table = np.where(self._usable_mask(usable)[before], before, len(usable)).astype(np.int32)
        movable = self.movable(now)
        problem = BalanceProblem(tree, table, exists, movable, shares(tree, self.replicas, self.overload))
        after = rebalanced(problem, np.random.default_rng(self.version if seed is None else seed))
        changed = (after != before) & exists
        self._record(before, after, changed, usable, int(now))
        self._free_removed()
        self.version += 1
        return Rebalance(int(changed.sum()), int(np.count_nonzero(~movable)))

    def movable(self, now: float) -> np.ndarray:
        """By partition: whether min_part_hours have passed since a replica moved. now: Unix seconds."""
        moved_at = self.last_moved.astype(np.float64)
        movable: np.ndarray = (self.last_moved == 0) | (moved_at + self.min_part_hours * 3600 <= now)
        return movable

    def contents(self) -> RingContents:
        """Return the contents of the ring file: the assignment of the last rebalance, and the current devices."""
        if not self.rows:
            raise InvalidInput("there is nothing to write before the first rebalance")
        devices = [None if node is None or node.id in self.removed else node for node in self.devices]
        width = id_width(len(devices))
        code = f"u{width}"
        gone = np.array([node is None for node in devices])
        rows = []
        for row in self.rows:
            lost = (row == NOBODY) | gone[np.where(row == NOBODY, 0, row)]
            rows.append(np.where(lost, NO_DEVICE[width], row).astype(code).data)
        held = sum(len(row) for row in self.rows)
        replicas = self.replicas if held == self.slot_count else held / self.partition_count
        return RingContents(
            self.part_power, replicas, self.version, devices, rows, self.moves.views(width, gone), self.step
        )

    @property
    def slot_count(self) -> int:
        """Replicas of all partitions together, as the replica count asks for."""
        return round(self.replicas * self.partition_count)

    def _present(self, device: int) -> Node:
        node = self.devices[device] if 0 <= device < len(self.devices) else None
        if node is None or device in self.removed:
            raise InvalidInput(f"there is no device {device}")
        return node

    def _cells(self) -> tuple[Table, np.ndarray]:
        """The assignment as a table with a row for each wanted replica, and which of its cells exist."""
        rows = math.ceil(self.slot_count / self.partition_count)
        exists = np.arange(rows * self.partition_count).reshape(rows, -1) < self.slot_count
        table = np.full(exists.shape, len(self.devices), dtype=np.int32)
        for index, row in enumerate(self.rows[:rows]):
            table[index, : len(row)] = np.where(row == NOBODY, len(self.devices), row)
        return np.where(exists, table, len(self.devices)).astype(np.int32), exists

    def _usable_mask(self, usable: Iterable[Node | None]) -> np.ndarray:
        return np.array([*(node is not None for node in usable), False])

    def _record(self, before: Table, after: Table, changed: np.ndarray, usable: list[Node | None], now: int) -> None:
        nobody = len(self.devices)
        left = changed & self._usable_mask(usable)[before]
        partition = np.nonzero(left)[1]
        self.moves = self.moves.with_moves(partition, before[left], now, self.min_part_hours)
        # A first assignment, and an added replica, move no data.
        self.last_moved[(changed & (before != nobody)).any(axis=0)] = now
        lengths = [self.partition_count] * (len(after) - 1)
        lengths.append(self.slot_count - sum(lengths))
        self.rows = [
            np.where(row == nobody, NOBODY, row)[:length].astype(np.uint32)
            for row, length in zip(after, lengths, strict=True)
        ]

    def _free_removed(self) -> None:
        for device in self.removed:
            self.devices[device] = None
        self.moves = self.moves.without_devices(self.removed)
        self.removed = set()
        while self.devices and self.devices[-1] is None:
            self.devices.pop()


def _place(node: Node) -> tuple[str, int, str]:
    """Return the key that is unique per device of a ring."""
    return node.ip, node.port, node.device


def _checked_node(node: Node) -> Node:
    """The node with its replication address filled in; raises InvalidInput for what cannot be."""
    if not (math.isfinite(node.weight) and node.weight >= 0):
        raise InvalidInput(f"a weight must be a number of at least 0, not {node.weight}")
    if not node.ip or not node.device or "/" in node.device or node.device in (".", ".."):
        raise InvalidInput(f"a device needs an address and a directory name: {node}")
    for port in (node.port, node.replication_port or node.port):
        if not 0 < port < 65536:
            raise InvalidInput(f"not a port: {port}")
    if node.region < 0 or node.zone < 0:
        raise InvalidInput(f"region and zone must be 0 or more, not {node.region} and {node.zone}")
    return node._replace(
        weight=float(node.weight),
        replication_ip=node.replication_ip or node.ip,
        replication_port=node.replication_port or node.port,
    )


def _checked_replicas(replicas: float) -> float:
    if not (math.isfinite(replicas) and 1 <= replicas <= 255):
        raise InvalidInput(f"replicas must be between 1 and 255, not {replicas}")
    return float(replicas)


def _checked_hours(hours: float) -> float:
    if not (math.isfinite(hours) and hours >= 0):
        raise InvalidInput(f"min_part_hours must be a number of at least 0, not {hours}")
    return hours
