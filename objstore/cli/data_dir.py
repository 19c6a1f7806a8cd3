"""The directory of `objstore serve`: what it holds, and how it comes to be at the first start.

DIR/credentials.json   endpoint, user and keys, for scripts; mode 0600
DIR/users.json         users and their keys; `objstore user` changes it
DIR/etc/               objstore.conf, proxy-server.conf, storage-server.conf, rings and their builders
DIR/devices/dN/        one directory a device
DIR/run/               state of running processes
"""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import NamedTuple

from objstore.auth.hashing import is_hashed
from objstore.auth.prefixes import Prefix, Prefixes
from objstore.auth.users import User, UserTable
from objstore.auth.users_file import TOKEN_KEY_NAME, USERS_NAME, ensure_first_user, ensure_token_key, read_users
from objstore.core.errors import ConfigError
from objstore.core.nodes import Node
from objstore.ring.builder import RingBuilder
from objstore.ring.builder_file import save_builder, write_ring
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.runtime.files import FILES

# Addresses of the storage servers in the rings of one host: they are called in process.
HOST = "127.0.0.1"
PORTS = {"object": 6200, "container": 6201, "account": 6202}
LOCAL_ADDRESSES = frozenset((HOST, port) for port in PORTS.values())
PART_POWER = 10

PROXY_CONF = """\
# The proxy of `objstore serve`. See the samples that `objstore config sample` prints for every setting.
[DEFAULT]
ring_dir = {etc}
log_name = objstore
metrics_directory = {run}/metrics

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck metrics proxy_logging cache info listing_formats tempauth copy proxy

[app:proxy]
use = egg:objstore#proxy
allow_account_management = yes

[filter:catch_errors]
use = egg:objstore#catch_errors

[filter:gatekeeper]
use = egg:objstore#gatekeeper

[filter:healthcheck]
use = egg:objstore#healthcheck

[filter:metrics]
use = egg:objstore#metrics

[filter:proxy_logging]
use = egg:objstore#proxy_logging

[filter:cache]
use = egg:objstore#cache
shared_file = {run}/cache.generations

[filter:info]
use = egg:objstore#info

[filter:listing_formats]
use = egg:objstore#listing_formats

[filter:tempauth]
use = egg:objstore#tempauth
users_file = {users}
token_key_file = {token_key}

[filter:copy]
use = egg:objstore#copy
"""

STORAGE_CONF = """\
# The account, container and object servers of `objstore serve`, called in process.
[DEFAULT]
ring_dir = {etc}
devices = {devices}
mount_check = no
log_name = objstore
"""

CLUSTER_CONF = """\
# What every process of the cluster must agree on. The hash salt must never change.
[hash]
prefix = {prefix}
suffix = {suffix}

[storage-policy:0]
name = Policy-0
default = yes
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
    def run(self) -> str:
        return os.path.join(self.root, "run")

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


def prepare(data: DataDir, devices: int, replicas: int) -> None:
    """Make what is missing; what is there stays as it is.

    Raises ConfigError where the directory was made for other numbers of devices or replicas.
    """
    for path in (data.root, data.etc, data.devices, data.run, os.path.join(data.run, "metrics")):
        os.makedirs(path, exist_ok=True)
    if not os.path.exists(data.cluster_conf):
        if replicas > devices:
            raise ConfigError(f"{replicas} replicas need as many devices, not {devices}")
        _write_rings(data, devices, replicas)
        _write_confs(data)
    ensure_first_user(data.users)


def _write_confs(data: DataDir) -> None:
    names = {
        "etc": data.etc, "run": data.run, "users": data.users, "devices": data.devices, "token_key": data.token_key,
    }  # fmt: skip
    ensure_token_key(data.token_key)
    FILES.replace(data.proxy_conf, PROXY_CONF.format(**names).encode())
    FILES.replace(data.storage_conf, STORAGE_CONF.format(**names).encode())
    salt = {"prefix": secrets.token_hex(16), "suffix": secrets.token_hex(16)}
    # Last: that it is there says that the directory is complete.
    FILES.replace(data.cluster_conf, CLUSTER_CONF.format(**salt).encode(), 0o600)


def _write_rings(data: DataDir, devices: int, replicas: int) -> None:
    for number in range(1, devices + 1):
        os.makedirs(os.path.join(data.devices, f"d{number}"), exist_ok=True)
    for kind, port in PORTS.items():
        builder = RingBuilder(PART_POWER, replicas, 1)
        for number in range(1, devices + 1):
            builder.add(Node(-1, 1, number, HOST, port, f"d{number}", HOST, port, 100.0))
        builder.rebalance(time.time(), seed=0)
        save_builder(builder, os.path.join(data.etc, f"{kind}.builder"))
        write_ring(builder, os.path.join(data.etc, f"{kind}.ring"))


def write_credentials(data: DataDir, endpoint: str) -> dict[str, str]:
    """What scripts need to use the store, as written to credentials.json: of the first user with plain keys."""
    known = read_users(data.users)
    user = next((user for user in known.values() if user.key and not is_hashed(user.key)), None)
    if user is None:
        user = next(iter(known.values()), User("nobody:nobody"))
    account = UserTable([user], Prefixes([Prefix("AUTH_")])).logins[user.name].account
    plain = "" if is_hashed(user.key) else user.key
    said = {
        "endpoint": endpoint,
        "auth_url": f"{endpoint}/auth/v1.0",
        "storage_url": f"{endpoint}/v1/{account}",
        "user": user.name,
        "key": plain,
        "access_key": user.access_key,
        "secret_key": user.secret_key,
    }
    FILES.replace(data.credentials, json.dumps(said, indent=2).encode() + b"\n", 0o600)
    return said
