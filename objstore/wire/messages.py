"""What goes to a node and comes back: values, the transport contract, internal paths and headers.

The path of a request is `/<device>/<partition>/<account>[/<container>[/<object>]]`. Its depth
says which server is meant. Replicators ask for a partition, or one database of it, with the method
REPLICATE: `/<device>/<partition>[/<hash>]`; for what is about many partitions, `/<device>`. Headers are
canonical names to text.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from objstore.core.errors import MALFORMED, InvalidInput
from objstore.core.json_body import JsonBody
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.numbers import whole

# Headers between proxies and storage servers, each named here once.
TIMESTAMP = "X-Timestamp"
POLICY = "X-Backend-Storage-Policy-Index"
POLICY_DEFAULT = "X-Backend-Storage-Policy-Default"  # for a new container whose client chose none
STORED_TIMESTAMP = "X-Backend-Timestamp"  # of the newest change a server has for the name
DATA_TIMESTAMP = "X-Backend-Data-Timestamp"
DELETE_TIMESTAMP = "X-Backend-Delete-Timestamp"
CONTENT_TYPE_TIMESTAMP = "X-Backend-Content-Type-Timestamp"
CONTAINER_UPDATE = "X-Backend-Container-Update"  # an `UpdateTarget`: whom an object server tells
EXPIRY_UPDATE = "X-Backend-Expiry-Update"  # likewise, the container of the expirer's queue
UPDATED = "X-Backend-Container-Updated"  # indexes of the container replicas that were told, or spooled
ACCOUNT_UPDATE = "X-Backend-Account-Update"  # an `UpdateTarget`: whom a container server tells
# Of those indexes, the ones that refused the row as their container's life has ended, and those that could not be told.
REFUSED = "X-Backend-Container-Refused"
SPOOLED = "X-Backend-Container-Spooled"
OVERWRITTEN = "X-Backend-Overwritten"  # with the answer to a PUT: there was an object before
DATA_TIMES = "X-Backend-Data-Times"  # with GET of a container: list objects by when their data was written
ALLOW_RESERVED = "X-Backend-Allow-Reserved-Names"  # with GET: list the system's own names too
MARKERS = "X-Backend-Markers"  # with GET of a container: list keys whose current version is a delete marker
SHUT = "shut"  # with POST of a container, a query: 1 refuses new objects for a while, 0 takes them again
RECREATE = "X-Backend-Create-With-Policy"  # merging rows makes the container where it is missing
EVEN_EXPIRED = "X-Backend-Even-Expired"  # serve an object whose time has come, too
MATCH_TIMESTAMP = "X-Backend-If-Data-Timestamp"  # serve only this version of the object
SIZE = "X-Backend-Content-Length"  # of a body sent in chunks, where it is known
ETAG_TRAILER = "X-Backend-Etag"  # the proxy's MD5 of a streamed body, told after it
# Leases of a name (LOCK and UNLOCK of an object; see doc/consistency.md).
LEASE = "X-Backend-Lease"  # the holder's id: with LOCK and UNLOCK, and with a change made under the lease
LEASE_WAIT = "X-Backend-Lease-Wait"  # with LOCK: seconds to wait while another holds the name
LEASE_FLOOR = "X-Backend-Lease-Floor"  # a change under the lease must be newer than this
LEASE_PROMISE = "X-Backend-Lease-Promise"  # and not newer than this
LEASE_ABANDON = "X-Backend-Lease-Abandon"  # with UNLOCK: the change may have been made elsewhere
MISSING = "X-Backend-Condition-Missing"  # with 412: nothing is there, where the condition names something
# While the number of partitions is changed: the other partition in which the object must be found.
TWIN = "X-Backend-Twin-Partition"
# While a partition moves (see `cluster.former`).
EXISTING_ONLY = "X-Backend-Existing-Only"  # with PUT: change an account or container, but make none
AHEAD_OF_DATA = "X-Backend-Ahead-Of-Data"  # with POST: keep metadata of an object that is still to come


def policy_totals(index: int) -> str:
    """With GET of an account, the header that has the totals of one storage policy."""
    return f"X-Backend-Policy-{index}-Totals"


REPLICATE = "REPLICATE"


class Share(NamedTuple):
    """What replicators talk about in the place of a name: all a device has of a partition, or one database there.

    kind: the server's, `account`, `container` or `object`. hash: of the database's name; empty for all.
    """

    kind: str
    hash: str = ""

    @property
    def path(self) -> str:
        return f"/{self.hash}" if self.hash else ""


class NodeRequest(NamedTuple):
    """One request to a node. query: as on the wire; body: the whole of it.

    partition: None where a Share is of many, which the body names.
    """

    method: str
    partition: int | None
    name: Name | Share
    headers: Mapping[str, str]
    query: str = ""
    body: bytes = b""


class NodeResponse:
    """What a node answered: status, headers (canonical name to text), body.

    The body must be read to its end or closed; reading raises NodeFailure where it breaks off. body: its pieces;
    a tuple if all of them are at hand, or a JsonBody. close: to be called if it is neither.
    """

    __slots__ = ("_close", "body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: Iterable[Any] = (), close: Any = None) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._close = close

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return iter(self.body)

    def read(self) -> bytes:
        try:
            return b"".join(bytes(piece) for piece in self.body)
        finally:
            self.close()

    def json(self) -> Any:
        """The value of a body that is a JSON document. Raises ValueError if it is none."""
        return self.body.value() if isinstance(self.body, JsonBody) else json.loads(self.read())

    def close(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            close()


class Upload(Protocol):
    """A request under way whose body comes piece by piece; ended by `finish` or `abort`."""

    def wait_continue(self) -> NodeResponse | None:
        """None once the node wants the body; its answer where it needs none of it."""
        ...

    def send(self, piece: bytes | memoryview) -> None:
        """The next piece, which the caller leaves unchanged until `finish`; raises NodeFailure."""
        ...

    def finish(self, trailers: Mapping[str, str]) -> NodeResponse:
        """End the body; the node's answer. Raises NodeFailure."""
        ...

    def abort(self) -> None:
        """Give up: the node must take nothing of it."""
        ...


