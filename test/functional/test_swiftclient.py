"""python-swiftclient, as a library and as the `swift` command, does what its users do with it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.layouts import ONE_DEVICE
from harness.store import Store
from swiftclient.client import Connection
from swiftclient.exceptions import ClientException

pytestmark = ONE_DEVICE


@pytest.fixture
def connection(store: Store) -> Iterator[Connection]:
    made = Connection(f"{store.endpoint}/auth/v1.0", store.user, store.key, retries=0)
    yield made
    made.close()


Swift = Callable[..., str]


@pytest.fixture
def swift(store: Store, tmp_path: Path) -> Swift:
    """Runs `swift ARGUMENTS` in a directory of its own; what it prints."""
    login = ["--auth", f"{store.endpoint}/auth/v1.0", "--user", store.user, f"--key={store.key}"]
    program = str(Path(sys.executable).with_name("swift"))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *login, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_life_of_an_object(connection: Connection, container: str) -> None:
    etag = connection.put_object(container, "object", io.BytesIO(b"content"), content_type="text/x-thing")
    headers, body = connection.get_object(container, "object")
    assert (body, headers["etag"], headers["content-type"]) == (b"content", etag, "text/x-thing")
    connection.post_object(container, "object", {"X-Object-Meta-Color": "blü"})
    assert connection.head_object(container, "object")["x-object-meta-color"] == "blü"
    connection.copy_object(container, "object", f"/{container}/copy", headers={"X-Object-Meta-Shape": "round"})
    assert connection.head_object(container, "copy")["x-object-meta-color"] == "blü"
    _, rows = connection.get_container(container, full_listing=True)
    assert [row["name"] for row in rows] == ["copy", "object"]
    for row in rows:
        connection.delete_object(container, row["name"])
    with pytest.raises(ClientException) as missing:
        connection.head_object(container, "object")
    assert missing.value.http_status == 404


def test_bodies_of_unknown_length(connection: Connection, container: str) -> None:
    connection.put_object(container, "object", (piece for piece in [b"a" * 100_000, b"b"]), chunk_size=4096)
    _, body = connection.get_object(container, "object")
    assert body == b"a" * 100_000 + b"b"
    _, stream = connection.get_object(container, "object", resp_chunk_size=1000)
    assert b"".join(stream) == body


def test_containers_and_accounts(connection: Connection, container: str) -> None:
    connection.post_container(container, {"X-Container-Meta-A": "1", "X-Container-Read": ".r:*"})
    headers = connection.head_container(container)
    assert (headers["x-container-meta-a"], headers["x-container-read"]) == ("1", ".r:*")
    connection.post_account({"X-Account-Meta-A": "1"})
    headers, rows = connection.get_account(prefix=container)
    assert headers["x-account-meta-a"] == "1"
    assert [row["name"] for row in rows] == [container]
    assert "swift" in connection.get_capabilities()


def test_a_tree_of_files_goes_up_and_comes_down(swift: Swift, container: str, tmp_path: Path) -> None:
    files = {"a.txt": b"one", "deep/er/b.bin": bytes(range(256)) * 1000, "empty": b"", "ü n.txt": b"two"}
    for name, content in files.items():
        path = tmp_path / "up" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    swift("upload", container, "up")
    assert swift("list", container).split("\n")[:-1] == sorted(f"up/{name}" for name in files)
    swift("download", container, "--output-dir", "down")
    for name, content in files.items():
        assert (tmp_path / "down" / "up" / name).read_bytes() == content
    swift("upload", "--skip-identical", container, "up")
    assert len(json.loads(swift("list", "--json", container))) == len(files)
    swift("delete", container, "up/a.txt")
    assert "up/a.txt" not in swift("list", container)


def test_stat_post_and_copy(swift: Swift, container: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    swift("upload", container, "file")
    swift("post", container, "file", "--meta", "Color:blue")
    assert "Meta Color: blue" in swift("stat", container, "file")
    swift("copy", container, "file", "--destination", f"/{container}/copy")
    assert swift("list", container).split() == ["copy", "file"]
    swift("post", container, "--read-acl", ".r:*,.rlistings")
    assert ".r:*,.rlistings" in swift("stat", container)
    assert "AUTH_" in swift("stat")
    assert "max_file_size" in swift("capabilities")


def test_a_container_is_deleted_with_all_its_objects(swift: Swift, container: str, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"file{number}").write_bytes(b"x")
    swift("upload", container, *(f"file{number}" for number in range(5)))
    swift("delete", container)
    assert container not in swift("list").split()


def test_a_file_goes_up_in_segments_and_is_deleted_with_them(swift: Swift, container: str, tmp_path: Path) -> None:
    content = os.urandom((5 << 20) + 17)
    (tmp_path / "large").write_bytes(content)
    try:
        swift("upload", container, "large", "-S", "1M", "--use-slo")
        assert len(swift("list", f"{container}_segments").splitlines()) == 6
        assert "Content Length: 5242897" in swift("stat", container, "large").replace("  ", " ")
        swift("download", container, "large", "-o", "back")
        assert (tmp_path / "back").read_bytes() == content
        (tmp_path / "large").write_bytes(content[:-1])
        swift("upload", container, "large", "-S", "2M", "--use-slo", "--changed")
        assert len(swift("list", f"{container}_segments").splitlines()) == 3  # the former ones are gone
        swift("download", container, "large", "-o", "back")
        assert (tmp_path / "back").read_bytes() == content[:-1]
        swift("delete", container, "large")
        assert swift("list", container) == swift("list", f"{container}_segments") == ""
    finally:
        swift("delete", f"{container}_segments")


def test_versions_are_listed_downloaded_and_deleted(
    swift: Swift, connection: Connection, container: str, tmp_path: Path
) -> None:
    swift("post", container, "--header", "X-Versions-Enabled: true")
    assert "Versions-Enabled: True" in swift("stat", container)
    for content in ("one", "two"):
        (tmp_path / "file").write_text(content)
        swift("upload", container, "file")
    swift("delete", container, "file")
    assert swift("list", container) == ""
    _, rows = connection.get_container(container, query_string="versions=true")
    marker, second, first = (row["version_id"] for row in rows)
    listed = swift("list", container, "--versions")
    assert all(version in listed for version in (marker, second, first))
    swift("download", container, "file", "--version-id", first, "--output", "back")
    assert (tmp_path / "back").read_text() == "one"
    assert "Content Length: 3" in swift("stat", container, "file", "--version-id", second)
    swift("delete", container, "file", "--version-id", marker)
    assert connection.get_object(container, "file")[1] == b"two"
    swift("delete", container, "--versions")
    assert container not in swift("list").split()


def test_an_archive_of_former_versions(swift: Swift, connection: Connection, container: str, tmp_path: Path) -> None:
    archive = f"{container}-archive"
    swift("post", archive)
    swift("post", container, "--header", f"X-Versions-Location: {archive}")
    for content in ("one", "two"):
        (tmp_path / "file").write_text(content)
        swift("upload", container, "file")
    assert swift("list", archive).startswith("004file/")
    swift("delete", container, "file")
    assert connection.get_object(container, "file")[1] == b"one"
    swift("delete", archive)
