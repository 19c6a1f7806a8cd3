"""The settings of the proxy app."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.cluster.node_order import Affinity, parse_affinity
from objstore.runtime.settings import boolean, choice, duration, positive, setting, size, words


def _node_count(text: str) -> tuple[int, bool]:
    """Parse `2 * replicas` or a number: the number of nodes, and whether it is times the replicas."""
    times, star, rest = text.partition("*")
    if star and rest.strip() == "replicas":
        return positive(times), True
    return positive(text), False


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of the proxy."""

    ring_dir: str = setting(str, "/etc/objstore", "directory of objstore.conf and the ring files")
    ring_check_interval: float = setting(duration, "15", "interval to check for a newer ring file")
    conn_timeout: float = setting(duration, "0.5", "timeout to connect to a node")
    node_timeout: float = setting(duration, "10", "timeout of a node's answer, and of each read within a body")
    client_timeout: float = setting(duration, "60", "timeout of each read of a client's body")
    post_quorum_timeout: float = setting(
        duration, "0.5", "time to wait for the other nodes after a majority has answered"
    )
    open_timeout: float = setting(
        duration, "3", "time to wait for the other nodes after a majority is ready for a large body"
    )
    update_timeout: float = setting(duration, "2", "timeout to update a container when no object server could")
    write_timeout: float = setting(duration, "2m", "timeout of one write on all its nodes, including handoffs")
    creation_timeout: float = setting(duration, "3", "the same for the creation of an account or container")
    error_suppression_limit: float = setting(float, "10", "number of failures after which a node is skipped")
    error_suppression_interval: float = setting(duration, "60", "time in which the failure count of a node halves")
    request_node_count: tuple[int, bool] = setting(
        _node_count, "2 * replicas", "maximum number of nodes asked for one read"
    )
    sorting_method: str = setting(choice("shuffle", "timing"), "shuffle", "read order of nodes of equal affinity")
    read_affinity: Affinity = setting(parse_affinity, "", "nodes preferred for reads, such as r1z1=100, r1=200")
    write_affinity: Affinity = setting(parse_affinity, "", "nodes written first; the others catch up by replication")
    concurrent_gets: bool = setting(boolean, "no", "ask a second node if the first is slow")
    concurrency_timeout: float = setting(duration, "0.5", "delay before the second node is asked")
    newest_reads: bool = setting(boolean, "no", "every read asks a majority and returns the newest, as with X-Newest")
    small_body: int = setting(size, "64K", "bodies up to this size are read completely before nodes are asked")
    lease_wait: float = setting(duration, "8", "time a conditional write waits for other writes of the same name")
    account_autocreate: bool = setting(boolean, "yes", "create an account with its first container")
    allow_account_management: bool = setting(boolean, "no", "reseller admins may create and delete accounts")
    allow_open_expired: bool = setting(
        boolean, "no", "requests with X-Open-Expired: true read and update objects that have expired but still exist"
    )
    max_containers_per_account: int = setting(int, "0", "maximum number of containers of an account; 0: no limit")
    expiring_objects_account: str = setting(str, ".expiring_objects", "account of the expirer's queue")
    expiring_objects_container_divisor: int = setting(
        positive, "86400", "seconds covered by one container of the queue"
    )
    cors_allow_origin: tuple[str, ...] = setting(words, "", "CORS origins allowed for every container")
    cors_expose_headers: tuple[str, ...] = setting(words, "", "additional response headers that scripts may read")
    strict_cors_mode: bool = setting(boolean, "yes", "send CORS headers only to origins that the container allows")
