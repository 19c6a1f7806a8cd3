"""The devices of one host: directories under a root, each with its stores, opened on first use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from objstore.core.errors import DeviceUnavailable
from objstore.runtime.device_counts import is_device, is_device_name
from objstore.runtime.drives import Outs
from objstore.runtime.threads import ThreadPool
from objstore.store.interface import ObjectStore
from objstore.store.leases import Leases


class Makers(NamedTuple):
    """How the stores of a device are made, each given the device's path."""

    objects: Callable[[str, int], ObjectStore]  # and the storage policy's index
    containers: Callable[[str], Any]
    accounts: Callable[[str], Any]
    spool: Callable[[str, int], Any]
    patience: float = 0.0  # see `runtime.threads`, in seconds


class Device:
    """One device; a store is made when first asked for, and kept."""

    def __init__(self, path: str, makers: Makers) -> None:
        self.path = path
        self._makers = makers
        self._stores: dict[Any, Any] = {}

    def _kept(self, key: Any, make: Callable[..., Any], *args: Any) -> Any:
        store = self._stores.get(key)
        if store is None:
            store = self._stores[key] = make(self.path, *args)
        return store

    def objects(self, policy: int) -> ObjectStore:
        return self._kept(policy, self._makers.objects, policy)

    def leases(self, policy: int) -> Leases:
        return self._kept(("leases", policy), Leases, policy)

    @property
    def containers(self) -> Any:
        return self._kept("containers", self._makers.containers)

    @property
    def accounts(self) -> Any:
        return self._kept("accounts", self._makers.accounts)

    def spool(self, policy: int) -> Any:
        return self._kept(("spool", policy), self._makers.spool, policy)

    @property
    def threads(self) -> ThreadPool:
        """Where calls of the spools wait for the device, so that those of others do not wait with them."""
        return self._kept("threads", lambda path: ThreadPool(f"spool:{path}", 1, self._makers.patience))


class Devices:
    """root: the directory that holds the devices' mount points.

    mount_check: a device that is not a mount point is unavailable, so that a disk that did
    not come up never fills the root file system. One that was taken out (see `runtime.drives`) is
    unavailable too. Checked at most once in `check_interval` seconds.
    """

    def __init__(self, root: str, makers: Makers, mount_check: bool, check_interval: float = 1.0) -> None:
        self.root = root
        self.mount_check = mount_check
        self._makers = makers
        self._interval = check_interval
        self._outs = Outs(root)
        self._devices: dict[str, Device] = {}
        self._checked: dict[str, float] = {}

    def names(self) -> list[str]:
        """The devices there are, mounted or not. Raises OSError."""
        return sorted(entry.name for entry in os.scandir(self.root) if is_device(entry))

    def available(self, name: str) -> bool:
        path = os.path.join(self.root, name)
        there = os.path.ismount(path) if self.mount_check else os.path.isdir(path)
        return there and name not in self._outs

    def get(self, name: str) -> Device:
        """Raises DeviceUnavailable."""
        now = time.monotonic()
        if now - self._checked.get(name, -1e9) > self._interval:
            if not is_device_name(name) or not self.available(name):
                self._checked.pop(name, None)
                raise DeviceUnavailable(f"{name} is not mounted" if self.mount_check else f"{name} is not there")
            self._checked[name] = now
        device = self._devices.get(name)
        if device is None:
            device = self._devices[name] = Device(os.path.join(self.root, name), self._makers)
        return device
