"""Whom files belong to, whoever makes them, and who else may read them."""

from __future__ import annotations

import logging
import os
import stat
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objstore.core.errors import ConfigError
from objstore.runtime import owners, settings
from objstore.runtime.drives import Outs
from objstore.runtime.owners import Owner

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for other users")
SERVER = Owner(65534, 65534)  # a user without privileges
LOGGER = logging.getLogger("test")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def in_child(function: Callable[[], None]) -> None:
    """Run what gives privileges up in a process of its own."""
    pid = os.fork()
    if not pid:
        try:
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def opened(path: Path) -> Path:
    """Others reach what is in a directory of pytest."""
    for each in (path, *list(path.parents)[:3]):
        each.chmod(0o755)
    return path


@pytest.mark.parametrize(("text", "value"), [("077", 0o077), ("027", 0o027), ("0", 0)])
def test_umasks(text: str, value: int) -> None:
    assert settings.read(owners.OwnerSettings, {"umask": text}).umask == value


@pytest.mark.parametrize("text", ["", "8", "u=rwx", "700", "1000", "-1"])
def test_what_is_no_umask(text: str) -> None:
    with pytest.raises(ConfigError, match="umask"):
        settings.read(owners.OwnerSettings, {"umask": text})


def test_a_file_that_is_replaced_keeps_its_rights_but_secrets_are_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "object.ring"
    path.write_bytes(b"1")
    path.chmod(0o640)
    os.umask(0o077)
    owners.replace(str(path), b"2")
    assert (mode(path), path.read_bytes()) == (0o640, b"2")
    path.chmod(0o644)
    owners.replace(str(path), b"3", 0o600)
    assert mode(path) == 0o640
    owners.replace(str(tmp_path / "new"), b"")
    assert mode(tmp_path / "new") == 0o600


@as_root
def test_what_root_replaces_or_makes_belongs_to_the_user_of_the_directory(tmp_path: Path) -> None:
    """Root's users.json, lock files and backups could not be used by servers, nor by their user's own commands."""
    tmp_path.chmod(0o750)
    os.chown(tmp_path, SERVER.uid, SERVER.gid)
    os.umask(0o077)
    owners.replace(str(tmp_path / "users.json"), b"", 0o600)
    os.close(owners.open_lock(str(tmp_path / "users.json.lock")))
    owners.make_directory(str(tmp_path / "backups"))
    for name in ("users.json", "users.json.lock", "backups"):
        assert owner(tmp_path / name) == (SERVER.uid, SERVER.gid)
    assert mode(tmp_path / "users.json") == 0o640  # the directory is open to the group
    (tmp_path / "object.ring").write_bytes(b"")
    os.chown(tmp_path / "object.ring", 0, SERVER.gid)
    owners.replace(str(tmp_path / "object.ring"), b"2")
    assert owner(tmp_path / "object.ring") == (0, SERVER.gid)


@as_root
def test_the_servers_user_is_the_one_of_the_setting_or_the_owner_of_the_devices(tmp_path: Path) -> None:
    assert owners.of_devices(str(tmp_path / "none")) is None
    for name in ("d1", "d2"):
        (tmp_path / name).mkdir()
    assert owners.of_devices(str(tmp_path)) == Owner(0, 0, "root")
    os.chown(tmp_path / "d2", 12345, 12345)  # mounted, beneath a directory of root
    assert owners.of_devices(str(tmp_path)) == Owner(12345, 12345)
    found = owners.of_devices(str(tmp_path), "nobody")
    assert found is not None
    assert found.uid == owners.owner_named("nobody").uid
    with pytest.raises(ConfigError, match="there is no such user"):
        owners.of_devices(str(tmp_path), "nobody-at-all")


