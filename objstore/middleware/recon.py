"""/recon/<topic>: the state of a storage server's host as JSON, for monitoring (Swift: Cluster Telemetry).

Topics of the host are measured when asked for, in a thread, as they look at disks. Any
other topic is a file `<topic>.json` that a daemon keeps in `recon_cache_path`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

import objstore
from objstore.runtime import settings
from objstore.runtime.threads import ThreadPool
from objstore.web.requests import Environ, StartResponse, WsgiApp
from objstore.web.responses import Response, error

SETTINGS = (
    settings.Setting("devices", str.strip, "/srv/node", "directory that holds the devices' mount points"),
    settings.Setting(
        "mount_check", settings.boolean, "true", "a device that is not a mount point is told as unmounted"
    ),
    settings.Setting("ring_dir", str.strip, "/etc/objstore", "directory of the ring files"),
    settings.Setting("recon_cache_path", str.strip, "/var/cache/objstore", "where daemons keep what they tell"),
)

_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z", re.ASCII)
_SPOOL = "async_pending"  # a directory a policy on each device: async_pending, async_pending-1


class Host:
    """What can be told of this host; each public method is a topic. All but `version` and `time` may block."""

    def __init__(self, devices: str, ring_directory: str, mount_check: bool = True) -> None:
        self._root = devices
        self._ring_directory = ring_directory
        self._mount_check = mount_check

    def version(self) -> Any:
        return {"version": objstore.__version__}

    def time(self) -> Any:
        """Seconds since the epoch by this host's clock."""
        return time.time()

    def mem(self) -> Any:
        """Bytes."""
        return {**psutil.virtual_memory()._asdict(), "swap": psutil.swap_memory()._asdict()}

    def load(self) -> Any:
        one, five, fifteen = psutil.getloadavg()
        return {"1m": one, "5m": five, "15m": fifteen, "processes": len(psutil.pids()), "cpus": psutil.cpu_count()}

    def sockstat(self) -> Any:
        """Sockets of this host by state; memory in bytes. Empty where the system does not tell."""
        told: dict[str, int] = {}
        for path in ("/proc/net/sockstat", "/proc/net/sockstat6"):
            for protocol, fields in _fields_of(path):
                if protocol == "TCP":
                    told["tcp_in_use"] = fields.get("inuse", 0)
                    told["orphan"] = fields.get("orphan", 0)
                    told["time_wait"] = fields.get("tw", 0)
                    told["tcp_mem_allocated_bytes"] = fields.get("mem", 0) * os.sysconf("SC_PAGE_SIZE")
                elif protocol == "TCP6":
                    told["tcp6_in_use"] = fields.get("inuse", 0)
        return told

    def devices(self) -> Any:
        return {self._root: self._names()}

    def mounted(self) -> Any:
        return [{"device": part.device, "path": part.mountpoint} for part in psutil.disk_partitions(all=True)]

    def unmounted(self) -> Any:
        return [{"device": name, "mounted": False} for name in self._names() if not self._is_mounted(name)]

    def diskusage(self) -> Any:
        """Bytes of each device; `avail` is what is left to others than root."""
        return [self._usage(name) for name in self._names()]

    def quarantined(self) -> Any:
        """How many objects and databases lie in quarantine."""
        counts: dict[str, Any] = {"accounts": 0, "containers": 0, "objects": 0, "policies": {}}
        for name in self._names():
            for kind in _entries(os.path.join(self._root, name, "quarantined")):
                found = len(_entries(kind.path)) if kind.is_dir() else 0
                base, _, policy = kind.name.partition("-")
                if base == "objects":
                    of_policy = counts["policies"].setdefault(policy or "0", {"objects": 0})
                    of_policy["objects"] += found
                if base in counts:
                    counts[base] += found
        return counts

    def async_pending(self) -> Any:
        """Container updates that wait in the spools of all devices."""
        spools = (
            entry.path
            for name in self._names()
            for entry in _entries(os.path.join(self._root, name))
            if entry.name == _SPOOL or entry.name.startswith(_SPOOL + "-")
        )
        return {"async_pending": sum(_files_below(path) for path in spools)}

    def ringmd5(self) -> Any:
        """MD5 of each ring file in hex: hosts whose values differ hold different rings."""
        told = {}
        for entry in _entries(self._ring_directory):
            if entry.name.endswith(".ring"):
                with open(entry.path, "rb") as file:
                    told[entry.path] = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return told

    def _names(self) -> list[str]:
        return [entry.name for entry in _entries(self._root) if entry.is_dir()]

    def _is_mounted(self, name: str) -> bool:
        return not self._mount_check or os.path.ismount(os.path.join(self._root, name))

    def _usage(self, name: str) -> dict[str, Any]:
        if not self._is_mounted(name):
            return {"device": name, "mounted": False, "size": "", "used": "", "avail": ""}
        usage = psutil.disk_usage(os.path.join(self._root, name))
        return {"device": name, "mounted": True, "size": usage.total, "used": usage.used, "avail": usage.free}


def _entries(path: str) -> list[os.DirEntry[str]]:
    """The entries of a directory by name, none where it cannot be read."""
    try:
        return sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return []


def _files_below(path: str) -> int:
    return sum(len(files) for _, _, files in os.walk(path))


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


_TOPICS: Mapping[str, Callable[[Host], Any]] = {
    "async": Host.async_pending,
    "devices": Host.devices,
    "diskusage": Host.diskusage,
    "load": Host.load,
    "mem": Host.mem,
    "mounted": Host.mounted,
    "quarantined": Host.quarantined,
    "ringmd5": Host.ringmd5,
    "sockstat": Host.sockstat,
    "time": Host.time,
    "unmounted": Host.unmounted,
    "version": Host.version,
}


class Recon:
    """The filter. threads: where topics are measured."""

    def __init__(self, app: WsgiApp, *, host: Host, cache_path: str, threads: ThreadPool) -> None:
        self.app = app
        self._host = host
        self._cache_path = cache_path
        self._threads = threads

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[Any]:
        path = environ["PATH_INFO"]
        if path[:7] != "/recon/":
            return self.app(environ, start_response)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return error(405, headers={"Allow": "GET, HEAD"})(environ, start_response)
        return self._answer(path[7:].rstrip("/"))(environ, start_response)

    def _answer(self, topic: str) -> Response:
        measure = _TOPICS.get(topic)
        if measure is not None:
            body = json.dumps(self._threads.run(measure, self._host)).encode()
        elif _TOPIC.match(topic):
            told = self._threads.run(_daemon_file, os.path.join(self._cache_path, f"{topic}.json"))
            if told is None:
                return error(404, f"Nothing is known of {topic}")
            body = told
        else:
            return error(404, "Invalid path")
        return Response(200, {"Content-Type": "application/json"}, body)


def _daemon_file(path: str) -> bytes | None:
    """What a daemon told, None where it told nothing."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WsgiApp], Recon]:
    values = settings.read(SETTINGS, {**global_conf, **local_conf}, "filter:recon")
    host = Host(values.devices, values.ring_dir, values.mount_check)
    threads = ThreadPool("recon", 1)
    return lambda app: Recon(app, host=host, cache_path=values.recon_cache_path, threads=threads)
