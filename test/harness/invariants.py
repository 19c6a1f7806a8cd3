"""What must hold of a cluster that was hurt, mended and left alone for a while: `check_cluster`.

    places       nothing is left on a device that is not its primary, spools are empty
    copies       all primaries of a name hold the same changes; all replicas of a database the same rows
    listings     containers list what is there, accounts their containers, totals are exact
    content      what was acknowledged is read, whole, from each primary; all files and volumes match their checksums
    quarantine   holds only what the test damaged

Each finding is a sentence that says what is wrong, and where.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from harness.cluster import Cluster
from harness.ledger import ABSENT, Ledger, content
from harness.processes import find
from harness.survey import Database, Disk, Survey
from objstore.core.manifests import MANIFEST
from objstore.core.names import Name
from objstore.core.policies import ring_name
from objstore.core.versions import UNLISTED
from objstore.store.interface import ObjectInfo
from objstore.store.objects.describe import describe_file
from objstore.store.packed.describe import describe_volume
from objstore.wire.rows import OVERRIDE

SECONDS = 120.0  # for all to settle; most of it is for busy machines
_PAUSE = 0.3
_TELL = 10.0  # seconds between words on what is still wrong
_SHOWN = 25


Findings = Callable[[], list[str]]


def check_cluster(
    cluster: Cluster,
    *ledgers: Ledger,
    seed: object = None,
    seconds: float = SECONDS,
    also: Iterable[Findings] = (),
    told: Callable[[str], None] = lambda line: None,
) -> None:
    """Wait until all of it holds; fails the test with what does not, and the seed, after `seconds`.

    All servers must run. What a test damages it has put into `cluster.damaged`. also: more to be asked, in the end.
    told: called with what is still wrong, every ten seconds.
    """
    started = time.monotonic()
    tell_at = _TELL
    while True:
        found = _asked(lambda: findings(cluster, ledgers)) or [one for more in also for one in _asked(more)]
        spent = time.monotonic() - started
        if found and spent > tell_at:
            tell_at = spent + _TELL
            told(f"{len(found)} findings after {spent:.0f} s, as {found[0]}")
        if not found:
            return
        if spent > seconds:
            told = "\n".join(f"  {finding}" for finding in found[:_SHOWN])
            more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            seeded = "" if seed is None else f", seed {seed}"
            raise AssertionError(f"{len(found)} findings {spent:.0f} s after mending{seeded}:\n{told}{more}")
        time.sleep(_PAUSE)


def _asked(what: Findings) -> list[str]:
    """Findings. That one of the questions failed is a finding, too: it is asked again."""
    try:
        return what()
    except (OSError, http.client.HTTPException, AssertionError) as error:
        return [f"the cluster could not be asked: {error!r}"]


def findings(cluster: Cluster, ledgers: tuple[Ledger, ...] = ()) -> list[str]:
    """What is wrong now. What takes long to look at is looked at once the rest is right."""
    survey = Survey(cluster)
    found = [*_waiting(cluster), *_quarantined(cluster)]
    live: dict[int, dict[Name, dict[str, Any]]] = {}
    for policy in survey.policies:
        objects = _Objects(survey, policy)
        found += objects.findings()
        live[policy] = objects.live
    databases = {kind: _Databases(survey, kind) for kind in ("container", "account")}
    for one in databases.values():
        found += one.findings()
    found += _unlisted(databases["container"].first, live)
    found += _unreported(databases["account"].first, databases["container"].first)
    if not found:
        account = cluster.client().account
        for ledger in ledgers:
            found += _Reader(cluster, survey, Name(account, ledger.container)).findings(ledger)
    return found or list(_unsound(cluster, survey))


def _waiting(cluster: Cluster) -> list[str]:
    return [f"an update waits in a spool: {path.relative_to(cluster.directory)}" for path in cluster.spooled()]


def _quarantined(cluster: Cluster) -> list[str]:
    paths = [path for path in cluster.quarantined() if path.name[:32] not in cluster.damaged]
    return [f"quarantined, and nobody knows why: {path.relative_to(cluster.directory)}" for path in paths]


class _Objects:
    """Of one policy. live: by container, the newest of what is there of each object."""

    def __init__(self, survey: Survey, policy: int) -> None:
        self._survey = survey
        self._policy = policy
        self.live: dict[Name, dict[str, Any]] = {}

    def findings(self) -> list[str]:
        found = []
        for (partition, name_hash), holders in self._survey.objects(self._policy).items():
            primaries = self._survey.primaries(ring_name(self._policy), partition)
            wrong = list(_misplaced(primaries, holders))
            files = {disk: holders[disk].files if disk in holders else () for disk in primaries}
            if len(set(files.values())) > 1:
                wrong.append("copies differ: " + "; ".join(f"{disk} {list(names)}" for disk, names in files.items()))
            infos = {disk: held.info for disk, held in holders.items()}
            wrong += [f"on {disk}: {info}" for disk, info in infos.items() if isinstance(info, str)]
            readable = [info for info in infos.values() if isinstance(info, ObjectInfo)]
            good = max(readable, key=lambda info: info.data_timestamp, default=None)
            named = f"object {name_hash}"
            if good is not None:
                name = Name.parse(good.name)
                named = f"object {good.name} ({name_hash})"
                if good.metadata.get(UNLISTED) != "true":
                    self.live.setdefault(name.of_container, {})[str(name.object)] = good
            found += [f"{named}: {text}" for text in wrong]
        return found


class _Databases:
    """Of one kind. first: by name, what the first primary's says."""

    def __init__(self, survey: Survey, kind: str) -> None:
        self._survey = survey
        self._kind = kind
        self.first: dict[Name, Database] = {}

    def findings(self) -> list[str]:
        found = []
        for (partition, name_hash), holders in self._survey.databases(self._kind).items():
            primaries = self._survey.primaries(self._kind, partition)
            readable = {disk: one for disk, one in holders.items() if isinstance(one, Database)}
            first = next((readable[disk] for disk in primaries if disk in readable), None)
            path = first.info["name"].path if first else name_hash
            if first:
                self.first[first.info["name"]] = first
            wrong = list(_misplaced(primaries, holders))
            wrong += [f"on {disk}: {one}" for disk, one in holders.items() if isinstance(one, str)]
            wrong += [f"there is none on {disk}" for disk in primaries if disk not in holders]
            wrong += _differences({disk: one for disk, one in readable.items() if disk in primaries})
            for disk, one in readable.items():
                wrong += [f"on {disk}: {text}" for text in _miscounted(self._kind, one)]
            found += [f"{self._kind} {path}: {text}" for text in wrong]
        return found


