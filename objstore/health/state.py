"""The state of a store from the reports of its hosts: devices, duties, progress, problems. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from objstore.health.copies import REPLICATORS, Copies, judge_copies
from objstore.health.hosts import HostReport
from objstore.ring import Ring

LOST = ("not there", "not mounted", "taken out")
FULL = 0.9  # of a device, used
_LACKS_PART = 0.05
_LACKS_DEVIATIONS = 5.0  # of a number of partitions that are not empty by chance
COMPACTOR = "object-compactor"
AUDITORS = ("account-auditor", "container-auditor", "object-auditor")


class DeviceState(NamedTuple):
    """A disk. state: `ok`, or why it cannot be used, or `not in rings`; why: it was taken out, or fails.

    Sizes in bytes, None if unknown.

    partitions: number stored on it; wanted: number that rings assign to it; expected: estimated number of these that
    are not empty, judged by the other devices; 0 if unknown. handoffs: partitions on it that move to other devices.
    file_system: its number on the host, 0 if unknown: several devices may be directories of the same one. replicated,
    audited: end of the last complete pass of the slowest duty (seconds since the epoch); None if there was none yet.
    volumes: number of volumes of small objects; packed_live, packed_dead: bytes in them, as the compactor last counted.
    """

    host: str
    name: str
    state: str
    why: str
    draining: bool
    size: int | None
    used: int | None
    quarantined: int
    spooled: int
    partitions: int
    wanted: int
    expected: int
    handoffs: int
    file_system: int
    replicated: float | None
    audited: float | None
    inodes: int = 0
    inodes_avail: int = 0
    volumes: int = 0
    packed_live: int = 0
    packed_dead: int = 0

    @property
    def inodes_used(self) -> float:
        """Share of the inodes in use, 0 if the file system has no fixed number of them."""
        return 1 - self.inodes_avail / self.inodes if self.inodes else 0.0

    @property
    def fullness(self) -> float | None:
        return self.used / self.size if self.size and self.used is not None else None

    @property
    def is_lost(self) -> bool:
        """Return whether its peers restore its copies on other devices. They wait for the devices of a host that is
        away."""
        return self.state in LOST

    @property
    def lacks(self) -> int:
        """Return the number of partitions it lacks; 0 if the number is too small to be significant."""
        lacking = self.expected - self.partitions
        plain = max(self.expected * _LACKS_PART, _LACKS_DEVIATIONS * self.expected**0.5)
        has_room = (self.fullness or 0.0) < FULL
        return lacking if self.state == "ok" and has_room and lacking > plain else 0


class DutyState(NamedTuple):
    """A daemon on all its hosts. dead: hosts on which it no longer runs; ended, seconds: of the oldest last complete
    pass; failures: units that failed in the last passes."""

    name: str
    hosts: int
    dead: tuple[str, ...]
    running: int
    ended: float | None
    seconds: float
    failures: int


class Progress(NamedTuple):
    """Work in progress. left: units of `total` still to do; eta: seconds, None if it cannot be estimated."""

    what: str
    total: int
    left: int
    eta: float | None


class RingState(NamedTuple):
    """A ring on all hosts. versions: hosts by version and digest; ours: version in our own directory, `digest` its MD5
    (empty if unknown)."""

    name: str
    ours: int
    digest: str
    versions: Mapping[str, tuple[str, ...]]

    @property
    def here(self) -> str:
        return shown_version(self.ours, self.digest)


def shown_version(version: int | None, digest: str) -> str:
    return f"{version} ({digest[:8]})"


class ClusterState(NamedTuple):
    at: float
    hosts: Sequence[HostReport]
    devices: Sequence[DeviceState]
    duties: Sequence[DutyState]
    progress: Sequence[Progress]
    rings: Sequence[RingState]
    copies: Copies


def judge(
    reports: Sequence[HostReport],
    rings: Sequence[tuple[str, Ring]],
    now: float,
    digests: Mapping[str, str] | None = None,
) -> ClusterState:
    """Judge the reports of hosts. now: seconds since the epoch. digests: MD5 of our rings, by name, in hex."""
    devices = list(_devices(reports, rings))
    return ClusterState(
        now,
        reports,
        devices,
        list(_duties(reports)),
        list(_progress(reports, devices, now)),
        [_ring_state(name, ring, (digests or {}).get(name, ""), reports) for name, ring in rings],
        judge_copies(reports, rings),
    )


def estimate(began: float, now: float, total: int, left: int) -> float | None:
    """Return the seconds until the rest is done at the pace so far; None if nothing has been done yet."""
    done = total - left
    if not left:
        return 0.0
    return (now - began) * left / done if done > 0 and now > began else None


class _Assigned(NamedTuple):
    """The assignment of one device in the rings. wanted: partitions by kind; weights: of its entries in the rings."""

    wanted: Mapping[str, int]
    weights: tuple[float, ...]


def _assigned(rings: Iterable[tuple[str, Ring]]) -> dict[tuple[str, str], _Assigned]:
    """Return the assignments by host and device."""
    found: dict[tuple[str, str], _Assigned] = {}
    for name, ring in rings:
        kind = name.partition("-")[0]
        held = Counter(node.id for part in range(ring.partition_count) for node in ring.primaries(part))
        for node in filter(None, ring.devices):
            before = found.get((node.ip, node.device), _Assigned({}, ()))
            wanted = {**before.wanted, kind: before.wanted.get(kind, 0) + held[node.id]}
            found[node.ip, node.device] = _Assigned(wanted, (*before.weights, node.weight))
    return found


def _devices(reports: Sequence[HostReport], rings: Sequence[tuple[str, Ring]]) -> Iterator[DeviceState]:
    assigned = _assigned(rings)
    by_ip = {report.ip: report for report in reports}
    reported = {(report.ip, name) for report in reports if report.summary for name in report.summary["devices"]}
    shares = _shares(reports, assigned)
    for host, name in sorted(assigned.keys() | reported):
        yield _device(by_ip.get(host), host, name, assigned.get((host, name)), shares)


def _shares(reports: Iterable[HostReport], assigned: Mapping[tuple[str, str], _Assigned]) -> Mapping[str, float]:
    """Return by kind the share of partitions that are not empty, judged by the devices that lack few."""
    parts: dict[str, list[float]] = {kind: [] for kind in REPLICATORS}
    for report in reports:
        for name, found in (report.summary or {}).get("devices", {}).items():
            wanted = assigned[report.ip, name].wanted if (report.ip, name) in assigned else {}
            for kind, duty in REPLICATORS.items():
                if wanted.get(kind):
                    reported = _of_device(report.summary["daemons"], duty, name)  # type: ignore[index]
                    own = _partitions(found, kind, reported) - reported.get("handoffs_left", 0)
                    parts[kind].append(min(1.0, max(0.0, own / wanted[kind])))
    most = {kind: [part for part in found if part > max(found) / 2] for kind, found in parts.items()}
    return {kind: sum(found) / len(found) if found else 0.0 for kind, found in most.items()}


def _partitions(found: Mapping[str, Any], kind: str, reported: Mapping[str, Any]) -> int:
    """Return the number of partitions of a kind, in all policies, on a device. reported: by its replicator, which also
    counts those whose objects are all packed."""
    counts = found.get("partitions", {})
    directories: int = sum(number for name, number in counts.items() if name.partition("-")[0] == f"{kind}s")
    return max(directories, int(reported.get("partitions", 0)))


def _device(
    report: HostReport | None, host: str, name: str, assigned: _Assigned | None, shares: Mapping[str, float]
) -> DeviceState:
    summary = report.summary if report is not None else None
    found = summary["devices"].get(name) if summary else None
    found = found or {}
    states = summary["daemons"] if summary else {}
    packed = _of_device(states, COMPACTOR, name)
    return DeviceState(
        host=host,
        name=name,
        state=_device_state(summary, name, found, assigned),
        why=found.get("out") or found.get("error") or "",
        draining=assigned is not None and not any(assigned.weights),
        size=found.get("size"),
        used=found.get("used"),
        inodes=found.get("inodes") or 0,
        inodes_avail=found.get("inodes_avail") or 0,
        quarantined=sum(found.get("quarantined", {}).values()),
        spooled=found.get("async_pending", 0),
        partitions=sum(_partitions(found, kind, _of_device(states, duty, name)) for kind, duty in REPLICATORS.items()),
        wanted=sum(assigned.wanted.values()) if assigned else 0,
        expected=round(sum(shares[kind] * wanted for kind, wanted in assigned.wanted.items())) if assigned else 0,
        handoffs=sum(_of_device(states, duty, name).get("handoffs_left", 0) for duty in REPLICATORS.values()),
        file_system=found.get("file_system", 0),
        replicated=_oldest(_of_device(states, duty, name).get("last_pass") for duty in REPLICATORS.values()),
        audited=_oldest(_of_device(states, duty, name).get("full", {}).get("last_ended") for duty in AUDITORS),
        volumes=packed.get("volumes", 0),
        packed_live=packed.get("live_bytes", 0),
        packed_dead=packed.get("dead_bytes", 0),
    )


def _answers(summary: Mapping[str, Any], name: str) -> bool:
    """Return whether the device passed its last write/read check."""
    audited = ((summary.get("driveaudit") or {}).get("devices") or {}).get(name)
    return audited is not None and not audited.get("failed")


def _device_state(
    summary: Mapping[str, object] | None, name: str, found: Mapping[str, object], assigned: _Assigned | None
) -> str:
    if summary is None:
        return "host away"
    if not found:
        return "not there"
    if found.get("out") is not None:
        return "taken out"
    if not found["mounted"]:
        return "not mounted"
    if found.get("error"):
        return "fails"
    if found.get("late"):
        return "slow" if _answers(summary, name) else "silent"
    if found.get("read_only"):
        return "read-only"
    return "ok" if assigned is not None else "not in rings"


def _of_device(states: Mapping[str, Any], duty: str, device: str) -> Mapping[str, Any]:
    """Return a daemon's report of one device."""
    reported: Mapping[str, object] = states.get(duty, {}).get("told", {}).get("devices", {}).get(device, {})
    return reported


