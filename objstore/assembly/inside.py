"""A store seen from inside: its rings, and access to its nodes without user and token."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from objstore.assembly import processes
from objstore.assembly.apps import cluster_layer, in_process, remote_transports
from objstore.assembly.data_dir import LOCAL_ADDRESSES, DataDir
from objstore.cluster.cluster import Transports
from objstore.core.errors import ConfigError
from objstore.core.policies import ring_name
from objstore.layers.interface import ObjectLayer
from objstore.ring import Ring
from objstore.runtime import cluster_conf, owners
from objstore.runtime.cluster_conf import FILE_NAME, ClusterConf
from objstore.runtime.files import exists
from objstore.runtime.host_report import md5_of
from objstore.server.devices import Devices

USUAL_DIRECTORY = "/etc/objstore"
_QUIET = {"log_to": "none"}  # the command reports failures


class Inside(NamedTuple):
    """Access to a store. directory: of objstore.conf and the rings. devices: this host's, for a store of `objstore
    serve`."""

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

    def layer(self) -> ObjectLayer:
        """Make the object layer of the cluster, in this process."""
        return cluster_layer({**self.conf, "ring_dir": self.directory}, self.transport)


def of_cluster(directory: str) -> Inside:
    """Open a cluster whose configuration is in a directory. Raises ConfigError."""
    if os.access(directory, os.X_OK) and not exists(os.path.join(directory, FILE_NAME)):
        raise ConfigError(f"{directory} holds no {FILE_NAME}: --ring-dir names the directory of a cluster's rings,"
                          " --data that of `objstore serve`")  # fmt: skip
    path = os.path.join(directory, "proxy-server.conf")
    conf = {**(processes.read_defaults(path) if exists(path) else {}), **_QUIET}
    return Inside(directory, conf, cluster_conf.load(directory), remote_transports(conf), None)


def of_data(root: str) -> Inside:
    """Open the store of `objstore serve`, which may be running. Raises ConfigError."""
    data = DataDir(os.path.abspath(root))
    if not exists(data.cluster_conf):
        raise ConfigError(f"{root} was not created by `objstore serve`")
    owners.act_for(data.devices, processes.process_defaults(data.etc))
    conf = {**processes.read_defaults(data.storage_conf), **_QUIET}
    apps, _, transport = in_process(conf, LOCAL_ADDRESSES)
    return Inside(data.etc, conf, cluster_conf.load(data.etc), transport, apps.devices)
