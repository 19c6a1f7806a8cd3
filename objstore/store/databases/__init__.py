"""Account and container databases: the containers of an account and the objects of a container, on one device.

Nouns. A *database* is one SQLite file for one account or container; a *row* lists one item it holds (an object, a
container) or once held (a tombstone); *merging* a row keeps the newest state, so that rows may come in any order and
any number of times; *totals* count live rows by storage policy; a *row number* grows with every change and shows
replicators what is new.

Promises. The changes of a call survive a power cut after it returns (unless the setting `synchronous` is `normal`).
Rows waiting for one database share a transaction. A listing costs in proportion to its result, not to the rows it
skips. A damaged database is quarantined and never read again. Every call suspends the calling green thread while a
system thread does the work.

The package knows nothing of HTTP, rings, peers and the meaning of metadata.
"""

from objstore.store.databases.accounts import AccountStatus, AccountStore, AccountTotals, ListedContainer, NewAccount
from objstore.store.databases.containers import (
    ContainerStatus,
    ContainerStore,
    NewContainer,
    ObjectItem,
    PolicyTotals,
    Writer,
)
from objstore.store.databases.describe import describe_database
from objstore.store.databases.listing import ListingPage, ListingQuery, Subdir
from objstore.store.databases.metadata import live_metadata
from objstore.store.databases.rows import ContainerRow, ObjectRow
from objstore.store.databases.settings import DatabaseSettings
from objstore.store.databases.tables import NumberedRow

__all__ = [
    "AccountStatus",
    "AccountStore",
    "AccountTotals",
    "ContainerRow",
    "ContainerStatus",
    "ContainerStore",
    "DatabaseSettings",
    "ListedContainer",
    "ListingPage",
    "ListingQuery",
    "NewAccount",
    "NewContainer",
    "NumberedRow",
    "ObjectItem",
    "ObjectRow",
    "PolicyTotals",
    "Subdir",
    "Writer",
    "describe_database",
    "live_metadata",
]
