"""Users and rights: whom the store's files belong to, and who else may read them.

Servers run as a user of their own; operators often run commands as root. Whatever creates files on devices *becomes*
the servers' user first (`act_for`), so that the servers can use what it made. Files of the configuration are
replaced with the owner and the rights that they have (`replace`).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import pwd
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from objstore.core.errors import ConfigError
from objstore.runtime import settings
from objstore.runtime.files import FILES, FileRights, Files, exists, is_directory
from objstore.runtime.settings import setting

PRIVATE = 0o077  # the umask of commands, and the default of servers
_OTHERS = 0o007
_KERNEL_LOG = 34  # CAP_SYSLOG of capabilities(7): /dev/kmsg may be read


def umask(text: str) -> int:
    try:
        value = int(text.strip(), 8)
    except ValueError:
        raise ValueError("is not an octal number such as 077 or 027") from None
    if not 0 <= value <= 0o777 or value & 0o700:
        raise ValueError("is not between 000 and 077: the owner must keep all rights")
    return value


@dataclass(frozen=True)
class OwnerSettings:
    """The user of servers, and the rights of their files."""

    user: str = setting(
        str.strip, "", "user to run as if root starts the server; empty: the owner of the devices, if any"
    )
    umask: int = setting(umask, "077", "umask of new files; 027 lets the group read them")


class Owner(NamedTuple):
    """A user and its main group. name: empty for a user without one."""

    uid: int
    gid: int
    name: str = ""

    def __str__(self) -> str:
        return self.name or str(self.uid)


def owner_named(name: str) -> Owner:
    """Raises ConfigError."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(f"user = {name}: there is no such user") from None
    return Owner(entry.pw_uid, entry.pw_gid, name)


