"""Messages to and from a node: values, the transport contract, internal paths and headers.

The path of a request is `/<device>/<partition>/<account>[/<container>[/<object>]]`. Its depth selects the server.
Replicators address a partition, or one database of it, with the method REPLICATE: `/<device>/<partition>[/<hash>]`;
many partitions at once, `/<device>`. Headers are canonical names to text.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from objstore.core.errors import MALFORMED, InvalidInput
from objstore.core.headers import DATA_TIMESTAMP as DATA_TIMESTAMP
from objstore.core.headers import DELETE_TIMESTAMP as DELETE_TIMESTAMP
from objstore.core.headers import POLICY as POLICY
from objstore.core.headers import STORED_TIMESTAMP as STORED_TIMESTAMP
from objstore.core.json_body import JsonBody
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.numbers import whole

# Headers between proxies and storage servers, each defined here only.
TIMESTAMP = "X-Timestamp"
POLICY_DEFAULT = "X-Backend-Storage-Policy-Default"  # for a new container if the client chose none
CONTAINER_UPDATE = "X-Backend-Container-Update"  # an `UpdateTarget`: receivers of an object server's update
EXPIRY_UPDATE = "X-Backend-Expiry-Update"  # likewise, the container of the expirer's queue
UPDATED = (
    "X-Backend-Container-Updated"  # indexes of the container replicas that were updated, or whose update was spooled
)
ACCOUNT_UPDATE = "X-Backend-Account-Update"  # an `UpdateTarget`: receivers of a container server's update
# Of those indexes, the ones that refused the row because their container's life has ended, and those that could not be
# reached.
REFUSED = "X-Backend-Container-Refused"
SPOOLED = "X-Backend-Container-Spooled"
OVERWRITTEN = "X-Backend-Overwritten"  # with the answer to a PUT: an object existed before
DATA_TIMES = "X-Backend-Data-Times"  # with GET of a container: list objects by the time of their data
ALLOW_RESERVED = "X-Backend-Allow-Reserved-Names"  # with GET: list reserved names too
MARKERS = "X-Backend-Markers"  # with GET of a container: list keys whose current version is a delete marker
SHUT = "shut"  # with POST of a container, a query: 1 refuses new objects for a while, 0 accepts them again
RECREATE = "X-Backend-Create-With-Policy"  # merging rows creates the container if it is missing
EVEN_EXPIRED = "X-Backend-Even-Expired"  # serve expired objects too
MATCH_TIMESTAMP = "X-Backend-If-Data-Timestamp"  # serve only this version of the object
SIZE = "X-Backend-Content-Length"  # of a body sent in chunks, if it is known
ETAG_TRAILER = "X-Backend-Etag"  # the MD5 of a streamed body, sent after it, or before if the body is compared with it
# Leases of a name (LOCK and UNLOCK of an object; see doc/consistency.md).
LEASE = "X-Backend-Lease"  # the holder's id: with LOCK and UNLOCK, and with a change made under the lease
LEASE_WAIT = "X-Backend-Lease-Wait"  # with LOCK: seconds to wait while another holds the name
LEASE_FLOOR = "X-Backend-Lease-Floor"  # a change under the lease must be newer than this
LEASE_PROMISE = "X-Backend-Lease-Promise"  # and not newer than this
LEASE_ABANDON = "X-Backend-Lease-Abandon"  # with UNLOCK: the change may have been made elsewhere
MISSING = "X-Backend-Condition-Missing"  # with 412: nothing is stored, but the condition requires something
# While the number of partitions changes: the other partition that must have the object.
TWIN = "X-Backend-Twin-Partition"
# While a partition moves (see `cluster.former`).
EXISTING_ONLY = "X-Backend-Existing-Only"  # with PUT: change an account or container, but make none
AHEAD_OF_DATA = "X-Backend-Ahead-Of-Data"  # with POST: keep metadata of an object that is still to come


def policy_totals(index: int) -> str:
    """Return the header with the totals of one storage policy, with GET of an account."""
    return f"X-Backend-Policy-{index}-Totals"


REPLICATE = "REPLICATE"


class Share(NamedTuple):
    """The subject of a replicator's request, instead of a name: all data of a partition on a device, or one database.

    kind: of the server, `account`, `container` or `object`. hash: of the database's name; empty for all.
    """

    kind: str
    hash: str = ""

    @property
    def path(self) -> str:
        return f"/{self.hash}" if self.hash else ""


class NodeRequest(NamedTuple):
    """One request to a node. query: as on the wire; body: the whole of it; in process a document is not encoded.

    partition: None if a Share covers several, which the body names.
    """

    method: str
    partition: int | None
    name: Name | Share
    headers: Mapping[str, str]
    query: str = ""
    body: bytes | JsonBody = b""


class NodeResponse:
    """The answer of a node: status, headers (canonical name to text), body.

    The body must be read to its end or closed; reading raises NodeFailure if it ends early. body: its pieces; a tuple
    if it is complete, or a JsonBody. close: required if it is neither.
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
        """Return the value of a JSON body. Raises ValueError if it is not JSON."""
        return self.body.value() if isinstance(self.body, JsonBody) else json.loads(self.read())

    def close(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            close()


class Upload(Protocol):
    """A request under way whose body comes piece by piece, until `finish` or `abort`.

    buffers: `send` only waits if several pieces wait for the node already.
    """

    buffers: bool

    def wait_continue(self) -> NodeResponse | None:
        """Return None when the node wants the body; its answer if it does not need it."""
        ...

    def send(self, piece: bytes | memoryview) -> None:
        """Send the next piece, which the caller leaves unchanged until `finish`; raises NodeFailure."""
        ...

    def finish(self, trailers: Mapping[str, str]) -> NodeResponse:
        """End the body and return the node's answer. Raises NodeFailure."""
        ...

    def abort(self) -> None:
        """Give up: the node must store nothing of it."""
        ...


class Transport(Protocol):
    """A way to send requests to nodes."""

    def call(self, node: Node, request: NodeRequest) -> NodeResponse:
        """Send a request and return the answer. Raises NodeFailure (NodeUnreachable, NodeTimeout)."""
        ...

    def upload(self, node: Node, request: NodeRequest, length: int | None) -> Upload:
        """Open a request with a body of `length` bytes, None if unknown. Raises NodeFailure."""
        ...


def path_text(device: str, partition: int | None, name: Name | Share) -> str:
    return f"/{device}" if partition is None else f"/{device}/{partition}{name.path}"


def target(node: Node, request: NodeRequest) -> str:
    """Return the request target on the wire, percent-encoded."""
    path = quote(path_text(node.device, request.partition, request.name), errors="surrogateescape")
    return f"{path}?{request.query}" if request.query else path


def parse_path(path: str) -> tuple[str, int, Name]:
    """Return device, partition and name of an internal path in text; raises InvalidInput."""
    parts = path.split("/", 5)
    partition = whole(parts[2]) if len(parts) >= 4 else None
    if partition is None or parts[0] or not all(parts[1:]):
        raise InvalidInput(f"not an internal path: {path[:200]!r}")
    return parts[1], partition, Name(*parts[3:])


def parse_share_path(path: str) -> tuple[str, int | None, str]:
    """Return device, partition (or None) and hash (or '') of the path of a REPLICATE request; raises InvalidInput."""
    parts = path.split("/")
    partition = whole(parts[2]) if len(parts) > 2 else None
    if not 2 <= len(parts) <= 4 or parts[0] or not all(parts[1:]) or (len(parts) > 2 and partition is None):
        raise InvalidInput(f"not the path of a device or a partition: {path[:200]!r}")
    return parts[1], partition, parts[3] if len(parts) == 4 else ""


class UpdateTarget(NamedTuple):
    """The receivers of an update: a name one level up, its partition, and some of its nodes.

    nodes: (index among the replicas, node); indexes come back in `UPDATED`.
    """

    name: Name
    partition: int
    nodes: tuple[tuple[int, Node], ...]

    @property
    def indexes(self) -> str:
        """Return the indexes of the nodes as a list in a header."""
        return ",".join([str(index) for index, _ in self.nodes])

    def encode(self) -> str:
        nodes = [[index, node.ip, node.port, node.device] for index, node in self.nodes]
        return json.dumps([self.name.path, self.partition, nodes], separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> UpdateTarget:
        """Raises InvalidInput."""
        return _decoded(text)


@functools.lru_cache(maxsize=1024)  # updates of all objects of a container go to the same nodes
def _decoded(text: str) -> UpdateTarget:
    try:
        path, partition, nodes = json.loads(text)
        targets = tuple(
            (int(index), Node(-1, 0, 0, str(ip), int(port), str(device))) for index, ip, port, device in nodes
        )
        return UpdateTarget(Name.parse(path), int(partition), targets)
    except MALFORMED as error:
        raise InvalidInput(f"not an update target: {error!r}") from None
