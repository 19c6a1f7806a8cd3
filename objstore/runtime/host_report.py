"""The report of a storage host: its devices, rings, settings, daemons and load, read at each request."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import psutil

import objstore
from objstore.core.errors import ConfigError
from objstore.runtime import cluster_conf, device_counts, recon_files
from objstore.runtime.device_counts import DeviceCounts
from objstore.runtime.drives import Outs

_RING = ".ring"
_Stamp = tuple[int, int, int]  # of a file: inode, when it was changed in ns, size


class Paths(NamedTuple):
    """devices: directory of mount points. recon: where daemons keep what they tell."""

    devices: str
    rings: str
    recon: str
    mount_check: bool = True


class Host:
    """Each public method is a topic of /recon; all may block but `version` and `time`."""

    def __init__(self, paths: Paths, ring_version: Callable[[str], int] | None = None) -> None:
        """ring_version: of the ring file at a path; may raise ConfigError."""
        self.paths = paths
        self._ring_version = ring_version
        self._outs = Outs(paths.devices)
        self._counts = DeviceCounts(partial(device_counts.count, paths.devices, is_mounted=self._is_mounted))
        self._rings: dict[str, tuple[_Stamp, dict[str, object]]] = {}  # by path, as long as unchanged
        self._settings: tuple[_Stamp, dict[str, str]] | None = None

    def version(self) -> Any:
        return {"version": objstore.__version__}

    def time(self) -> object:
        """Seconds since the epoch by this host's clock."""
        return time.time()

    def mem(self) -> object:
        """Bytes."""
        return {**psutil.virtual_memory()._asdict(), "swap": psutil.swap_memory()._asdict()}

    def load(self) -> object:
        one, five, fifteen = psutil.getloadavg()
        return {"1m": one, "5m": five, "15m": fifteen, "processes": len(psutil.pids()), "cpus": psutil.cpu_count()}

    def sockstat(self) -> object:
        """Sockets of this host by state; memory in bytes. Empty if the system does not tell."""
        report: dict[str, int] = {}
        for path in ("/proc/net/sockstat", "/proc/net/sockstat6"):
            for protocol, fields in _fields_of(path):
                if protocol == "TCP":
                    report["tcp_in_use"] = fields.get("inuse", 0)
                    report["orphan"] = fields.get("orphan", 0)
                    report["time_wait"] = fields.get("tw", 0)
                    report["tcp_mem_allocated_bytes"] = fields.get("mem", 0) * os.sysconf("SC_PAGE_SIZE")
                elif protocol == "TCP6":
                    report["tcp6_in_use"] = fields.get("inuse", 0)
        return report

    def devices(self) -> object:
        return {self.paths.devices: self._names()}

    def mounted(self) -> object:
        return [{"device": part.device, "path": part.mountpoint} for part in psutil.disk_partitions(all=True)]

    def unmounted(self) -> object:
        return [{"device": name, "mounted": False} for name, found in self.counted().items() if not found.mounted]

    def diskusage(self) -> object:
        """Bytes of each device; `avail` is what is left to others than root."""
        return [_usage(name, found) for name, found in self.counted().items()]

    def quarantined(self) -> object:
        """Return the numbers of quarantined objects and databases, and the names of some, by device and kind."""
        counts: dict[str, Any] = {"accounts": 0, "containers": 0, "objects": 0, "policies": {}}
        some: dict[str, dict[str, list[str]]] = {}
        for name in self._names():
            for kind, names in device_counts.quarantined(os.path.join(self.paths.devices, name)).items():
                base, _, policy = kind.partition("-")
                if base == "objects":
                    of_policy = counts["policies"].setdefault(policy or "0", {"objects": 0})
                    of_policy["objects"] += len(names)
                if base in ("accounts", "containers", "objects"):
                    counts[base] += len(names)
                if names:
                    some.setdefault(name, {})[kind] = sorted(names)[: device_counts.MAX_NAMES]
        return {**counts, "names": some}

    def async_pending(self) -> object:
        """Container updates that wait in the spools of all devices."""
        return {"async_pending": sum(found.async_pending for found in self.counted().values())}

    def ringmd5(self) -> object:
        """MD5 of each ring file in hex: hosts whose values differ hold different rings."""
        return {os.path.join(self.paths.rings, name + _RING): report["md5"] for name, report in self.rings().items()}

    def rings(self) -> Any:
        """Return for each ring by name: MD5 and change time of its file, and the ring's version."""
        report = {}
        for entry in device_counts.entries(self.paths.rings):
            if entry.name.endswith(_RING):
                report[entry.name.removesuffix(_RING)] = self._ring(entry.path)
        return report

    def settings(self) -> object:
        """Digests of what must be the same on all hosts; secrets cannot be learned from them."""
        try:
            found = os.stat(os.path.join(self.paths.rings, cluster_conf.FILE_NAME))
            stamp = found.st_ino, found.st_mtime_ns, found.st_size
            if self._settings is None or self._settings[0] != stamp:
                self._settings = stamp, settings_digest(cluster_conf.load(self.paths.rings))
            return self._settings[1]
        except (ConfigError, OSError) as error:
            return {"error": str(error)}

    def daemons(self) -> object:
        """The state of each daemon by name, as it told last; `alive`: is its process still there?"""
        report = recon_files.read_all(self.paths.recon)
        return {
            name: {**state, "alive": is_alive(state)}
            for name, state in report.items()
            if isinstance(state, dict) and "pid" in state and "passes_total" in state
        }

    def driveaudit(self) -> object:
        """Return the last report of the drive audit; None if there is none."""
        return recon_files.read(self.paths.recon, "driveaudit")

    def summary(self) -> Any:
        """All that `objstore status` wants to know, in one answer. Times: seconds since the epoch; sizes: bytes."""
        memory = psutil.virtual_memory()
        outs, returned = self._outs.all(), self._outs.returned()
        return {
            **self.version(),
            "host": platform.node(),
            "time": time.time(),
            "uptime": time.time() - psutil.boot_time(),
            "load": self.load(),
            "memory": {"total": memory.total, "available": memory.available},
            "devices": {
                name: {
                    **device_counts.as_json(found),
                    "out": outs[name].get("why", "") if name in outs else None,
                    "returned": returned.get(name),
                }
                for name, found in self.counted().items()
            },
            "rings": self.rings(),
            "settings": self.settings(),
            "daemons": self.daemons(),
            "driveaudit": self.driveaudit(),
        }

    def counted(self) -> dict[str, device_counts.Counted]:
        """Each device's room, quarantine and spools, some seconds old at most unless it is `late`."""
        return self._counts.get(self._names())

    def _names(self) -> list[str]:
        return device_counts.device_names(self.paths.devices)

    def _is_mounted(self, name: str) -> bool:
        """Raises OSError if the system does not say."""
        if name in self._outs:
            return False
        if not self.paths.mount_check:
            return True
        path = os.path.join(self.paths.devices, name)
        return os.lstat(path).st_dev != os.stat(self.paths.devices).st_dev

    def _ring(self, path: str) -> dict[str, object]:
        found = os.stat(path)
        stamp = found.st_ino, found.st_mtime_ns, found.st_size
        known = self._rings.get(path)
        if known is None or known[0] != stamp:
            known = self._rings[path] = stamp, self._read_ring(path, found.st_mtime)
        return known[1]

    def _read_ring(self, path: str, modified: float) -> dict[str, object]:
        md5 = md5_of(path)
        version = None
        if self._ring_version is not None:
            try:
                version = self._ring_version(path)
            except ConfigError:
                pass  # damaged: its MD5 tells that it differs
        return {"md5": md5, "modified": modified, "version": version}