def _misplaced(primaries: list[Disk], holders: Any) -> Iterator[str]:
    for disk in sorted(set(holders) - set(primaries)):
        yield f"left on {disk}, which is none of its primaries ({', '.join(map(str, primaries))})"


def _differences(replicas: dict[Disk, Database]) -> list[str]:
    """What replicas of one database disagree on."""
    if len({one.hash for one in replicas.values()}) <= 1:
        return []
    found = []
    if len({one.said for one in replicas.values()}) > 1:
        found.append(
            "replicas differ in their status: " + "; ".join(f"{disk} {one.info}" for disk, one in replicas.items())
        )
    for key in sorted(set().union(*(one.rows for one in replicas.values()))):
        said = {disk: one.rows.get(key) for disk, one in replicas.items()}
        if len(set(said.values())) > 1:
            found.append(f"replicas differ in the row {key[0]}: " + "; ".join(f"{d} {row}" for d, row in said.items()))
    return found[:3] + ([f"and {len(found) - 3} rows more"] if len(found) > 3 else [])


def _miscounted(kind: str, database: Database) -> Iterator[str]:
    """Totals that are not those of the rows."""
    info, rows = database.info, database.live.values()
    if kind == "container":
        counted = {"object_count": len(rows), "bytes_used": sum(row[2] for row in rows)}
    else:
        counted = {
            "container_count": len(rows),
            "object_count": sum(row[3] for row in rows),
            "bytes_used": sum(row[4] for row in rows),
        }
    for key, number in counted.items():
        if info[key] != number:
            yield f"{key} is {info[key]}, its rows say {number}"


def _is_hidden(name: Name) -> bool:
    """Names of the system's own, whose rows need not be objects."""
    return name.account.startswith((".", "\x00"))


def _unlisted(containers: dict[Name, Database], live: dict[int, dict[Name, dict[str, Any]]]) -> Iterator[str]:
    """Where a container and the objects in it disagree."""
    known = {name for objects in live.values() for name in objects}
    for name in sorted({*containers, *known}):
        if _is_hidden(name):
            continue
        database = containers.get(name)
        policy = database.info["policy_index"] if database else 0
        objects = live.get(policy, {}).get(name, {})
        rows = database.live if database else {}
        for key in sorted(objects.keys() - rows.keys()):
            yield f"container {name.path}: does not list {key}, which is there since {objects[key].timestamp.internal}"
        for key in sorted(rows.keys() - objects.keys()):
            yield f"container {name.path}: lists {key}, which is not there: {rows[key]}"
        for key in objects.keys() & rows.keys():
            info, row = objects[key], rows[key]
            if info.data_timestamp.internal != row[1]:
                yield f"container {name.path}: lists {key} of {row[1]}, there is one of {info.data_timestamp.internal}"
                continue
            size, etag = (info.metadata.get(f"{OVERRIDE}{what}") for what in ("Size", "Etag"))
            told = int(info.size if size is None else size), info.etag if etag is None else etag
            if MANIFEST not in info.metadata and told != (row[2], row[3]):
                yield f"container {name.path}: lists {key} as {row[2:4]}, it is {told}"


