"""A store seen from inside: its rings, and ways to its nodes that need no user and no token."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import click

from objstore.cli import processes
from objstore.cli.apps import in_process, proxy_app, remote_transports
from objstore.cli.data_dir import LOCAL_ADDRESSES, DataDir
from objstore.cluster.cluster import Transports
from objstore.core.errors import ConfigError
from objstore.core.policies import ring_name
from objstore.ring import Ring
from objstore.runtime import cluster_conf, owners
from objstore.runtime.cluster_conf import FILE_NAME, ClusterConf
from objstore.runtime.files import exists
from objstore.runtime.host_report import md5_of
from objstore.server.devices import Devices
from objstore.swift.app import ProxyApp

_Function = TypeVar("_Function", bound=Callable[..., Any])
USUAL_DIRECTORY = "/etc/objstore"
_QUIET = {"log_to": "none"}  # what fails is told by the command


class Inside(NamedTuple):
    """directory: of objstore.conf and the rings. devices: this host's, where the store is that of `objstore serve`."""

    directory: str
    conf: Mapping[str, str]
    cluster: ClusterConf
    transport: Transports
    devices: Devices | None

    @property
    def ring_names(self) -> tuple[str, ...]:
        return ("account", "container", *(ring_name(policy.index) for policy in self.cluster.policies))

    def ring(self, name: str) -> Ring:
        """Raises ConfigError."""
        return Ring.load(os.path.join(self.directory, f"{name}.ring"))

    def ring_md5(self, name: str) -> str:
        """Raises OSError."""
        return md5_of(os.path.join(self.directory, f"{name}.ring"))

    def proxy(self) -> ProxyApp:
        """A proxy without filters, in this process."""
        return proxy_app({**self.conf, "ring_dir": self.directory}, self.transport)


def of_cluster(directory: str) -> Inside:
    """A cluster whose configuration is in a directory. Raises ConfigError."""
    if os.access(directory, os.X_OK) and not exists(os.path.join(directory, FILE_NAME)):
        raise ConfigError(f"{directory} holds no {FILE_NAME}: --ring-dir names the directory of a cluster's rings,"
                          " --data that of `objstore serve`")  # fmt: skip
    path = os.path.join(directory, "proxy-server.conf")
    conf = {**(processes.read_defaults(path) if exists(path) else {}), **_QUIET}
    return Inside(directory, conf, cluster_conf.load(directory), remote_transports(conf), None)


def of_data(root: str) -> Inside:
    """The store of `objstore serve`, which may be running. Raises ConfigError."""
    data = DataDir(os.path.abspath(root))
    if not exists(data.cluster_conf):
        raise ConfigError(f"{root} is no directory of `objstore serve`")
    owners.act_for(data.devices, processes.process_defaults(data.etc))
    conf = {**processes.read_defaults(data.storage_conf), **_QUIET}
    apps, _, transport = in_process(conf, LOCAL_ADDRESSES)
    return Inside(data.etc, conf, cluster_conf.load(data.etc), transport, apps.devices)


def options(command: _Function) -> _Function:
    """The options --data and --ring-dir of a command, as parameters of `opened`."""
    for option in (
        click.option("--ring-dir", type=click.Path(file_okay=False), help=f"Rings and objstore.conf of a cluster."
                     f"  [default: {USUAL_DIRECTORY}]"),
        click.option("--data", type=click.Path(file_okay=False), help="Directory of `objstore serve`."),
    ):  # fmt: skip
        command = option(command)
    return command


def opened(data: str | None, ring_dir: str | None) -> Inside:
    """Raises ConfigError, click.UsageError."""
    if data and ring_dir:
        raise click.UsageError("give either --data or --ring-dir")
    return of_data(data) if data else of_cluster(ring_dir or USUAL_DIRECTORY)
