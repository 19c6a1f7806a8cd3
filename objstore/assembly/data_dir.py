"""The directory of `objstore serve`: its contents, and their creation at the first start.

DIR/credentials.json   endpoint, user and keys, for scripts; mode 0600
DIR/users.json         users and their keys; `objstore user` changes it
DIR/etc/               objstore.conf, proxy-server.conf, storage-server.conf, rings and their builders
DIR/devices/dN/        one directory per device
DIR/log/access.log     one line per request, with the fields of Swift's proxy-logging
DIR/log/buckets/       records of buckets' server access logs, until they are delivered
DIR/run/               state of running processes; DIR/run/lock is held while a server runs
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from objstore.assembly.cluster_dir import FIRST_PORT, PORT_OFFSETS, ClusterPlan, PlannedHost, cluster_text, write_rings
from objstore.assembly.conf_text import Values, config_text
from objstore.assembly.former_pipelines import renewed
from objstore.assembly.kinds import KINDS
from objstore.assembly.processes import run_apart
from objstore.auth.hashing import is_hashed
from objstore.auth.prefixes import Prefix, Prefixes
from objstore.auth.users import User, UserTable
from objstore.auth.users_file import (
    FIRST_USER,
    TOKEN_KEY_NAME,
    USERS_NAME,
    ensure_first_user,
    ensure_token_key,
    read_users,
)
from objstore.core.errors import ConfigError
from objstore.ring import Ring
from objstore.runtime import owners
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.runtime.device_counts import device_paths
from objstore.runtime.files import FILES, exists

# Addresses of the storage servers in the rings of one host: they are called in process.
HOST = "127.0.0.1"
LOCAL_ADDRESSES = frozenset((HOST, FIRST_PORT + offset) for offset in PORT_OFFSETS.values())
PART_POWER = 10

STORAGE_CONF = """\
# The account, container and object servers of `objstore serve`, called in process.
[DEFAULT]
ring_dir = %(here)s
devices = %(here)s/../devices
mount_check = no
log_name = objstore
"""


class DataDir(NamedTuple):
    """Paths under the directory of a store."""

    root: str

    @property
    def etc(self) -> str:
        return os.path.join(self.root, "etc")

    @property
    def devices(self) -> str:
        return os.path.join(self.root, "devices")

    @property
    def log(self) -> str:
        return os.path.join(self.root, "log")

    @property
    def bucket_logs(self) -> str:
        return os.path.join(self.root, "log", "buckets")

    @property
    def run(self) -> str:
        return os.path.join(self.root, "run")

    @property
    def lock(self) -> str:
        return os.path.join(self.run, "lock")

    @property
    def users(self) -> str:
        return os.path.join(self.root, USERS_NAME)

    @property
    def token_key(self) -> str:
        return os.path.join(self.etc, TOKEN_KEY_NAME)

    @property
    def credentials(self) -> str:
        return os.path.join(self.root, "credentials.json")

    @property
    def proxy_conf(self) -> str:
        return os.path.join(self.etc, "proxy-server.conf")

    @property
    def storage_conf(self) -> str:
        return os.path.join(self.etc, "storage-server.conf")

    @property
    def cluster_conf(self) -> str:
        return os.path.join(self.etc, FILE_NAME)

    def private_paths(self) -> list[str]:
        """Return the paths that others must not read: the directory, so nothing in it; devices, which may be elsewhere;
        secrets."""
        secret = [self.users, self.token_key, self.credentials, self.cluster_conf]
        return [self.root, *device_paths(self.devices), *filter(exists, secret)]


@contextlib.contextmanager
def locked(data: DataDir, patience: float = 40.0) -> Iterator[None]:
    """Lock the directory for one server; raises ConfigError, with its pid, if another runs on it.

    Its workers hold the lock too. If they outlive it, it was killed: they end by themselves, and we wait up to
    `patience` seconds for them.
    """
    os.makedirs(data.run, exist_ok=True)
    fd = os.open(data.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        give_up = time.monotonic() + patience
        while not _try_lock(fd):
            pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            if _runs(pid) or time.monotonic() > give_up:
                raise ConfigError(f"another objstore serve (pid {pid or 'unknown'}) runs on {data.root}")
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(fd)


def is_served(data: DataDir) -> bool:
    """Return whether a server runs on the directory."""
    try:
        fd = os.open(data.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _try_lock(fd: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs(pid: str) -> bool:
    """Return whether a process of this number exists; True if that is unknown."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True
    return True


