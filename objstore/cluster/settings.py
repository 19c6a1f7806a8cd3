"""The settings of the proxy app."""

from __future__ import annotations

from typing import Any

from objstore.cluster.node_order import parse_affinity
from objstore.runtime.settings import Setting, boolean, choice, duration, positive, size, words


def _node_count(text: str) -> tuple[int, bool]:
    """`2 * replicas` or a number: how many nodes, and whether times the replicas."""
    times, star, rest = text.partition("*")
    if star and rest.strip() == "replicas":
        return positive(times), True
    return positive(text), False


SETTINGS = (
    Setting("ring_dir", str, "/etc/objstore", "directory of objstore.conf and the ring files"),
    Setting("ring_check_interval", duration, "15", "seconds between looks for a newer ring file"),
    Setting("conn_timeout", duration, "0.5", "seconds to connect to a node"),
    Setting("node_timeout", duration, "10", "seconds that a node may take to answer, or be silent in mid-stream"),
    Setting("client_timeout", duration, "60", "seconds that a client may be silent in mid-body"),
    Setting("post_quorum_timeout", duration, "0.5", "seconds to wait for the rest once a majority has answered"),
    Setting("open_timeout", duration, "3", "seconds to wait for the rest once a majority is ready for a large body"),
    Setting(
        "update_timeout", duration, "2", "seconds to tell a container of a change in the place of an object server"
    ),
    Setting("write_timeout", duration, "2m", "longest wait for the nodes of one write, handoffs among them"),
    Setting("creation_timeout", duration, "3", "the same, where replicas of a new account or container are made"),
    Setting("error_suppression_limit", float, "10", "failures after which a node is passed over"),
    Setting("error_suppression_interval", duration, "60", "seconds in which counted failures halve"),
    Setting("request_node_count", _node_count, "2 * replicas", "most nodes asked for one read"),
    Setting("sorting_method", choice("shuffle", "timing"), "shuffle", "order of reads among nodes of equal affinity"),
    Setting("read_affinity", parse_affinity, "", "nodes to prefer for reads, such as r1z1=100, r1=200"),
    Setting("write_affinity", parse_affinity, "", "nodes to write to first; the others catch up by replication"),
    Setting("concurrent_gets", boolean, "no", "ask a second node when the first is slow"),
    Setting("concurrency_timeout", duration, "0.5", "seconds before the second node is asked"),
    Setting("newest_reads", boolean, "no", "every read asks a majority and takes the newest, as X-Newest does"),
    Setting("small_body", size, "64K", "bodies up to this are read before nodes are asked"),
    Setting("free_delay", duration, "2m", "time that segments outlive their manifest, for those who read it"),
    Setting("lease_wait", duration, "8", "seconds that a conditional write waits for others to the same name"),
    Setting("account_autocreate", boolean, "yes", "make an account when its first container is made"),
    Setting("allow_account_management", boolean, "no", "reseller admins may create and delete accounts"),
    Setting("max_containers_per_account", int, "0", "refuse more containers; 0 for no limit"),
    Setting("expiring_objects_account", str, ".expiring_objects", "account of the expirer's queue"),
    Setting("expiring_objects_container_divisor", positive, "86400", "seconds that share a container of the queue"),
    Setting("cors_allow_origin", words, "", "origins allowed for every container"),
    Setting("cors_expose_headers", words, "", "response headers that scripts may read, besides the usual"),
    Setting("strict_cors_mode", boolean, "yes", "CORS headers only for origins that the container allows"),
)

Settings = Any
