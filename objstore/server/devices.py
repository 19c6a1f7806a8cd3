"""The devices of one host: directories under a root, each with its stores, opened at their first use."""

from __future__ import annotations

import os
import stat
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from objstore.core.errors import DeviceUnavailable
from objstore.runtime import green
from objstore.runtime.device_counts import is_device, is_device_name
from objstore.runtime.drives import Outs
from objstore.runtime.system_calls import file_system_of
from objstore.runtime.threads import ThreadPool
from objstore.store.databases import AccountStore, ContainerStore
from objstore.store.interface import ObjectStore
from objstore.store.leases import Leases
from objstore.store.spool import Spool

_Arguments = TypeVarTuple("_Arguments")
_Store = TypeVar("_Store")
_LEAST_INTERVAL = 0.1  # seconds


class Makers(NamedTuple):
    """Functions that make the stores of a device, given its path."""

    objects: Callable[[str, int], ObjectStore]  # and the storage policy's index
    containers: Callable[[str], ContainerStore]
    accounts: Callable[[str], AccountStore]
    spool: Callable[[str, int], Spool]
    patience: float = 0.0  # see `runtime.threads`, in seconds
    # Says of a store of objects that it does not see all that is there by now, and must be made again.
    is_outgrown: Callable[[ObjectStore], bool] = lambda store: False


class Device:
    """A device; its stores are made at their first use, and kept.

    file_system: number of the file system at the path when the device was first used.
    """

    def __init__(self, path: str, makers: Makers, file_system: int) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.file_system = file_system
        self.gone = False  # another file system was at the path
        self.releasing: threading.Thread | None = None
        self._makers = makers
        self._stores: dict[object, Any] = {}
        self._leases: dict[int, Leases] = {}

    def _store(self, key: object, make: Callable[[str, *_Arguments], _Store], *args: *_Arguments) -> _Store:
        store: _Store | None = self._stores.get(key)
        if store is None:
            store = self._stores[key] = make(self.path, *args)
        return store

    def require_same(self) -> None:
        """Raise DeviceUnavailable if another file system is at the path now.

        Called before a change is acknowledged, and before a name is reported missing: after a lazy umount the path
        leads to the directory beneath the mount point.
        """
        try:
            same = file_system_of(self.path) == self.file_system
        except OSError as error:
            raise DeviceUnavailable(f"{self.path}: {error}") from error
        if not same:
            self.gone = True
            raise DeviceUnavailable(f"{self.path} was unmounted")

    def release(self) -> None:
        """Close all files kept open for later calls, so that the device can be unmounted. Blocks."""
        for store in list(self._stores.values()):
            release = getattr(store, "release", None)
            if release is not None:
                release()

    def let_go(self) -> None:
        """Let stores close what others asked for. Does not wait."""
        for store in list(self._stores.values()):
            let_go = getattr(store, "let_go", None)
            if let_go is not None:
                let_go()

    def objects(self, policy: int) -> ObjectStore:
        known: ObjectStore | None = self._stores.get(policy)
        if known is not None and self._makers.is_outgrown(known):
            outgrown = self._stores.pop(policy, None)
            if outgrown is not None and hasattr(outgrown, "release"):
                outgrown.release()
            known = None
        return known or self._store(policy, self._makers.objects, policy)

    def leases(self, policy: int) -> Leases:
        known = self._leases.get(policy)
        if known is None:
            known = self._leases[policy] = Leases(self.path, policy)
        return known

    @property
    def containers(self) -> ContainerStore:
        known: ContainerStore | None = self._stores.get("containers")
        return known or self._store("containers", self._makers.containers)

    @property
    def accounts(self) -> AccountStore:
        return self._store("accounts", self._makers.accounts)

    def spool(self, policy: int) -> Spool:
        return self._store(("spool", policy), self._makers.spool, policy)

    @property
    def threads(self) -> ThreadPool:
        """Threads in which calls of the spools wait for the device, so that other calls do not wait with them."""
        return self._store("threads", lambda path: ThreadPool(f"spool:{path}", 1, self._makers.patience))