def current() -> Owner:
    """The user who this process acts as."""
    uid = os.geteuid()
    try:
        return Owner(uid, os.getegid(), pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Owner(uid, os.getegid())


def of_path(path: str) -> Owner | None:
    """The owner of a file; None if there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    try:
        return Owner(found.st_uid, found.st_gid, pwd.getpwuid(found.st_uid).pw_name)
    except KeyError:
        return Owner(found.st_uid, found.st_gid)


def of_devices(root: str, user: str = "") -> Owner | None:
    """The servers' user: the one of the setting, else the owner of the devices' directory or of what is in it.

    Mount points often belong to root; what is mounted there belongs to the servers' user. None if nothing tells.
    """
    if user:
        return owner_named(user)
    paths = [root]
    with contextlib.suppress(OSError):
        paths += sorted(entry.path for entry in os.scandir(root) if entry.is_dir())
    owners = [owner for path in paths if (owner := of_path(path)) is not None]
    return next((owner for owner in owners if owner.uid), owners[0] if owners else None)


def become(owner: Owner | None, keep_kernel_log: bool = False) -> None:
    """Go on as a user, for good, if this is root; otherwise nothing happens. Raises OSError.

    keep_kernel_log: keep the right to read the kernel's log, which Linux may give to root alone.
    """
    if owner is None or os.geteuid() != 0 or owner.uid == 0:
        return
    keep = keep_kernel_log and sys.platform == "linux"
    if keep:
        _keep_capabilities()
    _set_groups(owner)
    os.setgid(owner.gid)
    os.setuid(owner.uid)
    if keep:
        _limit_capabilities(_KERNEL_LOG)
    with contextlib.suppress(KeyError):
        os.environ["HOME"] = pwd.getpwuid(owner.uid).pw_dir


@contextlib.contextmanager
def acting_as(owner: Owner | None) -> Iterator[None]:
    """Make files as a user for a while, if this is root; otherwise nothing happens. Raises OSError."""
    if owner is None or os.geteuid() != 0 or owner.uid == 0:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    _set_groups(owner)
    os.setegid(owner.gid)
    os.seteuid(owner.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def _set_groups(owner: Owner) -> None:
    if owner.name:
        os.initgroups(owner.name, owner.gid)
    else:
        os.setgroups([owner.gid])


def act_for(devices: str, conf: Mapping[str, str]) -> None:
    """Make files on this host's devices as its servers do: as their user, with their rights. Raises ConfigError.

    For commands. conf: the section that says `user` and `umask`.
    """
    values = settings.read(OwnerSettings, conf)
    os.umask(values.umask)
    owner = of_devices(devices, values.user)
    prepare(state_directories(devices), owner)
    become(owner, keep_kernel_log=True)


def state_directories(devices: str) -> list[str]:
    """Directories beside the devices in which servers note the state of the host."""
    return [os.path.join(devices, name) for name in (".out", ".recon")]


def give(path: str, owner: Owner | None) -> bool:
    """Give one file or directory to a user, if this is root and it is not that user's; was that so? Raises OSError."""
    if owner is None or os.geteuid() != 0 or os.stat(path).st_uid == owner.uid:
        return False
    os.chown(path, owner.uid, owner.gid)
    return True


def prepare(paths: Iterable[str], owner: Owner | None) -> None:
    """Give files and directories to a user while this is root; make directories that are missing.

    Only root may make some beside the mount points of disks, and give away what commands of root have left in them.
    """
    if owner is None or os.geteuid() != 0:
        return
    for path in paths:
        with contextlib.suppress(OSError):  # reported by those who write there
            if not exists(path):
                os.makedirs(path)
            inside = [entry.path for entry in os.scandir(path)] if is_directory(path) else []
            for each in (path, *inside):
                os.chown(each, owner.uid, owner.gid, follow_symlinks=False)


def replace(path: str, data: bytes, mode: int = 0o644, files: Files = FILES) -> None:
    """Replace a file of the configuration as a whole. Raises OSError.

    It keeps its owner and its rights; a `mode` of 0600 takes those of others away, as it holds secrets. A new one
    belongs to the owner of its directory if root makes it.
    """
    files.replace(path, data, mode, _rights(path, mode))


def _rights(path: str, mode: int) -> FileRights | None:
    is_root = os.geteuid() == 0
    try:
        found = os.stat(path)
        kept = stat.S_IMODE(found.st_mode) & (mode | 0o060)
        return FileRights(found.st_uid, found.st_gid, kept) if is_root else FileRights(-1, -1, kept)
    except FileNotFoundError:
        pass
    if not is_root:
        return None
    directory = os.stat(os.path.dirname(path) or ".")
    # A directory that is open to a group alone is that group's.
    shared = directory.st_mode & 0o040 if not directory.st_mode & _OTHERS else 0
    return FileRights(directory.st_uid, directory.st_gid, mode & ~_umask() | shared)


def _umask() -> int:
    value = os.umask(PRIVATE)
    os.umask(value)
    return value


def open_lock(path: str) -> int:
    """A descriptor of a lock file beside what it protects, which belongs to the owner of the directory."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        directory = os.stat(os.path.dirname(path) or ".")
        os.fchown(fd, directory.st_uid, directory.st_gid)
    return fd


def make_directory(path: str) -> None:
    """Make a directory that belongs to the owner of the one above it, unless it is there. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
        if os.geteuid() == 0:
            above = os.stat(os.path.dirname(path) or ".")
            os.chown(path, above.st_uid, above.st_gid)


def exposed(path: str) -> str:
    """Return why a file with secrets must not be used; empty if it may be used, or is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    if not found.st_mode & _OTHERS:
        return ""
    return f"every user of this host can read {path}, which holds secrets: run `chmod o= {path}`"


def tighten(paths: Iterable[str], mask: int, logger: logging.Logger) -> None:
    """Take rights that the umask does not give from files and directories of ours, which older versions made."""
    for path in paths:
        try:
            found = os.stat(path)
            if found.st_mode & mask & 0o077 and found.st_uid == os.geteuid():
                os.chmod(path, stat.S_IMODE(found.st_mode) & ~mask)
                logger.info("%s: other users could read it; its mode is now %03o", path,
                            stat.S_IMODE(found.st_mode) & ~mask)  # fmt: skip
        except OSError as error:
            logger.warning("%s: cannot change its mode: %s", path, error.strerror)


class _CapabilityHeader(ctypes.Structure):
    """struct __user_cap_header_struct of Linux's capset(2)."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


_CAPABILITY_VERSION = 0x20080522
_PR_SET_KEEPCAPS = 8


def _keep_capabilities() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_KEEPCAPS, ctypes.c_ulong(1), 0, 0, 0)


def _limit_capabilities(number: int) -> None:
    """Keep this capability alone; without it if it cannot be had, as in a container."""
    header = _CapabilityHeader(_CAPABILITY_VERSION, 0)
    word, bit = divmod(number, 32)
    for value in (1 << bit, 0):
        sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable of each of two words
        sets[3 * word] = sets[3 * word + 1] = value
        if ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(header), ctypes.byref(sets)) == 0:
            return
