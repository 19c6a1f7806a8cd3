"""`objstore dispersion`: measure how complete the copies are, with samples.

`populate` puts containers and small objects into the account `.dispersion`, enough to cover a given share of each
ring's partitions. `report` asks every primary of each sample for its copy.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import click
from rich.console import Console
from rich.progress import track

from objstore.assembly.inside import Inside
from objstore.cli import store_options
from objstore.core.errors import NodeFailure, NotFound, ObjstoreError
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.policies import StoragePolicy, ring_name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ContainerOptions, ObjectLayer, Page, PutOptions
from objstore.ring import Ring
from objstore.runtime import green
from objstore.web.context import RequestContext
from objstore.wire.messages import POLICY, NodeRequest

EXAMPLES = """\b
Examples:
  objstore dispersion populate --data ./data
  objstore dispersion populate --ring-dir /etc/objstore --coverage 5
  objstore dispersion report --ring-dir /etc/objstore
  objstore dispersion report --json
"""
ACCOUNT = ".dispersion"
INCOMPLETE = 1  # exit status
_PAGE = 10_000
_SHOWN = 8  # partitions listed per device
_T = TypeVar("_T")
_U = TypeVar("_U")


class Sample(NamedTuple):
    """A ring whose samples are checked. policy: of objects, None for containers."""

    title: str
    ring: Ring
    policy: StoragePolicy | None

    def container(self) -> str:
        """The container of the objects."""
        assert self.policy is not None
        return f"objects-{self.policy.index}"


class SampleCopies(NamedTuple):
    """The copies found of one ring's samples. lacking: number of names by count of missing copies.

    missing: by device, the partitions whose copy it lacks.
    """

    title: str
    names: int
    wanted: int
    found: int
    lacking: dict[int, int]
    missing: dict[str, list[int]]
    failures: dict[str, str]

    @property
    def percent(self) -> float:
        return 100 * self.found / self.wanted if self.wanted else 100.0


@click.group(epilog=EXAMPLES)
def dispersion() -> None:
    """Measure with samples how many copies are on their primaries."""


@dispersion.command(epilog=EXAMPLES)
@store_options.options
@click.option(
    "--coverage", type=click.FloatRange(0, 100), default=1.0, show_default=True, help="Percent of partitions."
)
@click.option(
    "--concurrency", type=click.IntRange(1), default=16, show_default=True, help="Number of concurrent requests."
)
def populate(data: str | None, ring_dir: str | None, coverage: float, concurrency: int) -> None:
    """Put samples into a percentage of each ring's partitions; existing samples count."""
    found = store_options.opened(data, ring_dir)
    layer = found.layer()
    for sample in samples(found):
        there = set(listed(layer, sample))
        if sample.policy is not None:
            _create(layer, Name(ACCOUNT, sample.container()), sample.policy)
        partitions = {partition_of(found, sample, name) for name in there}
        wanted = max(1, round(sample.ring.partition_count * coverage / 100))
        names = list(new_names(lambda name, of=sample: partition_of(found, of, name), partitions, wanted))  # type: ignore[misc]

        def put(name: str, of: Sample = sample) -> None:
            if of.policy is None:
                _create(layer, _name(of, name), None)
            else:
                _put(layer, _name(of, name))

        for _ in _with_progress(_concurrently(put, names, concurrency), len(names), sample.title):
            pass
        click.echo(
            f"{sample.title}: {len(names)} new samples, {len(there) + len(names)} in all, in {wanted} partitions"
        )


@dispersion.command(epilog=EXAMPLES)
@store_options.options
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option(
    "--concurrency", type=click.IntRange(1), default=32, show_default=True, help="Number of concurrent requests."
)
def report(data: str | None, ring_dir: str | None, as_json: bool, concurrency: int) -> None:
    """Ask every primary for its copy of each sample. Exit status: 0 all present, 1 some are missing."""
    found = store_options.opened(data, ring_dir)
    layer = found.layer()
    reports = []
    for sample in samples(found):
        names = listed(layer, sample)
        looked = _concurrently(lambda name, of=sample: copies_of(found, of, name), names, concurrency)  # type: ignore[misc]
        reports.append(tally(sample.title, _with_progress(looked, len(names), sample.title)))
    if not any(one.names for one in reports):
        raise ObjstoreError("there are no samples; `objstore dispersion populate` makes them")
    if as_json:
        click.echo(json.dumps([{**one._asdict(), "percent": one.percent} for one in reports], indent=2))
    else:
        click.echo("\n".join(line for one in reports for line in _lines(one)))
    if any(one.found < one.wanted for one in reports):
        raise SystemExit(INCOMPLETE)


def samples(found: Inside) -> list[Sample]:
    """Return the samples: containers first, then the objects of each writable policy."""
    return [
        Sample("containers", found.ring("container"), None),
        *(
            Sample(f"objects of {policy.name}", found.ring(ring_name(policy.index)), policy)
            for policy in found.cluster.policies
            if not policy.deprecated
        ),
    ]


