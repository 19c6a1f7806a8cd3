"""A node: one device of one storage server, as the ring knows it."""

from typing import NamedTuple


class Node(NamedTuple):
    """id: index in the ring's device table. device: the directory name under the server's root.

    The replication address carries the traffic of replicators; it may equal the other.
    """

    id: int
    region: int
    zone: int
    ip: str
    port: int
    device: str
    replication_ip: str = ""
    replication_port: int = 0
    weight: float = 0.0
    meta: str = ""

    @property
    def address(self) -> tuple[str, int]:
        return self.ip, self.port

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}/{self.device}"