def md5_of(path: str) -> str:
    """Return the MD5 of a file, in hex. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def settings_digest(cluster: cluster_conf.ClusterConf) -> dict[str, str]:
    """One digest for each part of `objstore.conf`, and one of all."""
    salt = [cluster.salt.prefix.hex(), cluster.salt.suffix.hex()]
    parts = {
        "salt": _digest(salt, rounds=20_000),
        "policies": _digest([str(policy) for policy in sorted(cluster.policies, key=lambda policy: policy.index)]),
        "limits": _digest(cluster.limits._asdict()),
        "ages": _digest(cluster.reclaim_age),
    }
    return {**parts, "digest": _digest(parts)}


def _digest(value: object, rounds: int = 1) -> str:
    """rounds: additional ones for secrets, which must not be guessed from their digest."""
    data = json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.pbkdf2_hmac("sha256", data, b"objstore settings", rounds, 8).hex()


def _usage(name: str, found: device_counts.Counted) -> dict[str, object]:
    if found.usage is None:
        return {"device": name, "mounted": False, "size": "", "used": "", "avail": ""}
    return {"device": name, "mounted": True, **found.usage._asdict()}


def is_alive(state: Mapping[str, Any]) -> bool:
    """Is there a process of this number that is as old as the daemon?"""
    try:
        born = psutil.Process(int(state["pid"])).create_time()
        return bool(born <= float(state["started"]) + 60)
    except (psutil.Error, ValueError, TypeError, KeyError):
        return False


def _fields_of(path: str) -> Iterable[tuple[str, dict[str, int]]]:
    """Lines such as `TCP: inuse 5 orphan 0` of a file of /proc."""
    try:
        with open(path, encoding="ascii") as file:
            lines = file.readlines()
    except OSError:
        return
    for line in lines:
        protocol, _, rest = line.partition(":")
        words = rest.split()
        yield protocol, dict(zip(words[::2], map(int, words[1::2]), strict=False))


TOPICS: Mapping[str, Callable[[Host], object]] = {
    "async": Host.async_pending,
    "daemons": Host.daemons,
    "devices": Host.devices,
    "diskusage": Host.diskusage,
    "driveaudit": Host.driveaudit,
    "load": Host.load,
    "mem": Host.mem,
    "mounted": Host.mounted,
    "quarantined": Host.quarantined,
    "ringmd5": Host.ringmd5,
    "rings": Host.rings,
    "settings": Host.settings,
    "sockstat": Host.sockstat,
    "summary": Host.summary,
    "time": Host.time,
    "unmounted": Host.unmounted,
    "version": Host.version,
}
