"""The safety rules of the code, each with a change that breaks it and the tests that must then fail.

`make mutate` makes each change in a copy of the tree. A quick unit test holds the texts here against the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """rule: that is broken. code: text that is in the file once. broken: what takes its place. tests: below `test`."""

    rule: str
    file: str
    code: str
    broken: str
    tests: tuple[str, ...]


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"unit/{name}.py" for name in names)


MUTANTS = (
    # Devices
    Mutant(
        "nothing is acknowledged beneath a mount point",
        "objstore/server/storage_server.py",
        "if asked.method not in _READS or response.status == 404:",
        "if False:",
        _unit("server/test_server_devices"),
    ),
    # Majorities and order
    Mutant(
        "a majority is more than half",
        "objstore/cluster/quorum.py",
        "return replicas // 2 + 1",
        "return max(1, replicas // 2)",
        _unit("cluster/test_cluster_decisions"),
    ),
    Mutant(
        "a change is made again only while no majority can have gone on from another",
        "objstore/cluster/lease_decision.py",
        "> replicas - quorum_size(replicas)",
        "> 0",
        _unit("cluster/test_cluster_lease_decision"),
    ),
    Mutant(
        "a state is settled once it is on a majority",
        "objstore/cluster/lease_decision.py",
        ">= quorum_size(replicas)",
        ">= 1",
        _unit("cluster/test_cluster_lease_decision"),
    ),
    Mutant(
        "a tombstone beats a copy of the same time",
        "objstore/store/objects/liveness.py",
        "return change.timestamp, change.kind == TOMBSTONE",
        "return change.timestamp, change.kind != TOMBSTONE",
        _unit("store/test_objects_liveness"),
    ),
    Mutant(
        "a deleted row beats another of the same time",
        "objstore/store/databases/rows.py",
        "return row.timestamp, row.deleted,",
        "return row.timestamp, not row.deleted,",
        _unit("store/databases/test_databases_rows"),
    ),
    Mutant(
        "a content type is joined by its own time",
        "objstore/store/databases/rows.py",
        "typed = max(one, other, key=_type_order)",
        "typed = data",
        _unit("store/databases/test_databases_rows"),
    ),
    Mutant(
        "totals of containers are joined by the time of their report",
        "objstore/store/databases/rows.py",
        "return row.reported_at, row.object_count,",
        "return row.put_timestamp, row.object_count,",
        _unit("store/databases/test_databases_rows"),
    ),
    Mutant(
        "a change must be newer than all that is stored",
        "objstore/server/write_guard.py",
        "if newest >= self._timestamp:\n            if self._overlaps",
        "if newest > self._timestamp:\n            if self._overlaps",
        _unit("server/test_server_write_guard"),
    ),
    # Leases
    Mutant(
        "a change under an expired lease is refused",
        "objstore/server/write_guard.py",
        "if held is None or not live or held.id != self._lease:",
        "if held is None or held.id != self._lease:",
        _unit("server/test_server_write_guard"),
    ),
    Mutant(
        "a change under the lease of another is refused",
        "objstore/server/write_guard.py",
        "if held is None or not live or held.id != self._lease:",
        "if held is None or not live:",
        _unit("server/test_server_write_guard"),
    ),
    Mutant(
        "a change under a lease keeps to what was promised",
        "objstore/server/write_guard.py",
        "if self._timestamp > held.promise:",
        "if False:",
        _unit("server/test_server_write_guard"),
    ),
    Mutant(
        "a promise outlives its lease",
        "objstore/server/write_guard.py",
        "return held.promise",
        "return ZERO",
        _unit("server/test_server_write_guard"),
    ),
    Mutant(
        "a replicator does not bring what was promised a moment ago",
        "objstore/server/write_guard.py",
        "if promised or leases.is_live(held):",
        "if leases.is_live(held):",
        _unit("server/test_server_write_guard"),
    ),
    Mutant(
        "a lease of before the machine's start has ended",
        "objstore/store/leases.py",
        "0 < lease.until - self._now() <= MAX_SECONDS",
        "0 < lease.until - self._now()",
        _unit("store/test_store_leases", "server/test_server_write_guard"),
    ),
    # Where copies are
    Mutant(
        "a device that is full or missing is replaced by a handoff",
        "objstore/cluster/writes.py",
        "REPLACED = frozenset({500, 502, 503, 504, 507, 529})",
        "REPLACED = frozenset({500, 502, 503, 504})",
        _unit("cluster/test_cluster_writes"),
    ),
    Mutant(
        "former nodes that are silent are not taken for lacking",
        "objstore/cluster/former.py",
        "self.silent += answer.status in REPLACED",
        "self.silent += 0",
        _unit("cluster/test_cluster_moves"),
    ),
    Mutant(
        "a node that knows nothing is answered for by a former one",
        "objstore/cluster/former.py",
        "return answer.status == 404 and stored_timestamp(answer) == ZERO",
        "return False",
        _unit("cluster/test_cluster_moves"),
    ),
    Mutant(
        "a handoff is emptied only once all primaries have confirmed",
        "objstore/replication/objects_plan.py",
        "return primaries if wanted == ALL else min(wanted, primaries)",
        "return 1",
        _unit("replication/test_replication_objects_plan"),
    ),
    Mutant(
        "a name leaves a handoff only if every change of it was confirmed",
        "objstore/replication/objects_plan.py",
        "if all(counts[name_hash, change] >= needed for change in changes)",
        "if any(counts[name_hash, change] >= needed for change in changes)",
        _unit("replication/test_replication_objects_plan"),
    ),
    Mutant(
        "a handoff is not emptied if the ring was replaced meanwhile",
        "objstore/daemon/duties/object_partition.py",
        "if not self._go_on():  # what was confirmed",
        "if False:  # what was confirmed",
        _unit("daemon/test_daemon_object_replicator"),
    ),
    # Disks
    Mutant(
        "files are durable before they have names",
        "objstore/store/objects/commit.py",
        "each(group.sync_file)\n            each(group.link)",
        "each(group.link)\n            each(group.sync_file)",
        _unit("store/test_objects_crash"),
    ),
    Mutant(
        "names are durable before what they replace is removed",
        "objstore/store/objects/commit.py",
        "each(group.sync_names)\n            each(group.remove_obsolete)",
        "each(group.remove_obsolete)\n            each(group.sync_names)",
        _unit("store/test_objects_crash"),
    ),
    Mutant(
        "small objects match their checksum",
        "objstore/store/objects/format.py",
        "crc32c(file[:size]) != _UNSIGNED.unpack_from(file, size)[0]",
        "False",
        _unit("store/test_objects_file_store"),
    ),
    Mutant(
        "blocks of large objects match their checksums",
        "objstore/store/objects/reader.py",
        "if crc32c(view[first : first + BLOCK]) != checksums[block]:",
        "if False:",
        _unit("store/test_objects_file_store"),
    ),
    Mutant(
        "what a peer sent is verified before it is visible",
        "objstore/store/objects/change_stream.py",
        'or not _matches(self._buffers["trailer"], size, checksums)',
        "",
        _unit("store/test_replica_conformance"),
    ),
    Mutant(
        "what a peer sent is made only if its guard allows it",
        "objstore/store/objects/change_stream.py",
        "self._data.commit_record(self._change, record, self._guard)",
        "self._data.commit_record(self._change, record, None)",
        _unit("store/test_replica_conformance"),
    ),
    Mutant(
        "a look-up is repeated when a file was replaced",
        "objstore/store/objects/lookup.py",
        "except FileNotFoundError:  # replaced since the listing\n            continue",
        "except FileNotFoundError:\n            return decide(())",
        _unit("store/test_objects_lookup"),
    ),
    Mutant(
        "rows are not written to a database that was replaced",
        "objstore/store/databases/device.py",
        "\n    if not connected.current():\n        raise Replaced(",
        "\n    if False:\n        raise Replaced(",
        _unit("store/databases/test_databases_device"),
    ),
    # Lives of objects
    Mutant(
        "data are kept when their manifest may exist",
        "objstore/layers/placement.py",
        "if is_refusal(failure):",
        "if True:",
        _unit("layers/test_layers_placement"),
    ),
    Mutant(
        "an end that was taken back is not carried out",
        "objstore/daemon/duties/expirer.py",
        'newest.headers.get("X-Delete-At") != str(when)',
        "False",
        _unit("daemon/test_daemon_expirer"),
    ),
    Mutant(
        "an object whose replicas cannot all be asked is not taken for gone",
        "objstore/daemon/duties/expirer.py",
        "if not fates or Fate.UNKNOWN in fates:",
        "if not fates:",
        _unit("daemon/test_daemon_expirer"),
    ),
    Mutant(
        "a long pass leaves the host time for its other work",
        "objstore/daemon/runner.py",
        "max(pace.interval, pace.rest * duration)",
        "pace.interval",
        _unit("daemon/test_daemon_runner"),
    ),
    # Conditions
    Mutant(
        "a weak tag never matches strongly",
        "objstore/web/conditions.py",
        "tag == etag and not (weak and strong)",
        "tag == etag",
        _unit("web/test_web_conditions"),
    ),
    Mutant(
        "an HTTP date is never before the change that it dates",
        "objstore/core/timestamps.py",
        "return -(-self.raw // TICKS)",
        "return self.raw // TICKS",
        _unit("core/test_core_timestamps", "web/test_web_conditions"),
    ),
    # Access
    Mutant(
        "a token expires",
        "objstore/auth/tokens.py",
        "return known[1] if self._now() < known[0] else None",
        "return known[1]",
        _unit("auth/test_auth_tokens"),
    ),
    Mutant(
        "a token ends with its user's key",
        "objstore/auth/tokens.py",
        "if login is None or not hmac.compare_digest(fingerprint, self._fingerprint(login.user)):",
        "if login is None:",
        _unit("auth/test_auth_tokens"),
    ),
    Mutant(
        "a token is signed",
        "objstore/auth/tokens.py",
        "or not hmac.compare_digest(signature, self._sign(content))",
        "",
        _unit("auth/test_auth_tokens"),
    ),
    Mutant(
        "a policy's Deny binds the owner, but for what lets it change the policy",
        "objstore/access/decision.py",
        "if question.action not in OWNERS_ALWAYS:\n            return DENIED_BY_POLICY",
        "if question.action not in OWNERS_ALWAYS and not owns:\n            return DENIED_BY_POLICY",
        _unit("access/test_access_decision"),
    ),
    Mutant(
        "an owner passes unseen only if nothing binds owners",
        "objstore/access/decision.py",
        "return not has_policy and not (has_grants",
        "return not (has_grants",
        _unit("access/test_access_decision"),
    ),
    Mutant(
        "a policy's Deny binds what comes with an action",
        "objstore/access/decision.py",
        'if any(_verdict(question, action, facts, bucket) == "deny" for action in question.further):',
        "if False:",
        _unit("access/test_access_decision"),
    ),
    Mutant(
        "a public access block makes lists of Swift count for nothing that let in everyone",
        "objstore/access/bucket.py",
        "return without_public(text) if self.block.ignore_acls else text",
        "return text",
        _unit("access/test_access_decision"),
    ),
    Mutant(
        "an identity system decides over its own accounts alone",
        "objstore/access/decision.py",
        "if realm is not None and not realm.covers(account):",
        "if realm is None:",
        _unit("access/test_access_decision"),
    ),
    Mutant(
        "who owns an account that needs a group has the group",
        "objstore/auth/prefixes.py",
        'if self._group_for(account) in ("", *groups)',
        "",
        _unit("auth/test_auth_users"),
    ),
    Mutant(
        "trailers that were not announced are refused",
        "objstore/s3/request/aws_chunked.py",
        "if match is None or not self._framing.trailer or",
        "if match is None or",
        _unit("s3/test_s3_body"),
    ),
)


def misplaced(root: Path) -> list[str]:
    """What of the list is not in the tree: texts that are not in their file exactly once, tests that are not there."""
    findings = []
    for mutant in MUTANTS:
        path = root / mutant.file
        count = path.read_text().count(mutant.code) if path.exists() else 0
        if count != 1:
            findings.append(f"{mutant.rule}: {mutant.file} has its code {count} times: {mutant.code!r}")
        findings += [f"{mutant.rule}: no {test}" for test in mutant.tests if not (root / "test" / test).exists()]
    return findings
