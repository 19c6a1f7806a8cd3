"""The settings of the proxy app."""

from __future__ import annotations

from dataclasses import dataclass

from objstore.cluster.node_order import Affinity, parse_affinity
from objstore.runtime.settings import boolean, choice, duration, positive, setting, size, words


def _node_count(text: str) -> tuple[int, bool]:
    """`2 * replicas` or a number: how many nodes, and whether times the replicas."""
    times, star, rest = text.partition("*")
    if star and rest.strip() == "replicas":
        return positive(times), True
    return positive(text), False


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of the proxy."""

    ring_dir: str = setting(str, "/etc/objstore", "directory of objstore.conf and the ring files")
    ring_check_interval: float = setting(duration, "15", "seconds between looks for a newer ring file")
    conn_timeout: float = setting(duration, "0.5", "seconds to connect to a node")
    node_timeout: float = setting(duration, "10", "seconds that a node may take to answer, or be silent in mid-stream")
    client_timeout: float = setting(duration, "60", "seconds that a client may be silent in mid-body")
    post_quorum_timeout: float = setting(duration, "0.5", "seconds to wait for the rest once a majority has answered")
    open_timeout: float = setting(
        duration, "3", "seconds to wait for the rest once a majority is ready for a large body"
    )
    update_timeout: float = setting(
        duration, "2", "seconds to tell a container of a change in the place of an object server"
    )
    write_timeout: float = setting(duration, "2m", "longest wait for the nodes of one write, handoffs among them")
    creation_timeout: float = setting(duration, "3", "the same, where replicas of a new account or container are made")
    error_suppression_limit: float = setting(float, "10", "failures after which a node is passed over")
    error_suppression_interval: float = setting(duration, "60", "seconds in which counted failures halve")
    request_node_count: tuple[int, bool] = setting(_node_count, "2 * replicas", "most nodes asked for one read")
    sorting_method: str = setting(
        choice("shuffle", "timing"), "shuffle", "order of reads among nodes of equal affinity"
    )
    read_affinity: Affinity = setting(parse_affinity, "", "nodes to prefer for reads, such as r1z1=100, r1=200")
    write_affinity: Affinity = setting(
        parse_affinity, "", "nodes to write to first; the others catch up by replication"
    )
    concurrent_gets: bool = setting(boolean, "no", "ask a second node when the first is slow")
    concurrency_timeout: float = setting(duration, "0.5", "seconds before the second node is asked")
    newest_reads: bool = setting(boolean, "no", "every read asks a majority and takes the newest, as X-Newest does")
    small_body: int = setting(size, "64K", "bodies up to this are read before nodes are asked")
    lease_wait: float = setting(duration, "8", "seconds that a conditional write waits for others to the same name")
    account_autocreate: bool = setting(boolean, "yes", "make an account when its first container is made")
    allow_account_management: bool = setting(boolean, "no", "reseller admins may create and delete accounts")
    max_containers_per_account: int = setting(int, "0", "refuse more containers; 0 for no limit")
    expiring_objects_account: str = setting(str, ".expiring_objects", "account of the expirer's queue")
    expiring_objects_container_divisor: int = setting(positive, "86400", "seconds that share a container of the queue")
    cors_allow_origin: tuple[str, ...] = setting(words, "", "origins allowed for every container")
    cors_expose_headers: tuple[str, ...] = setting(
        words, "", "response headers that scripts may read, besides the usual"
    )
    strict_cors_mode: bool = setting(boolean, "yes", "CORS headers only for origins that the container allows")