def _oldest(times: Iterable[float | None]) -> float | None:
    """Return the oldest; None if one of them is missing."""
    known = list(times)
    return min((time for time in known if time), default=None) if all(known) else None


def _duties(reports: Sequence[HostReport]) -> Iterator[DutyState]:
    states: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for report in reports:
        for name, state in (report.summary or {}).get("daemons", {}).items():
            states.setdefault(name, []).append((report.ip, state))
    for name, found in sorted(states.items()):
        last = [state["last"] for _, state in found]
        complete = [report for report in last if report]
        yield DutyState(
            name,
            len(found),
            tuple(host for host, state in found if not state.get("alive", True)),
            sum(state["pass"] is not None for _, state in found),
            min(report["ended"] for report in complete) if len(complete) == len(last) else None,
            max((report["seconds"] for report in complete), default=0.0),
            sum(report["failures"] for report in complete),
        )


def _progress(reports: Sequence[HostReport], devices: Sequence[DeviceState], now: float) -> Iterator[Progress]:
    """Return the progress of copies being restored, of replication passes, and of partitions moving to their
    primaries."""
    lost = [device for device in devices if device.is_lost]
    waits = bool(lost) or any(report.summary is None for report in reports)
    passes: list[Progress] = []
    for kind, duty in REPLICATORS.items():
        states = [report.summary["daemons"].get(duty) for report in reports if report.summary]
        passes += _replication(kind, [state for state in states if state], now, waits)
    eta = max((one.eta for one in passes if one.eta is not None), default=None)
    if lost:
        total = sum(device.expected for device in lost)
        standing = sum(max(device.handoffs, device.partitions - device.wanted) for device in devices)
        yield Progress("copies of lost devices", total, max(0, total - standing), eta)
    lacking = [device for device in devices if device.lacks]
    if lacking:
        total = sum(device.expected for device in lacking)
        yield Progress("filling devices that lack partitions", total, sum(device.lacks for device in lacking), eta)
    yield from passes


