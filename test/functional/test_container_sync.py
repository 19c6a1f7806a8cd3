"""Containers that are copied between two stores, each a process of its own, with python-swiftclient."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import swiftclient
from harness.processes import Serve, wait_until

from objstore.core.container_sync import SignedRequest, SyncRealm, new_auth

KEYS = {"X-Container-Sync-Key": "of the user"}


class Site:
    """A store of its own. number: of the site."""

    def __init__(self, root: Path, number: int) -> None:
        self.server = Serve(root / f"data{number}", root / f"log{number}", workers=1)
        self.server.start()

    @property
    def endpoint(self) -> str:
        return self.server.credentials["endpoint"]

    @property
    def client(self) -> swiftclient.Connection:
        known = self.server.credentials
        return swiftclient.Connection(f"{known['endpoint']}/auth/v1.0", known["user"], known["key"], retries=0)

    def agree(self, realm: str) -> None:
        """Start again with a file of realms."""
        port = self.endpoint.rpartition(":")[2]
        self.server.stop()
        etc = self.server.data / "etc"
        (etc / "container-sync-realms.conf").write_text(realm)
        conf = etc / "storage-server.conf"
        conf.write_text(conf.read_text().replace("[DEFAULT]\n", "[DEFAULT]\ncontainer_sync_interval = 0.5s\n", 1))
        self.server.arguments[self.server.arguments.index("--bind") + 1] = f"127.0.0.1:{port}"
        self.server.start()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Site]]:
    root = tmp_path_factory.mktemp("sites")
    with contextlib.ExitStack() as stack:
        sites = []
        for number in (1, 2):
            sites.append(Site(root, number))
            stack.callback(sites[-1].server.stop)
        clusters = "".join(f"cluster_site{index} = {site.endpoint}/v1/\n" for index, site in enumerate(sites, 1))
        for site in sites:
            site.agree(f"[realm]\nkey = of the realm\n{clusters}")
        yield sites


def names(client: swiftclient.Connection, container: str) -> list[str]:
    return [row["name"] for row in client.get_container(container)[1]]


def account(client: swiftclient.Connection) -> str:
    return str(client.get_auth()[0]).rpartition("/")[2]


def test_changes_follow_from_one_site_to_the_other(sites: list[Site]) -> None:
    here, there = (site.client for site in sites)
    there.put_container("copy", KEYS)
    here.put_container("original", {**KEYS, "X-Container-Sync-To": f"//realm/site2/{account(there)}/copy"})
    here.put_object("original", "Bär & Löwe/1", b"x" * 3_000_000, headers={"X-Object-Meta-Art": "Säugetier"})
    here.put_object("original", "short-lived", b"x")
    wait_until(lambda: len(names(there, "copy")) == 2, "both objects to arrive")
    headers, data = there.get_object("copy", "Bär & Löwe/1")
    assert data == b"x" * 3_000_000
    assert headers["x-object-meta-art"] == "Säugetier"
    assert headers["x-timestamp"] == here.head_object("original", "Bär & Löwe/1")["x-timestamp"]
    here.delete_object("original", "short-lived")
    here.post_object("original", "Bär & Löwe/1", {"X-Object-Meta-Art": "beides"})
    wait_until(lambda: names(there, "copy") == ["Bär & Löwe/1"], "the deletion to arrive")
    wait_until(lambda: there.head_object("copy", "Bär & Löwe/1")["x-object-meta-art"] == "beides", "the metadata")


def test_what_was_written_while_the_other_site_was_away_arrives_later(sites: list[Site]) -> None:
    here, there = (site.client for site in sites)
    there.put_container("later", KEYS)
    here.put_container("first", {**KEYS, "X-Container-Sync-To": f"//realm/site2/{account(there)}/later"})
    sites[1].server.kill()
    for number in range(20):
        here.put_object("first", f"o{number:02}", b"x")
    sites[0].server.kill()
    for site in sites:
        site.server.start()
    wait_until(lambda: len(names(sites[1].client, "later")) == 20, "all objects to arrive")


def test_both_directions_come_to_rest_with_the_newest(sites: list[Site]) -> None:
    here, there = (site.client for site in sites)
    for client, site, other in ((here, 2, there), (there, 1, here)):
        to = f"//realm/site{site}/{account(other)}/both"
        client.put_container("both", {**KEYS, "X-Container-Sync-To": to})
    here.put_object("both", "a", b"from here")
    there.put_object("both", "b", b"from there")
    here.put_object("both", "c", b"older")
    there.put_object("both", "c", b"newer")
    wait_until(lambda: names(here, "both") == names(there, "both") == ["a", "b", "c"], "both to have all")
    wait_until(lambda: here.get_object("both", "c")[1] == b"newer", "the newest to win")
    assert there.get_object("both", "c")[1] == b"newer"


def test_large_objects_and_links_arrive_as_what_they_are(sites: list[Site]) -> None:
    here, there = (site.client for site in sites)
    for container in ("large", "large_segments"):
        there.put_container(container, KEYS)
        to = f"//realm/site2/{account(there)}/{container}"
        here.put_container(container, {**KEYS, "X-Container-Sync-To": to})
    # Manifests and links first: at the other site they come before the objects that they refer to.
    parts = [here.put_object("large_segments", f"seg/{number}", b"%d" % number * 1000) for number in range(3)]
    rows = [
        {"path": f"/large_segments/seg/{number}", "etag": etag, "size_bytes": 1000} for number, etag in enumerate(parts)
    ]
    rows[1]["range"] = "10-19"
    here.put_object("large", "slo", json.dumps(rows), query_string="multipart-manifest=put")
    here.put_object("large", "dlo", b"", headers={"X-Object-Manifest": "large_segments/seg/"})
    here.put_object("large", "link", b"", headers={"X-Symlink-Target": "large/slo"})
    static = {"X-Symlink-Target": "large_segments/seg/0", "X-Symlink-Target-Etag": parts[0]}
    here.put_object("large", "static", b"", headers=static)
    wait_until(lambda: len(names(there, "large")) == 4 and len(names(there, "large_segments")) == 3, "all to arrive")
    contents = {"slo": b"0" * 1000 + b"1" * 10 + b"2" * 1000}
    contents |= {"dlo": b"0" * 1000 + b"1" * 1000 + b"2" * 1000, "link": contents["slo"], "static": b"0" * 1000}
    for key, content in contents.items():
        headers, data = there.get_object("large", key)
        assert data == content, key
        assert headers["etag"] == here.head_object("large", key)["etag"], key
    for mine, theirs in zip(here.get_container("large")[1], there.get_container("large")[1], strict=True):
        assert mine == theirs
    assert (
        there.get_object("large", "slo", query_string="multipart-manifest=get")[1]
        == (here.get_object("large", "slo", query_string="multipart-manifest=get")[1])
    )


def test_info_and_targets(sites: list[Site]) -> None:
    client = sites[0].client
    info = requests.get(f"{sites[0].endpoint}/info", timeout=10).json()
    assert set(info["container_sync"]["realms"]["REALM"]["clusters"]) == {"SITE1", "SITE2"}
    for target in ("//other/site2/a/c", "//realm/site3/a/c", "http://127.0.0.1/v1/a/c", "//realm/site2/a"):
        with pytest.raises(swiftclient.ClientException) as refused:
            client.put_container("bad", {**KEYS, "X-Container-Sync-To": target})
        assert refused.value.http_status == 400


def test_a_stolen_signature_writes_nothing_else(sites: list[Site]) -> None:
    client = sites[0].client
    client.put_container("guarded", KEYS)
    base, path = sites[0].endpoint, f"/v1/{account(client)}/guarded/"
    realm = SyncRealm("realm", ("of the realm",), {})
    auth = new_auth(realm, SignedRequest("PUT", f"{path}mine", "1700000000.00000"), KEYS["X-Container-Sync-Key"])
    headers = {"X-Container-Sync-Auth": auth, "X-Timestamp": "1700000000.00000"}
    assert requests.put(f"{base}{path}mine", b"x", headers=headers, timeout=10).status_code == 201
    assert requests.put(f"{base}{path}other", b"x", headers=headers, timeout=10).status_code == 401
    assert requests.delete(f"{base}{path}mine", headers=headers, timeout=10).status_code == 401
    assert names(client, "guarded") == ["mine"]
