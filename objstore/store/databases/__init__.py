"""Account and container databases: what an account holds, what a container holds, on one device.

Nouns. A *database* is one SQLite file for one account or container; a *row* says one thing it
holds (an object, a container) or once held (a tombstone); *merging* a row keeps the newest of
what was said, so that rows may come in any order and any number of times; *totals* count live
rows by storage policy; a *row number* grows with every change and tells replicators what is new.

Promises. What a call changed would survive a power cut when it returns (unless the setting
`synchronous` says otherwise). Rows waiting for one database share a transaction. A listing costs
what it returns, not what it passes over. A damaged database is quarantined and never asked again.
Every call suspends the calling green thread while a system thread does the work.

Knows nothing of HTTP, rings, peers and of what metadata means.
"""

from objstore.store.databases.accounts import AccountInfo, AccountStore, AccountTotals, ListedContainer, NewAccount
from objstore.store.databases.containers import (
    ContainerInfo,
    ContainerStore,
    ListedObject,
    NewContainer,
    PolicyTotals,
    Writer,
)
from objstore.store.databases.describe import describe_database
from objstore.store.databases.listing import Listing, ListingQuery, Subdir
from objstore.store.databases.metadata import live_metadata
from objstore.store.databases.rows import ContainerRow, ObjectRow
from objstore.store.databases.settings import DatabaseSettings
from objstore.store.databases.tables import NumberedRow

__all__ = [
    "AccountInfo",
    "AccountStore",
    "AccountTotals",
    "ContainerInfo",
    "ContainerRow",
    "ContainerStore",
    "DatabaseSettings",
    "ListedContainer",
    "ListedObject",
    "Listing",
    "ListingQuery",
    "NewAccount",
    "NewContainer",
    "NumberedRow",
    "ObjectRow",
    "PolicyTotals",
    "Subdir",
    "Writer",
    "describe_database",
    "live_metadata",
]