def prepare(data: DataDir, devices: int | None, replicas: int | None) -> bool:
    """Create missing files and keep existing ones; return whether this is the first start. None: keep, or 1 at the
    first start.

    Raises ConfigError if the directory was made for other numbers of devices or replicas.
    """
    for path in (data.root, data.etc, data.devices, data.log, os.path.join(data.run, "metrics")):
        os.makedirs(path, exist_ok=True)
    if exists(data.cluster_conf):
        _check_numbers(data, devices, replicas)
        _renew_pipeline(data)
    else:
        plan = ClusterPlan((PlannedHost(1, 1, HOST),), devices or 1, replicas or 1, PART_POWER)
        if plan.replicas > plan.devices:
            raise ConfigError(f"{plan.replicas} replicas need as many devices, not {plan.devices}")
        for name in plan.device_names:
            os.makedirs(os.path.join(data.devices, name), exist_ok=True)
        run_apart(lambda: write_rings(data.etc, plan))
        _write_confs(data, plan)
    return ensure_first_user(data.users) is not None


def _renew_pipeline(data: DataDir) -> None:
    """See `former_pipelines`."""
    with open(data.proxy_conf, encoding="utf-8") as file:
        text = file.read()
    new = renewed(text, KINDS["proxy"], _PROXY_VALUES)
    if new != text:
        FILES.replace(data.proxy_conf, new.encode())


def _check_numbers(data: DataDir, devices: int | None, replicas: int | None) -> None:
    if devices is None and replicas is None:
        return
    ring = Ring.load(os.path.join(data.etc, "object.ring"))
    has = {"devices": sum(node is not None for node in ring.devices), "replicas": ring.replica_count}
    for name, wanted in (("devices", devices), ("replicas", replicas)):
        if wanted is not None and wanted != has[name]:
            raise ConfigError(
                f"{data.root} has {has[name]:g} {name}, not {wanted}: start without --{name},"
                f" or change the rings in {data.etc} with `objstore ring`"
            )


def _write_confs(data: DataDir, plan: ClusterPlan) -> None:
    ensure_token_key(data.token_key)
    intro = "The proxy of `objstore serve`. `objstore config sample proxy` lists all settings."
    FILES.replace(data.proxy_conf, config_text(KINDS["proxy"], intro, _PROXY_VALUES).encode())
    FILES.replace(data.storage_conf, STORAGE_CONF.encode())
    # Last: its presence shows that the directory is complete.
    FILES.replace(data.cluster_conf, cluster_text(plan.policies).encode(), 0o600)


_PROXY_VALUES: Values = {
    "DEFAULT": {"ring_dir": "%(here)s", "log_name": "objstore", "metrics_directory": "%(here)s/../run/metrics"},
    "ratelimit": {"ratelimit_file": "%(here)s/../run/ratelimit.state"},
    "app": {"allow_account_management": "yes"},
    "cache": {"shared_file": "%(here)s/../run/cache.generations"},
    # To a file: one line per request would disturb a terminal, or fill a pipe that nobody reads.
    "proxy_logging": {"access_log_to": "%(here)s/../log/access.log", "access_log_size": "64M"},
    "tempauth": {"users_file": f"%(here)s/../{USERS_NAME}", "token_key_file": f"%(here)s/{TOKEN_KEY_NAME}"},
}


def credentials_user(data: DataDir) -> str:
    """Return the user of credentials.json."""
    return str(_credentials(data).get("user") or FIRST_USER)


def refresh_credentials(data: DataDir) -> None:
    """Write the current keys of its user to credentials.json, if it exists."""
    endpoint = _credentials(data).get("endpoint")
    if endpoint:
        write_credentials(data, str(endpoint))


def _credentials(data: DataDir) -> dict[str, object]:
    try:
        with open(data.credentials, "rb") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def write_credentials(data: DataDir, endpoint: str) -> dict[str, str]:
    """Write credentials.json, with all that scripts need to use the store.

    The keys are those of the user that the file names, at the first start of the first user. If that user was removed,
    the file has no keys, rather than those of another user.
    """
    name = credentials_user(data)
    user = read_users(data.users).get(name, User(""))
    account = UserTable([user], Prefixes([Prefix("AUTH_")])).logins[user.name].identity.account if user.name else ""
    plain = "" if is_hashed(user.key) else user.key
    credentials = {
        "endpoint": endpoint,
        "auth_url": f"{endpoint}/auth/v1.0",
        "storage_url": f"{endpoint}/v1/{account}" if account else "",
        "user": user.name,
        "key": plain,
        "access_key": user.access_key,
        "secret_key": user.secret_key,
    }
    owners.replace(data.credentials, json.dumps(credentials, indent=2).encode() + b"\n", 0o600)
    return credentials