def _unreported(accounts: dict[Name, Database], containers: dict[Name, Database]) -> Iterator[str]:
    """Where an account and its containers disagree."""
    for name, database in sorted(accounts.items()):
        if _is_hidden(name):
            continue
        rows = database.live
        there = {
            str(one.container): containers[one]
            for one in containers
            if one.of_account == name and not containers[one].info["deleted"]
        }
        for key in sorted(there.keys() - rows.keys()):
            yield f"account {name.path}: does not list {key}"
        for key in sorted(rows.keys() - there.keys()):
            yield f"account {name.path}: lists {key}, which is not there"
        for key in sorted(rows.keys() & there.keys()):
            info = there[key].info
            counted = info["object_count"], info["bytes_used"] - info["bytes_elsewhere"]
            if counted != (rows[key][3], rows[key][4]):
                yield f"account {name.path}: {key} is told as {rows[key][3:5]}, it is {counted}"


class _Reader:
    """Asks each primary of a container and of the objects in it."""

    def __init__(self, cluster: Cluster, survey: Survey, container: Name) -> None:
        self._cluster = cluster
        self._survey = survey
        self._container = container
        self._connections: dict[tuple[str, int], http.client.HTTPConnection] = {}

    def findings(self, ledger: Ledger) -> list[str]:
        try:
            truth, found = self._objects(ledger)
            return found + list(self._listings(truth))
        finally:
            for connection in self._connections.values():
                connection.close()

    def _objects(self, ledger: Ledger) -> tuple[dict[str, tuple[int, str]], list[str]]:
        """Size and etag of what is there, and what is wrong with it."""
        truth: dict[str, tuple[int, str]] = {}
        found = []
        for key, versions in sorted(ledger.possible.items()):
            name = self._container._replace(object=key)
            read = {disk: self._ask("object", disk, name) for disk in self._primaries("object", name)}
            bodies = {None if status == 404 else body for status, body, _ in read.values()}
            statuses = {disk: (answer[0], len(answer[1])) for disk, answer in read.items()}
            if {status for status, _, _ in read.values()} - {200, 404}:
                found.append(f"{name.path}: cannot be read: {_told(statuses)}")
            elif len(bodies) > 1:
                found.append(f"{name.path}: primaries give different answers: {_told(statuses)}")
            else:
                (body,) = bodies
                if body is not None:
                    truth[key] = len(body), hashlib.md5(body).hexdigest()
                if not any(body == (None if v is ABSENT else content(key, v)) for v in versions):
                    found.append(f"{name.path}: none of the versions {versions} that it may be: {_told(statuses)}")
        return truth, found

    def _listings(self, truth: dict[str, tuple[int, str]]) -> Iterator[str]:
        path = self._container.path
        for disk in self._primaries("container", self._container):
            listed: dict[str, tuple[int, str]] = {}
            marker = ""
            while True:
                status, body, headers = self._ask("container", disk, self._container, format="json", marker=marker)
                if status != 200 or not (rows := json.loads(body)):
                    break
                listed |= {row["name"]: (row["bytes"], row["hash"]) for row in rows}
                marker = rows[-1]["name"]
            if listed != truth:
                names = sorted(key for key in {*listed, *truth} if listed.get(key) != truth.get(key))
                yield f"container {path}: {disk} lists wrongly ({status}): {names[:5]}"
            said = headers.get("X-Container-Object-Count"), headers.get("X-Container-Bytes-Used")
            if said != (str(len(truth)), str(sum(size for size, _ in truth.values()))):
                yield f"container {path}: {disk} says it has {said}, it has {len(truth)} objects"

    def _primaries(self, kind: str, name: Name) -> list[Disk]:
        ring = ring_name(0) if kind == "object" else kind
        return self._survey.primaries(ring, self._survey.rings[ring].partition(self._survey.salt.hash(name)))

    def _ask(self, kind: str, disk: Disk, name: Name, **query: str) -> tuple[int, bytes, Any]:
        ring = self._survey.rings[ring_name(0) if kind == "object" else kind]
        partition = ring.partition(self._survey.salt.hash(name))
        target = f"/{disk.device}/{partition}{quote(name.path)}" + (f"?{urlencode(query)}" if query else "")
        address = self._cluster.servers[kind, disk.host].address
        connection = self._connections.get(address)
        if connection is None:
            connection = self._connections[address] = http.client.HTTPConnection(*address, timeout=10)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return 0, repr(error).encode(), {}


def _told(facts: dict[Disk, tuple[int, int]]) -> str:
    return ", ".join(f"{disk} {status}, {size} bytes" for disk, (status, size) in facts.items())


def _unsound(cluster: Cluster, survey: Survey) -> Iterator[str]:
    """Files that do not match their checksums. Those found right before are not read again."""
    for _, root in survey.disks:
        for path in find(root, "objects*/*/*/*/*.*"):
            try:
                status = path.stat()
                key = str(path), status.st_ino, status.st_ctime_ns
                if key in cluster.sound:
                    continue
                facts = describe_file(str(path))
            except FileNotFoundError:
                continue  # replaced meanwhile
            if facts["sound"]:
                cluster.sound.add(key)
            else:
                yield f"{path.relative_to(cluster.directory)}: {'; '.join(facts['problems'])}"
        for path in find(root, "packed*/volumes/*.volume"):
            with contextlib.suppress(FileNotFoundError):  # compacted meanwhile
                problems = describe_volume(str(path))["problems"]
                if problems:
                    yield f"{path.relative_to(cluster.directory)}: {'; '.join(problems)}"