def _replication(kind: str, states: Sequence[Mapping[str, Any]], now: float, waits: bool) -> Iterator[Progress]:
    """Yield the progress of replication. waits: devices are away, so that partitions may have to wait for theirs."""
    total = left = handoffs = handoffs_left = 0
    etas: list[float | None] = []
    moving: list[float | None] = []
    for state in states:
        devices = state["told"].get("devices", {}).values()
        away = sum(device.get("handoffs_left", 0) for device in devices)
        handoffs_left += away
        handoffs += max(away, sum(device.get("handoffs", 0) for device in devices))
        if state["pass"] is None:
            if away:
                moving.append(None)
            continue
        began = state["pass"]["began"]
        of_pass = sum(device.get("partitions", 0) for device in devices)
        rest = of_pass - sum(device.get("partitions_done", 0) for device in devices)
        total += of_pass
        left += rest
        etas.append(estimate(began, now, of_pass, rest))
        if away:
            moving.append(estimate(began, now, sum(device.get("handoffs", 0) for device in devices), away))
    if left:
        yield Progress(f"{kind} replication, current pass", total, left, _longest(etas))
    if handoffs_left and waits:
        yield Progress(f"{kind} partitions on handoffs or moving back", handoffs_left, handoffs_left, None)
    elif handoffs_left:
        yield Progress(f"{kind} partitions moving to their primaries", handoffs, handoffs_left, _longest(moving))


def _longest(etas: Iterable[float | None]) -> float | None:
    known = list(etas)
    return max((eta for eta in known if eta is not None), default=None) if None not in known else None


def _ring_state(name: str, ring: Ring, digest: str, reports: Sequence[HostReport]) -> RingState:
    versions: dict[str, tuple[str, ...]] = {}
    for report in reports:
        if report.summary is not None:
            reported = report.summary["rings"].get(name)
            version = "missing" if reported is None else shown_version(reported["version"], reported["md5"])
            versions[version] = (*versions.get(version, ()), report.ip)
    return RingState(name, ring.version, digest, versions)