class Devices:
    """The devices of a host. root: the directory that holds their mount points.

    mount_check: a device that is not a mount point is unavailable, so that a disk that did not come up never fills the
    root file system. Without it, one that once was a mount point must stay one. A device that was taken out (see
    `runtime.drives`) is unavailable too. Checked at most once in `check_interval` seconds, in addition to
    `Device.require_same`. Files of an unavailable device are closed within the same time.
    """

    def __init__(self, root: str, makers: Makers, mount_check: bool, check_interval: float = 1.0) -> None:
        self.root = root
        self.mount_check = mount_check
        self._makers = makers
        self._interval = check_interval
        self._outs = Outs(root)
        self._devices: dict[str, Device] = {}
        self._checked: dict[str, float] = {}
        self._watched_by = 0  # the process that watches for devices to be released

    def names(self) -> list[str]:
        """Return the names of all devices, mounted or not. Raises OSError."""
        return sorted(entry.name for entry in os.scandir(self.root) if is_device(entry))

    def get(self, name: str) -> Device:
        """Raises DeviceUnavailable."""
        now = time.monotonic()
        device = self._devices.get(name)
        if device is None or device.gone or now - self._checked.get(name, -1e9) > self._interval:
            self._checked.pop(name, None)
            device = self._check(name)
            self._checked[name] = now
        return device

    def _check(self, name: str) -> Device:
        """Check the device again. Raises DeviceUnavailable."""
        if not is_device_name(name):
            raise DeviceUnavailable(f"{name} is not a device")
        path = os.path.join(self.root, name)
        known = self._devices.get(name)
        try:
            if name in self._outs:
                raise DeviceUnavailable(f"{name} was taken out")
            above = os.stat(self.root).st_dev
            if self.mount_check or (known is not None and known.file_system != above):
                found = os.lstat(path) if self.mount_check else os.stat(path)
                if found.st_dev == above:
                    raise DeviceUnavailable(f"{name} is not mounted")
            else:
                found = os.stat(path)
        except FileNotFoundError:
            raise DeviceUnavailable(f"{name} is missing") from None
        except OSError as error:
            raise DeviceUnavailable(f"{path}: {error}") from error
        if not stat.S_ISDIR(found.st_mode):
            raise DeviceUnavailable(f"{name} is not a directory")
        self._watch()
        if known is not None and known.file_system == found.st_dev:
            known.gone = False
            return known
        if known is not None:
            _release(known)
        device = self._devices[name] = Device(path, self._makers, found.st_dev)
        return device

    def _watch(self) -> None:
        if self._watched_by != os.getpid():
            self._watched_by = os.getpid()
            green.spawn(_keep_watch, weakref.ref(self), max(self._interval, _LEAST_INTERVAL))

    def release(self) -> None:
        """Close all files of all devices; later calls open them again. Blocks."""
        for device in list(self._devices.values()):
            device.release()

    def release_unavailable(self) -> None:
        """Close the files of devices that are not available any more, and of others what is asked for."""
        for name, device in list(self._devices.items()):
            try:
                self._check(name)
                device.let_go()
            except DeviceUnavailable:
                self._checked.pop(name, None)
                _release(device)


def _keep_watch(watched: weakref.ref[Devices], interval: float) -> None:
    """Release unavailable devices from time to time, until nobody uses the devices any more."""
    while True:
        green.sleep(interval)
        devices = watched()
        if devices is None:
            return
        devices.release_unavailable()
        del devices


def _release(device: Device) -> None:
    """Release in a separate thread: the device may hang."""
    if device.releasing is None or not device.releasing.is_alive():
        device.releasing = threading.Thread(target=device.release, name=f"release-{device.path}", daemon=True)
        device.releasing.start()
