"""The innermost layer: each operation on accounts, containers and objects as requests to their nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from objstore.cluster import failures
from objstore.cluster.accounts import AccountChanges
from objstore.cluster.cluster import Cluster, Placement
from objstore.cluster.containers import ContainerChanges
from objstore.cluster.merged_listing import list_majority
from objstore.cluster.objects import Objects
from objstore.cluster.quota_rooms import QuotaRooms
from objstore.cluster.reads import Found, ResumedBody, read
from objstore.core.errors import AccountDeleted, NoContainer, NodeFailure, NotFound
from objstore.core.headers import POLICY_NAME
from objstore.core.json_body import JsonBody
from objstore.core.names import RESERVED, Name
from objstore.layers.interface import AccountOptions, Listing, Page, ReadOptions, Reply
from objstore.web import infos
from objstore.web.context import RequestContext
from objstore.web.infos import AccountInfo, ContainerInfo
from objstore.wire import messages
from objstore.wire.messages import NodeRequest, NodeResponse

# Headers of a node's answer that concern the connection to it.
_HOP = frozenset({"Connection", "Keep-Alive", "Transfer-Encoding", "Date", "Server", "Trailer"})
_SMALL = 64 << 10  # bytes of content that are read before the answer begins
_FORGOTTEN = 1000  # containers whose cached infos are dropped when their account is deleted
_COUNTS = ("X-Account-Container-Count", "X-Account-Object-Count", "X-Account-Bytes-Used")


# A request for an account or container.
Ask = Callable[[RequestContext, Name], Listing]


class ClusterLayer:
    """See `layers.interface.ObjectLayer`."""

    def __init__(self, cluster: Cluster, limit: int) -> None:
        """limit: maximum bytes of an object."""
        self._cluster = cluster
        self.rooms = QuotaRooms(cluster)
        objects = Objects(cluster, self, limit)
        self.put, self.update, self.delete = objects.put, objects.update, objects.delete
        accounts = AccountChanges(cluster)
        self.create_account, self.update_account = accounts.create_account, accounts.update_account
        self._accounts = accounts
        containers = ContainerChanges(cluster, self, accounts)
        self.create_container, self.update_container = containers.create_container, containers.update_container
        self.delete_container = containers.delete_container

    def open(self, context: RequestContext, name: Name, options: ReadOptions) -> Reply:
        cluster = self._cluster
        container = self.container_info(context, name)
        policy = container.policy_index if options.policy is None else options.policy
        place = cluster.place(name, policy)
        sent = _object_request(context, name, place, policy, options)
        response, node = read(cluster, place, sent, options.newest or cluster.settings.newest_reads)
        if node is None:
            if options.policy is None and container.status >= 500:
                # The container's policy was unknown: this may have been the wrong ring.
                raise NodeFailure(f"the storage policy of {name.path} is unknown")
            raise failures.read_failure(name, response)
        shown = _without_hop(response)
        status = response.status
        if options.head or status not in (200, 206):
            response.close()
            return Reply(status, shown)
        length = int(shown["Content-Length"])
        if not length:
            response.close()
            return Reply(status, shown)
        if type(response.body) is tuple and sum(map(len, response.body)) == length:  # all of it is at hand
            return Reply(status, shown, response.body)
        start = _first_byte(shown) if status == 206 else 0
        body = ResumedBody(cluster, place, sent, Found(node, response), (start, start + length))
        if length > _SMALL:
            return Reply(status, shown, body)
        # Read at once: if every copy is damaged the client gets an error, and not the head of an answer without
        # content.
        try:
            return Reply(status, shown, [bytes(piece) for piece in body])
        finally:
            body.close()

    def container_info(self, context: RequestContext, name: Name) -> ContainerInfo:
        if context.last is not name:  # the operations on an object ask again and again
            container = name if name.object is None else name.of_container
            context.last_container = infos.look_up(context, container, ContainerInfo, self._head_container)
            context.last = name
        info: ContainerInfo = context.last_container
        return info

    def account_info(self, context: RequestContext, account: str) -> AccountInfo:
        return infos.look_up(context, Name(account), AccountInfo, self._head_account)

    def container(self, context: RequestContext, name: Name) -> Listing:
        return self._ask(context, name, "HEAD", {}, "")

    def list_objects(self, context: RequestContext, name: Name, page: Page) -> Listing:
        headers = {}
        if page.reserved or RESERVED in name.path:
            headers[messages.ALLOW_RESERVED] = "true"
        if page.markers:
            headers[messages.MARKERS] = "true"
        if page.data_times:
            headers[messages.DATA_TIMES] = "true"
        if page.majority:
            return self._read_majority(context, name, headers, page)
        return self._ask(context, name, "GET", headers, page.query())

    def account(self, context: RequestContext, name: Name) -> Listing:
        return self._ask_account(context, name, "HEAD", "")

    def list_containers(self, context: RequestContext, name: Name, page: Page) -> Listing:
        return self._ask_account(context, name, "GET", page.query(), page.reserved)

    def delete_account(self, context: RequestContext, name: Name, options: AccountOptions) -> None:
        """Delete an account. Caches of this host also forget its first containers; others are stale for `info_ttl`."""
        containers = self.list_containers(context, name, Page(limit=_FORGOTTEN, reserved=True)).rows
        self._accounts.delete_account(context, name, options)
        for row in containers:
            infos.forget(context, Name(name.account, row["name"]))

    def _ask(self, context: RequestContext, name: Name, method: str, headers: Mapping[str, str], query: str) -> Listing:
        listing = self._read(context, name, method, headers, query)
        policy = self._cluster.policies.get(int(listing.headers.get(messages.POLICY, 0)))
        if policy is not None:
            listing.headers[POLICY_NAME] = policy.name
        self._check_account(context, name)
        return listing

    def _read_majority(self, context: RequestContext, name: Name, headers: Mapping[str, str], page: Page) -> Listing:
        assert page.limit is not None
        place = self._cluster.place(name)
        sent = NodeRequest("GET", place.partition, name, {**headers, **context.trace}, page.query())
        rows = list_majority(self._cluster, place, sent, page.limit)
        self._check_account(context, name)
        return Listing({}, JsonBody.of(rows))

    def _check_account(self, context: RequestContext, name: Name) -> None:
        """Raise NotFound if the account is deleted, even if the reaper has not removed its containers yet."""
        account = self.account_info(context, name.account)
        if not account.exists:
            if account.status in (404, 410):
                raise NoContainer(f"the account of {name.path} is deleted")
            raise NodeFailure(f"the account of {name.path} cannot be read")

    def _ask_account(
        self, context: RequestContext, name: Name, method: str, query: str, reserved: bool = False
    ) -> Listing:
        headers = {messages.ALLOW_RESERVED: "true"} if reserved else {}
        try:
            return self._read(context, name, method, headers, query)
        except AccountDeleted:
            raise
        except NotFound:
            if not self._cluster.settings.account_autocreate:
                raise
            return self._not_yet()

    def _not_yet(self) -> Listing:
        """Return the info of an account that its first container will create: existing and empty."""
        now = self._cluster.clock.now().normal
        headers = {**dict.fromkeys(_COUNTS, "0"), "X-Timestamp": now, "X-Put-Timestamp": now}
        return Listing({**headers, "Content-Type": "application/json; charset=utf-8"}, b"[]")

    def _read(
        self, context: RequestContext, name: Name, method: str, headers: Mapping[str, str], query: str
    ) -> Listing:
        place = self._cluster.place(name)
        sent = NodeRequest(method, place.partition, name, {**headers, **context.trace}, query)
        response, _ = read(self._cluster, place, sent)
        if not response.ok:
            raise failures.read_failure(name, response)
        return Listing(_without_hop(response), response.body if type(response.body) is JsonBody else response.read())

    def _head_container(self, context: RequestContext, name: Name) -> tuple[int, Mapping[str, str]]:
        return _status_and_headers(self.container, context, name)

    def _head_account(self, context: RequestContext, name: Name) -> tuple[int, Mapping[str, str]]:
        return _status_and_headers(self.account, context, name)


def _status_and_headers(ask: Ask, context: RequestContext, name: Name) -> tuple[int, Mapping[str, str]]:
    try:
        return 204, ask(context, name).headers
    except AccountDeleted:
        return 410, {}
    except NotFound:
        return 404, {}
    except NodeFailure:
        return 503, {}


def _object_request(
    context: RequestContext, name: Name, place: Placement, policy: int, options: ReadOptions
) -> NodeRequest:
    headers = {**options.conditions, **context.trace, **place.headers}
    if policy:
        headers[messages.POLICY] = str(policy)
    if options.expired:
        headers[messages.EVEN_EXPIRED] = "1"
    if options.version:
        headers[messages.MATCH_TIMESTAMP] = options.version
    return NodeRequest("HEAD" if options.head else "GET", place.partition, name, headers)


def _without_hop(response: NodeResponse) -> dict[str, str]:
    headers = response.headers
    if _HOP.isdisjoint(headers):
        return headers
    return {name: value for name, value in headers.items() if name not in _HOP}


def _first_byte(headers: Mapping[str, str]) -> int:
    """Return the start in `Content-Range: bytes start-last/size`."""
    return int(headers["Content-Range"].split()[1].split("-")[0])
