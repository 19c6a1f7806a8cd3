"""A base for layers that change some operations and pass the others on."""

from __future__ import annotations

from objstore.layers.interface import ObjectLayer

# Operations that only layers outside of `versions` have (`interface.VersionedLayer`).
_VERSIONED = ("list_versions", "restore", "set_lock", "find_owner")


class Passing:
    """The operations of `inner`, except those that a subclass defines. Passing one on costs no call."""

    def __init__(self, inner: ObjectLayer) -> None:
        self.inner = inner
        self.open, self.put, self.update, self.delete = inner.open, inner.put, inner.update, inner.delete
        self.container, self.list_objects = inner.container, inner.list_objects
        self.account, self.list_containers = inner.account, inner.list_containers
        self.container_info, self.account_info = inner.container_info, inner.account_info
        self.create_container, self.update_container = inner.create_container, inner.update_container
        self.create_account, self.update_account = inner.create_account, inner.update_account
        self.delete_container, self.delete_account = inner.delete_container, inner.delete_account
        for name in _VERSIONED:
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))
        for name in [name for name in vars(self) if hasattr(type(self), name)]:
            delattr(self, name)