class Transport(Protocol):
    """The way to a node."""

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        """Raises NodeFailure (NodeUnreachable, NodeTimeout)."""
        ...

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Upload:
        """Open a request with a body of `length` bytes, None where not known. Raises NodeFailure."""
        ...


def path_text(device: str, partition: int | None, name: Name | Share) -> str:
    return f"/{device}" if partition is None else f"/{device}/{partition}{name.path}"


def target(node: Node, request: NodeRequest) -> str:
    """The request target on the wire, percent-encoded."""
    path = quote(path_text(node.device, request.partition, request.name), errors="surrogateescape")
    return f"{path}?{request.query}" if request.query else path


def parse_path(path: str) -> tuple[str, int, Name]:
    """Device, partition and name of an internal path in text; raises InvalidInput."""
    parts = path.split("/", 5)
    partition = whole(parts[2]) if len(parts) >= 4 else None
    if partition is None or parts[0] or not all(parts[1:]):
        raise InvalidInput(f"not an internal path: {path[:200]!r}")
    return parts[1], partition, Name(*parts[3:])


def parse_share_path(path: str) -> tuple[str, int | None, str]:
    """Device, partition (or None) and hash (or '') of the path of a REPLICATE request; raises InvalidInput."""
    parts = path.split("/")
    partition = whole(parts[2]) if len(parts) > 2 else None
    if not 2 <= len(parts) <= 4 or parts[0] or not all(parts[1:]) or (len(parts) > 2 and partition is None):
        raise InvalidInput(f"not the path of a device or a partition: {path[:200]!r}")
    return parts[1], partition, parts[3] if len(parts) == 4 else ""


class UpdateTarget(NamedTuple):
    """Whom a server tells of a change: a name one level up, its partition, and some of its nodes.

    nodes: (index among the replicas, node); indexes come back in `UPDATED`.
    """

    name: Name
    partition: int
    nodes: tuple[tuple[int, Node], ...]

    def encode(self) -> str:
        nodes = [[index, node.ip, node.port, node.device] for index, node in self.nodes]
        return json.dumps([self.name.path, self.partition, nodes], separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> UpdateTarget:
        """Raises InvalidInput."""
        return _decoded(text)


@functools.lru_cache(maxsize=1024)  # all objects of a container are told to the same nodes
def _decoded(text: str) -> UpdateTarget:
    try:
        path, partition, nodes = json.loads(text)
        targets = tuple(
            (int(index), Node(-1, 0, 0, str(ip), int(port), str(device))) for index, ip, port, device in nodes
        )
        return UpdateTarget(Name.parse(path), int(partition), targets)
    except MALFORMED as error:
        raise InvalidInput(f"not an update target: {error!r}") from None