def _name(sample: Sample, name: str) -> Name:
    return Name(ACCOUNT, name) if sample.policy is None else Name(ACCOUNT, sample.container(), name)


def partition_of(found: Inside, sample: Sample, name: str) -> int:
    return sample.ring.partition(found.cluster.salt.hash(_name(sample, name)))


def new_names(partition: Callable[[str], int], covered: set[int], wanted: int) -> Iterator[str]:
    """Yield names in partitions not covered yet, until enough are covered."""
    left = wanted - len(covered)
    while left > 0:
        name = f"sample-{uuid.uuid4().hex}"
        place = partition(name)
        if place not in covered:
            covered.add(place)
            left -= 1
            yield name


def listed(layer: ObjectLayer, sample: Sample) -> list[str]:
    """Return the names of existing samples."""
    place = Name(ACCOUNT) if sample.policy is None else Name(ACCOUNT, sample.container())
    ask = layer.list_containers if sample.policy is None else layer.list_objects
    names: list[str] = []
    while True:
        page = Page("sample-", marker=names[-1] if names else "", limit=_PAGE)
        try:
            rows = ask(RequestContext(), place, page).rows
        except NotFound:
            return []
        if not rows:
            return names
        names += [str(row["name"]) for row in rows]


class _Looked(NamedTuple):
    """The primaries of a partition that have their copy, and the reasons why others could not be asked."""

    partition: int
    primaries: int
    missing: list[Node]
    failures: dict[str, str]


def copies_of(found: Inside, sample: Sample, name: str) -> _Looked:
    partition = partition_of(found, sample, name)
    nodes = sample.ring.primaries(partition)
    headers = {} if sample.policy is None else {POLICY: str(sample.policy.index)}
    request = NodeRequest("HEAD", partition, _name(sample, name), headers)
    missing, failures = [], {}
    for node in nodes:
        try:
            response = found.transport.call(node, request)
            response.close()
            if not response.ok:
                missing.append(node)
            if response.status >= 500:
                failures[str(node)] = f"answered {response.status}"
        except NodeFailure as failure:
            missing.append(node)
            failures[str(node)] = str(failure) or type(failure).__name__
    return _Looked(partition, len(nodes), missing, failures)


def tally(title: str, looked: Iterable[_Looked]) -> SampleCopies:
    lacking: Counter[int] = Counter()
    missing: dict[str, list[int]] = {}
    failures: dict[str, str] = {}
    names = wanted = found = 0
    for one in looked:
        names += 1
        wanted += one.primaries
        found += one.primaries - len(one.missing)
        lacking[len(one.missing)] += bool(one.missing)
        for node in one.missing:
            missing.setdefault(str(node), []).append(one.partition)
        failures |= one.failures
    return SampleCopies(title, names, wanted, found, {count: each for count, each in sorted(lacking.items()) if each},
                  missing, failures)  # fmt: skip


def _lines(one: SampleCopies) -> Iterator[str]:
    yield f"{one.title}: {one.percent:.2f}% of copies found ({one.found} of {one.wanted}, of {one.names} samples)"
    for count, names in one.lacking.items():
        yield f"  {names} samples lack {count} {'copy' if count == 1 else 'copies'}"
    for node, partitions in sorted(one.missing.items()):
        more = ", ..." if len(partitions) > _SHOWN else ""
        some = ", ".join(map(str, sorted(partitions)[:_SHOWN]))
        why = f": {one.failures[node]}" if node in one.failures else ""
        yield f"  {node} lacks {len(partitions)}, of partitions {some}{more}{why}"


def _create(layer: ObjectLayer, name: Name, policy: StoragePolicy | None) -> None:
    """Make a container. Raises ObjstoreError if the store refuses it several times."""
    options = ContainerOptions({}, policy=None if policy is None else policy.index)
    _succeed(lambda: layer.create_container(RequestContext(), name, options))


def _put(layer: ObjectLayer, name: Name) -> None:
    """Store an object whose content is its name; raises as `_create`."""
    content = (name.object or "").encode()
    options = PutOptions({"Content-Type": "text/plain"})
    _succeed(lambda: layer.put(RequestContext(), name, options, BytesBody(content)))


def _succeed(change: Callable[[], object]) -> None:
    for pause in (0.1, 1.0):
        try:
            change()
            return
        except ObjstoreError:
            green.sleep(pause)
    change()


def _concurrently(do: Callable[[_T], _U], items: Sequence[_T], most: int) -> Iterator[_U]:
    """Yield the results in any order, with a limited number of green threads. Raises the exceptions of the calls."""
    left = iter(items)
    running: list[Any] = [green.spawn(do, item) for item in itertools.islice(left, most)]
    while running:
        yield running.pop(0).wait()
        running += [green.spawn(do, item) for item in itertools.islice(left, 1)]


def _with_progress(results: Iterator[_U], total: int, title: str) -> Iterable[_U]:
    """Yield the items, with a progress bar on a terminal."""
    console = Console(stderr=True)
    return track(results, title, total=total, console=console, transient=True, disable=not console.is_terminal)
