"""A node: one device of one storage server, as listed in the ring."""

from typing import NamedTuple


class Node(NamedTuple):
    """A device of a storage server. id: index in the ring's device table. device: the directory name under the server's
    root.

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

    @property
    def for_replication(self) -> "Node":
        """Return the same device with the address that replicators use."""
        if not self.replication_port or (self.replication_ip, self.replication_port) == (self.ip, self.port):
            return self
        return self._replace(ip=self.replication_ip, port=self.replication_port)

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}/{self.device}"
