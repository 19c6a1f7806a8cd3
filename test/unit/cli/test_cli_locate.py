"""Where names are said to be, held against where the engines put them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from objstore.assembly.cluster_dir import ClusterPlan, PlannedHost, make
from objstore.assembly.data_dir import DataDir, prepare
from objstore.cli.locate import find
from objstore.cli.main import main
from objstore.core.names import Location, Name
from objstore.core.timestamps import Timestamp
from objstore.runtime.files import FILES
from objstore.store.databases import AccountStore, ContainerStore
from objstore.store.interface import ObjectData, ObjectMetadata
from objstore.store.objects.file_store import FileStore
from objstore.store.packed.store import PackedStore

AT = Timestamp.from_seconds(1_700_000_000)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    data = DataDir(str(tmp_path_factory.mktemp("data")))
    prepare(data, 1, 1)
    return data


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cluster")
    hosts = tuple(PlannedHost(1, zone, f"10.0.0.{zone}") for zone in range(1, 6))
    make(str(directory), ClusterPlan(hosts, 1, 3, 6, ("gold", "silver"), devices_root="/mnt"))
    return directory


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_paths_are_where_the_engines_put_things(data: DataDir) -> None:
    account, container, item = Name("AUTH_a"), Name("AUTH_a", "c"), Name("AUTH_a", "c", "o/ü x")
    device = f"{data.devices}/d1"
    places = {name: find(name, data.etc, data.devices, None, False) for name in (account, container, item)}
    AccountStore(device, FILES).create(places[account].location, account, AT, {})
    ContainerStore(device, FILES).create(places[container].location, container, AT, 0, {})
    with FileStore(device).create(places[item].location, 1) as writer:
        writer.write(b"x")
        writer.commit(ObjectData(item.path, AT, "a/b", {}))
    for name, found in places.items():
        (place,) = found.places
        assert place.role == "primary"
        held = [entry.name for entry in Path(place.path).iterdir()]
        assert f"{found.location.hash}.db" in held if name.object is None else held == ["1700000000.00000.data"]
        output = run("locate", *[part for part in name if part is not None], "--data", data.root)
        assert output.exit_code == 0
        assert place.path in output.output
        assert "missing" not in output.output
        assert "curl" not in output.output  # the servers have no port


def test_a_name_that_is_not_stored_is_said_to_be_not_there(data: DataDir) -> None:
    assert "# missing" in run("locate", "AUTH_a", "c", "nothing", "--data", data.root).output


def test_primaries_and_handoffs_of_a_cluster(cluster: Path) -> None:
    output = run("locate", "AUTH_a", "c", "o ?", "--ring-dir", str(cluster))
    lines = output.output.splitlines()
    assert len([line for line in lines if line.startswith("primary")]) == 3
    assert len([line for line in lines if line.startswith("handoff")]) == 2  # all there are
    files = [line for line in lines if line.startswith("ssh 10.0.0.") and "ls -l" in line]
    assert len(files) == 5
    curls = [line for line in lines if line.startswith("curl -g -I")]
    assert len(curls) == 5
    assert all(":6200/d1/" in line and "/AUTH_a/c/o%20%3F" in line for line in curls)
    assert all("/mnt/d1/objects/" in line for line in files)


@pytest.mark.parametrize("policy", ["1", "silver", "SILVER"])
def test_another_policy_has_its_own_ring_and_directory(cluster: Path, policy: str) -> None:
    output = run("locate", "AUTH_a", "c", "o", "--ring-dir", str(cluster), "--policy", policy).output
    assert "ring       object-1\n" in output
    assert "/mnt/d1/objects-1/" in output
    assert "X-Backend-Storage-Policy-Index: 1" in output


def test_containers_are_asked_at_their_servers_port(cluster: Path) -> None:
    output = run("locate", "AUTH_a", "c", "--ring-dir", str(cluster)).output
    assert ":6201/d1/" in output
    assert "Policy-Index" not in output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a", "c"], "give either --data or --ring-dir"),
        (["a/b", "--ring-dir", "CLUSTER"], "must not contain a slash"),
        (["a", "", "--ring-dir", "CLUSTER"], "no name may be empty"),
        (["a", "c", "o", "--ring-dir", "CLUSTER", "--policy", "9"], "no storage policy '9'"),
    ],
)
def test_what_cannot_be_located_is_told(cluster: Path, arguments: list[str], reason: str) -> None:
    result = run("locate", *[str(cluster) if word == "CLUSTER" else word for word in arguments])
    assert result.exit_code == 2
    assert reason in result.stderr


def test_info_tells_of_every_kind_of_file(data: DataDir) -> None:
    test_paths_are_where_the_engines_put_things(data)
    place = find(Name("AUTH_a", "c", "o/ü x"), data.etc, data.devices, None, False).places[0].path
    database = find(Name("AUTH_a", "c"), data.etc, data.devices, None, False).places[0].path
    result = run("info", place, database, f"{data.etc}/object.ring", f"{data.etc}/object.builder", "--json")
    assert result.exit_code == 0, result.output
    item, container, ring, builder = json.loads(result.output)
    assert (item["kind"], item["holds"]) == ("hash directory", "object")
    assert item["files"][0]["record"]["name"] == "/AUTH_a/c/o/ü x"
    assert item["files"][0]["counts"] is True
    assert (container["kind"], container["name"]["container"]) == ("container", "c")
    assert (ring["kind"], ring["replicas"], len(ring["devices"])) == ("ring", 1.0, 1)
    assert (builder["kind"], builder["balance"]) == ("builder", 0.0)
    text = run("info", place).output
    assert "sound     yes" in text
    assert "/AUTH_a/c/o/ü x" in text


def test_info_finds_damage(data: DataDir) -> None:
    name = Name("AUTH_a", "c", "rotten")
    found = find(name, data.etc, data.devices, None, False)
    with FileStore(f"{data.devices}/d1").create(found.location, 100_000) as writer:
        writer.write(b"x" * 100_000)
        writer.commit(ObjectData(name.path, AT, "a/b", {}))
    path = Path(found.places[0].path) / "1700000000.00000.data"
    with path.open("r+b") as file:
        file.seek(70_000)
        file.write(b"y")
    result = run("info", str(path.parent))
    assert result.exit_code == 1
    assert "do not match their checksums" in result.output
    ring = Path(data.root) / "bad.ring"
    ring.write_bytes(Path(data.etc, "object.ring").read_bytes()[:-3])
    assert run("info", str(ring)).exit_code == 1


@pytest.mark.parametrize("name", ["nothing.data", "users.json", "devices"])
def test_info_of_what_is_not_the_stores_is_told(data: DataDir, name: str) -> None:
    result = run("info", f"{data.root}/{name}")
    assert result.exit_code == 1
    assert "Traceback" not in result.output


# Packed objects


@pytest.fixture
def packed(tmp_path: Path) -> tuple[DataDir, PackedStore]:
    data = DataDir(str(tmp_path / "data"))
    prepare(data, 1, 1)
    return data, PackedStore(f"{data.devices}/d1", limit=65536, power=lambda: 1)


def located(data: DataDir, item: str) -> Location:
    return find(Name("AUTH_a", "c", item), data.etc, data.devices, None, False).location


def put(store: PackedStore, location: Location, item: str, content: bytes, at: Timestamp = AT) -> None:
    with store.create(location, len(content)) as writer:
        writer.write(content)
        writer.commit(ObjectData(f"/AUTH_a/c/{item}", at, "a/b", {}))


def command_of(output: str, start: str) -> list[str]:
    (line,) = [line for line in output.splitlines() if line.startswith(start)]
    return line.partition("  #")[0].split()[1:]


def test_the_place_of_a_packed_object_is_shown_as_a_command_that_describes_it(
    packed: tuple[DataDir, PackedStore],
) -> None:
    data, store = packed
    put(store, located(data, "o"), "o", b"hello")
    output = run("locate", "AUTH_a", "c", "o", "--data", data.root).output
    assert "ls -l" not in output
    facts = run(*command_of(output, "objstore info"), "--json")
    assert facts.exit_code == 0, facts.output
    (record,) = json.loads(facts.output)
    assert (record["change"], record["size"], record["dead"]) == ("1700000000.00000.data", 5, False)
    assert (record["indexed"], record["record"]["name"]) == (True, "/AUTH_a/c/o")


def test_an_object_too_large_to_be_packed_is_located_as_a_file(packed: tuple[DataDir, PackedStore]) -> None:
    data, store = packed
    put(store, located(data, "o"), "o", b"x" * 70_000)
    output = run("locate", "AUTH_a", "c", "o", "--data", data.root).output
    assert "objstore info" not in output
    assert "missing" not in output


def test_an_object_that_is_not_stored_is_missing_though_the_policy_packs(packed: tuple[DataDir, PackedStore]) -> None:
    data, store = packed
    put(store, located(data, "other"), "other", b"hello")
    assert "# missing" in run("locate", "AUTH_a", "c", "o", "--data", data.root).output


def test_another_host_is_asked_for_packed_objects_if_the_policy_packs(cluster: Path) -> None:
    def commands() -> int:
        output = run("locate", "AUTH_a", "c", "o", "--ring-dir", str(cluster), "--policy", "silver").output
        return output.count("objstore info /mnt/d1/packed-1 --hash ")

    assert commands() == 5
    conf = cluster / "objstore.conf"
    before = conf.read_text()
    conf.write_text(before.replace("packed_limit = 64K\n", ""))
    try:
        assert commands() == 0
    finally:
        conf.write_text(before)


def test_info_counts_what_a_volume_holds(packed: tuple[DataDir, PackedStore]) -> None:
    data, store = packed
    put(store, located(data, "o"), "o", b"old")
    put(store, located(data, "o"), "o", b"new", Timestamp.from_seconds(1_700_000_001))
    volume = f"{data.devices}/d1/packed/volumes/00000001.volume"
    result = run("info", volume, "--json")
    assert result.exit_code == 0
    (facts,) = json.loads(result.output)
    assert (facts["records"], facts["dead_records"]) == (2, 1)
    assert [record["dead"] for record in facts["record_list"]] == [True, False]
    assert facts["live_bytes"] + facts["dead_bytes"] + facts["free_bytes"] + 8192 == facts["length"]
    assert "record_list" not in run("info", volume).output
    (directory,) = json.loads(run("info", f"{data.devices}/d1/packed", "--json").output)
    assert (directory["names"], directory["changes"]) == (1, {"data": 1})
    assert directory["volumes"]["00000001.volume"]["dead"] == facts["dead_bytes"]


def test_info_finds_a_damaged_record_and_not_one_that_is_dead(packed: tuple[DataDir, PackedStore]) -> None:
    data, store = packed
    volume = Path(data.devices, "d1/packed/volumes/00000001.volume")
    put(store, located(data, "o"), "o", b"hello")
    content = volume.read_bytes()
    volume.write_bytes(content.replace(b"hello", b"hullo"))
    result = run("info", str(volume))
    assert result.exit_code == 1
    assert "the record at 8192 does not match its checksums" in result.output
    assert run("info", str(volume), "--at", "8192").exit_code == 1
    put(store, located(data, "o"), "o", b"again", Timestamp.from_seconds(1_700_000_001))
    assert run("info", str(volume)).exit_code == 0


def test_info_of_a_damaged_header_says_where(packed: tuple[DataDir, PackedStore]) -> None:
    data, store = packed
    volume = Path(data.devices, "d1/packed/volumes/00000001.volume")
    put(store, located(data, "o"), "o", b"hello")
    put(store, located(data, "p"), "p", b"there")
    content = bytearray(volume.read_bytes())
    content[8200] ^= 1
    volume.write_bytes(content)
    result = run("info", str(volume))
    assert result.exit_code == 1
    assert "bytes at 8192 are not a record" in result.output
    assert "no record begins at 8192" in run("info", str(volume), "--at", "8192").output


def test_info_of_a_name_lists_its_packed_changes(packed: tuple[DataDir, PackedStore]) -> None:
    data, store = packed
    location = located(data, "o")
    put(store, location, "o", b"hello")
    store.post(location, ObjectMetadata(Timestamp.from_seconds(1_700_000_001), {}))
    (facts,) = json.loads(run("info", f"{data.devices}/d1/packed", "--hash", location.hash, "--json").output)
    assert [record["change"].rpartition(".")[2] for record in facts["records"]] == ["data", "meta"]
    assert all(record["counts"] for record in facts["records"])


@pytest.mark.parametrize(
    ("path", "option"), [("packed", ["--hash", "0"]), ("packed", ["--at", "1"]), ("tmp", ["--hash", "0" * 32])]
)
def test_a_part_that_a_path_does_not_have_is_refused(
    packed: tuple[DataDir, PackedStore], path: str, option: list[str]
) -> None:
    data, store = packed
    put(store, located(data, "o"), "o", b"hello")
    result = run("info", f"{data.devices}/d1/{path}", *option)
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_a_lost_index_is_a_problem(packed: tuple[DataDir, PackedStore]) -> None:
    data, store = packed
    put(store, located(data, "o"), "o", b"hello")
    shutil.rmtree(f"{data.devices}/d1/packed/index")
    result = run("info", f"{data.devices}/d1/packed")
    assert result.exit_code == 1
    assert "there is no index" in result.output


def test_a_device_of_this_host_in_a_cluster_is_read_for_packed_objects(tmp_path: Path) -> None:
    hosts = (PlannedHost(1, 1, "127.0.0.1"), PlannedHost(1, 2, "192.0.2.1"))
    make(str(tmp_path / "etc"), ClusterPlan(hosts, 1, 2, 6, ("gold",), devices_root=str(tmp_path)))
    (tmp_path / "d1").mkdir()
    found = find(Name("AUTH_a", "c", "o"), str(tmp_path / "etc"), str(tmp_path), None, False)
    store = PackedStore(str(tmp_path / "d1"), limit=65536, power=lambda: 6)
    put(store, found.location, "o", b"hello")
    output = run("locate", "AUTH_a", "c", "o", "--ring-dir", f"{tmp_path}/etc", "--devices", str(tmp_path)).output
    assert output.count("/00000001.volume --at 8192") == 1