@as_root
def test_what_a_command_of_root_takes_out_the_servers_can_see_and_put_back(tmp_path: Path) -> None:
    """`.out` was made by root, so that the servers' user neither saw what was out nor took a device out."""
    opened(tmp_path)
    (tmp_path / "d1").mkdir()
    os.chown(tmp_path / "d1", SERVER.uid, SERVER.gid)

    def command() -> None:
        owners.act_for(str(tmp_path), {})
        assert os.geteuid() == SERVER.uid
        Outs(str(tmp_path)).take_out("d1", "noise", 1)

    in_child(command)
    assert owner(tmp_path / ".out") == owner(tmp_path / ".out/d1") == (SERVER.uid, SERVER.gid)
    assert (mode(tmp_path / ".out"), mode(tmp_path / ".out/d1")) == (0o700, 0o600)

    def server() -> None:
        os.setuid(SERVER.uid)
        outs = Outs(str(tmp_path))
        assert "d1" in outs
        assert outs.put_back("d1")
        assert not outs.unwritable()

    in_child(server)


@as_root
def test_what_earlier_commands_of_root_left_is_given_to_the_servers(tmp_path: Path) -> None:
    (tmp_path / "d1").mkdir()
    os.chown(tmp_path / "d1", SERVER.uid, SERVER.gid)
    Outs(str(tmp_path)).take_out("d1", "noise", 1)
    in_child(lambda: owners.act_for(str(tmp_path), {}))
    assert owner(tmp_path / ".out") == owner(tmp_path / ".out/d1") == (SERVER.uid, SERVER.gid)


@as_root
def test_a_directory_that_cannot_be_written_is_known_before_a_device_fails(tmp_path: Path) -> None:
    opened(tmp_path)

    def server() -> None:
        os.setuid(SERVER.uid)
        assert "cannot write" in Outs(str(tmp_path)).unwritable()

    in_child(server)


@as_root
def test_a_server_that_leaves_root_may_still_read_the_kernels_log(tmp_path: Path) -> None:
    def effective() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))

    had = effective() >> 34 & 1

    def server() -> None:
        owners.become(SERVER, keep_kernel_log=True)
        assert os.geteuid() == SERVER.uid
        assert effective() == had << 34  # CAP_SYSLOG, and nothing else

    def proxy() -> None:
        owners.become(SERVER)
        assert effective() == 0

    in_child(server)
    in_child(proxy)


@as_root
def test_acting_for_a_user_ends(tmp_path: Path) -> None:
    os.chown(tmp_path, SERVER.uid, SERVER.gid)
    with owners.acting_as(SERVER):
        (tmp_path / "theirs").touch()
    (tmp_path / "ours").touch()
    assert owner(tmp_path / "theirs") == (SERVER.uid, SERVER.gid)
    assert owner(tmp_path / "ours") == (0, 0)


def test_secrets_that_others_can_read_are_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    assert owners.exposed(str(path)) == ""
    path.touch()
    path.chmod(0o640)
    assert owners.exposed(str(path)) == ""
    path.chmod(0o644)
    assert f"chmod o= {path}" in owners.exposed(str(path))


def test_what_an_older_version_left_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "d1").mkdir(mode=0o755)
    (tmp_path / "users.json").touch()
    paths = [str(tmp_path / "d1"), str(tmp_path / "users.json"), str(tmp_path / "none")]
    owners.tighten(paths[:1], 0o027, LOGGER)
    assert mode(tmp_path / "d1") == 0o750
    owners.tighten(paths, 0o077, LOGGER)
    assert mode(tmp_path / "d1") == 0o700
    assert mode(tmp_path / "users.json") == 0o600


def test_it_is_known_when_a_device_was_put_back(tmp_path: Path) -> None:
    outs = Outs(str(tmp_path))
    assert outs.returned() == {}
    assert not outs.put_back("d1")
    outs.take_out("d1", "noise", 1)
    assert outs.put_back("d1")
    assert list(outs.returned()) == ["d1"]
    assert outs.all() == {}
    assert "d1" not in outs
