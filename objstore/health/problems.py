"""The problems of a store, from its state: one rule per function, one line per finding. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from objstore.health.state import FULL, ClusterState

CRITICAL = "critical"  # data or clients are at risk
WARNING = "warning"  # action required
UNDER_WAY = "under way"  # some copies are not in place; replicators move them
NOTE = "note"  # worth knowing, no action required
SEVERITIES = (CRITICAL, WARNING, UNDER_WAY, NOTE)

MUCH_FULLER = 0.1  # than the average of all
MAX_OFFSET = 1.0  # seconds between clocks
LATE_PASS = 86_400.0  # seconds after which a replicator's pass over a device is overdue
MANY_SPOOLED = 1000


class Problem(NamedTuple):
    """A problem. where: a host, device, ring or daemon."""

    severity: str
    where: str
    what: str


def problems(state: ClusterState, reclaim_age: float) -> list[Problem]:
    """Return all problems, the worst first. reclaim_age: in seconds; see doc/replication.md."""
    found = [problem for rule in _RULES for problem in rule(state, reclaim_age)]
    return sorted(found, key=lambda problem: SEVERITIES.index(problem.severity))


def _silent_servers(state: ClusterState, _: float) -> Iterator[Problem]:
    for host in state.hosts:
        if host.summary is None:
            why = next(iter(host.silent.values()), "")
            yield Problem(CRITICAL, host.ip, f"no server answers: {why}")
            continue
        for server, why in host.silent.items():
            yield Problem(CRITICAL, host.ip, f"{server} does not answer: {why}")


_AGAIN = "; its copies are being restored on other devices"
_DEVICE_STATES = {
    "not there": (CRITICAL, f"is missing{_AGAIN}"),
    "not mounted": (CRITICAL, f"is not mounted{_AGAIN}"),
    "silent": (CRITICAL, "does not answer"),
    "slow": (WARNING, "is slow: counting its contents takes too long, but its write/read check succeeds"),
    "read-only": (CRITICAL, "is read-only, as a file system is after an error of its disk; see the kernel's log"),
}


def _devices(state: ClusterState, reclaim_age: float) -> Iterator[Problem]:
    for device in state.devices:
        where = f"{device.host}/{device.name}"
        if device.state in _DEVICE_STATES:
            severity, what = _DEVICE_STATES[device.state]
            yield Problem(severity, where, what)
        if device.state == "fails":
            yield Problem(CRITICAL, where, f"cannot be read: {device.why}; see the kernel's log")
        if device.state == "taken out":
            yield Problem(WARNING, where, f"was taken out: {device.why}{_AGAIN}")
        if device.state == "not in rings" and device.partitions:
            yield Problem(WARNING, where, f"is not in any ring, but holds {device.partitions} partitions")
        if device.quarantined:
            yield Problem(WARNING, where, f"{device.quarantined} damaged objects or databases in quarantine")
        if device.spooled > MANY_SPOOLED:
            yield Problem(WARNING, where, f"{device.spooled} container updates are waiting")
        elif device.spooled:
            yield Problem(NOTE, where, f"{device.spooled} container updates are waiting")
        if device.lacks and not device.draining:
            held = f"{device.partitions} of about {device.expected} partitions are present"
            yield Problem(UNDER_WAY, where, f"is being filled: {held}")
        if device.draining:
            left = f"is being drained: {device.handoffs or device.partitions} partitions left"
            empty = "is drained: it is empty, and `objstore ring remove` can remove it"
            is_empty = not device.partitions and device.state == "ok"
            yield Problem(NOTE if is_empty else UNDER_WAY, where, empty if is_empty else left)


def _copies(state: ClusterState, _: float) -> Iterator[Problem]:
    """Yield one line for each reason: after a restart or a change of rings a reason concerns nearly all devices."""
    reasons: dict[str, list[str]] = {}
    for gap in state.copies.lacking:
        reasons.setdefault(f"may lack copies: it {gap.why}", []).append("/".join(gap.disk))
    draining = {(device.host, device.name) for device in state.devices if device.draining}
    for gap in state.copies.unfinished:
        if gap.disk not in draining:
            reasons.setdefault(gap.why, []).append("/".join(gap.disk))
    for why, disks in reasons.items():
        yield Problem(UNDER_WAY, _some(tuple(disks)), why)
    for name in state.copies.moving:
        yield Problem(UNDER_WAY, f"{name}.ring", "copies are still moving to where this ring places them")
    home: dict[str, int] = {}
    for device in state.devices:
        if device.handoffs and not device.draining:
            home[f"{device.host}/{device.name}"] = device.handoffs
    if home:
        what = f"{sum(home.values())} partitions are moving to other devices"
        yield Problem(UNDER_WAY, _some(tuple(home)), what)


def _full_devices(state: ClusterState, _: float) -> Iterator[Problem]:
    used = [(device, device.fullness) for device in state.devices]
    known = [(device, fullness) for device, fullness in used if fullness is not None]
    total = sum(device.size or 0 for device, _ in known)
    average = sum(device.used or 0 for device, _ in known) / total if total else 0.0
    for device in state.devices:
        if device.inodes_used > FULL:
            what = (
                f"has {100 * device.inodes_used:.0f}% of its inodes in use; writes that it refuses go to other devices"
            )
            yield Problem(WARNING, f"{device.host}/{device.name}", what)
    for device, fullness in known:
        where = f"{device.host}/{device.name}"
        if fullness > FULL:
            yield Problem(WARNING, where, f"is {100 * fullness:.0f}% full; writes that it refuses go to other devices")
        elif fullness > average + MUCH_FULLER:
            yield Problem(NOTE, where, f"is {100 * fullness:.0f}% full, the average is {100 * average:.0f}%")


def _overdue_passes(state: ClusterState, reclaim_age: float) -> Iterator[Problem]:
    for device in state.devices:
        if device.state != "ok" or device.replicated is None:
            continue
        age = state.at - device.replicated
        where = f"{device.host}/{device.name}"
        if age > reclaim_age / 2:
            yield Problem(CRITICAL, where, f"replicated {age / 86400:.1f} days ago: deleted objects may reappear")
        elif age > LATE_PASS:
            yield Problem(WARNING, where, f"replicated {age / 3600:.0f} hours ago")


def _rings(state: ClusterState, _: float) -> Iterator[Problem]:
    for ring in state.rings:
        if len(ring.versions) > 1:
            shown = "; ".join(f"{version} on {_some(hosts)}" for version, hosts in sorted(ring.versions.items()))
            yield Problem(CRITICAL, f"{ring.name}.ring", f"hosts have different versions: {shown}")
        elif ring.digest and ring.versions and ring.here not in ring.versions:
            (version,) = ring.versions
            yield Problem(WARNING, f"{ring.name}.ring", f"hosts have version {version}, this host has {ring.here}")


def _mistaken_rings(state: ClusterState, _: float) -> Iterator[Problem]:
    """Find equal rings of two kinds of servers: they are never the same, as their ports differ."""
    for host in state.hosts:
        kinds: dict[str, str] = {}
        for name, ring in sorted((host.summary or {}).get("rings", {}).items()):
            other = kinds.setdefault(ring["md5"], name)
            if other.partition("-")[0] != name.partition("-")[0]:
                yield Problem(CRITICAL, f"{name}.ring", f"is the same file as {other}.ring on {host.ip}")


def _settings(state: ClusterState, _: float) -> Iterator[Problem]:
    for part in ("salt", "policies", "limits", "ages"):
        values = _by_value(state, lambda summary, part=part: str(summary["settings"].get(part)))  # type: ignore[misc]
        if len(values) > 1:
            shown = "; ".join(f"{value} on {_some(hosts)}" for value, hosts in sorted(values.items()))
            yield Problem(CRITICAL, "objstore.conf", f"hosts have different {part} (digests: {shown})")
    for host in state.hosts:
        if host.summary and "error" in host.summary["settings"]:
            yield Problem(CRITICAL, host.ip, str(host.summary["settings"]["error"]))


def _versions(state: ClusterState, _: float) -> Iterator[Problem]:
    values = _by_value(state, lambda summary: str(summary["version"]))
    if len(values) > 1:
        shown = "; ".join(f"{value} on {_some(hosts)}" for value, hosts in sorted(values.items()))
        yield Problem(NOTE, "objstore", f"hosts run different versions: {shown}")


def _clocks(state: ClusterState, _: float) -> Iterator[Problem]:
    known = sorted(host.offset for host in state.hosts if host.offset is not None)
    if not known:
        return
    median = known[len(known) // 2]
    for host in state.hosts:
        if host.offset is not None and abs(host.offset - median) > MAX_OFFSET:
            ahead = host.offset - median
            yield Problem(WARNING, host.ip, f"its clock is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}")


def _duties(state: ClusterState, _: float) -> Iterator[Problem]:
    for duty in state.duties:
        if duty.failures:
            yield Problem(NOTE, duty.name, f"{duty.failures} failures in the last pass; see its log")
    for host in state.hosts:
        dead = [duty.name for duty in state.duties if host.ip in duty.dead]
        if len(dead) > 1 and len(dead) == len((host.summary or {}).get("daemons", {})):
            yield Problem(WARNING, host.ip, "none of its daemons is running")
        elif dead:
            yield Problem(WARNING, host.ip, f"daemons that are not running: {', '.join(dead)}")
        for name, found in (host.summary or {}).get("daemons", {}).items():
            if found.get("broke_off"):
                yield Problem(WARNING, host.ip, f"{name}: the last pass stopped on an error; see its log")


def _drive_audit(state: ClusterState, _: float) -> Iterator[Problem]:
    for host in state.hosts:
        audit = (host.summary or {}).get("driveaudit") or {}
        if audit.get("log_unreadable"):
            yield Problem(NOTE, host.ip, f"the drive audit cannot read the kernel's log: {audit['log_unreadable']}")
        if audit.get("outs_unwritable"):
            yield Problem(WARNING, host.ip, f"the drive audit cannot take a disk out: {audit['outs_unwritable']}")
        for device, found in audit.get("devices", {}).items():
            if found.get("errors"):
                yield Problem(WARNING, f"{host.ip}/{device}", f"{found['errors']} errors in the kernel's log")
            if found.get("failed"):
                yield Problem(WARNING, f"{host.ip}/{device}", f"failed its write/read check: {found['why']}")


class _SearchedCount(NamedTuple):
    """A count of a search that requires attention. done: name of the count of repaired items."""

    duty: str
    what: str
    counted: tuple[str, ...]
    done: str
    page: str


_SEARCHES = (
    _SearchedCount(
        "dark-objects",
        "objects that no container lists",
        ("dark", "without_container", "misplaced"),
        "repaired",
        "auditing",
    ),
    _SearchedCount("dark-objects", "objects that should have expired long ago", ("overdue",), "requeued", "expiry"),
    _SearchedCount("dangling-rows", "listing rows without an object", ("dangling", "unseen"), "repaired", "auditing"),
)


def _disagreements(state: ClusterState, _: float) -> Iterator[Problem]:
    for host in state.hosts:
        daemons = (host.summary or {}).get("daemons", {})
        for search in _SEARCHES:
            for device, tours in daemons.get(search.duty, {}).get("told", {}).get("devices", {}).items():
                counts = tours.get("full", {}).get("last_counts", {})
                number = sum(counts.get(name, 0) for name in search.counted) - counts.get(search.done, 0)
                if number > 0:
                    yield Problem(WARNING, f"{host.ip}/{device}", f"{number} {search.what}; see doc/{search.page}.md")


def _synchronisation(state: ClusterState, _: float) -> Iterator[Problem]:
    for host in state.hosts:
        counts = (host.summary or {}).get("daemons", {}).get("container-sync", {}).get("told", {})
        if number := counts.get("misconfigured", 0):
            text = f"{number} containers should be synchronised with a cluster that is in no realm; see its log"
            yield Problem(WARNING, host.ip, f"container-sync: {text}")
        if number := counts.get("behind", 0):
            yield Problem(NOTE, host.ip, f"container-sync: {number} changes could not be sent yet; see its log")


_RULES: tuple[Callable[[ClusterState, float], Iterator[Problem]], ...] = (
    _silent_servers,
    _devices,
    _copies,
    _full_devices,
    _overdue_passes,
    _rings,
    _mistaken_rings,
    _settings,
    _versions,
    _clocks,
    _duties,
    _drive_audit,
    _disagreements,
    _synchronisation,
)


def _by_value(state: ClusterState, value: Callable[[Mapping[str, object]], str]) -> dict[str, tuple[str, ...]]:
    """Return hosts by their values."""
    found: dict[str, tuple[str, ...]] = {}
    for host in state.hosts:
        if host.summary is not None:
            shown = value(host.summary)
            found[shown] = (*found.get(shown, ()), host.ip)
    return found


def _some(hosts: tuple[str, ...]) -> str:
    return ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")
