"""The access settings of a bucket: its configuration documents, as values."""

from __future__ import annotations

from typing import NamedTuple

from objstore.access import acl as acls
from objstore.access.acl import Acl
from objstore.access.policy import Policy, parse
from objstore.access.swift_acls import without_public
from objstore.core.names import Name
from objstore.layers import documents
from objstore.web.infos import ContainerInfo

# Kinds of documents in `layers.documents`.
ACL = "acl"
POLICY = "policy"
OWNERSHIP = "ownership"
PUBLIC_ACCESS = "public-access"
REQUEST_PAYMENT = "request-payment"
# The names of their first pieces among the system metadata of a container.
POLICY_SYSMETA = f"s3-{POLICY}-0"
ACL_SYSMETA = f"s3-{ACL}-0"

BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
OBJECT_WRITER = "ObjectWriter"
OWNERSHIPS = (BUCKET_OWNER_ENFORCED, BUCKET_OWNER_PREFERRED, OBJECT_WRITER)


class PublicAccessBlock(NamedTuple):
    """The four flags, in the order in which S3 documents them."""

    block_acls: bool = False
    ignore_acls: bool = False
    block_policy: bool = False
    restrict_buckets: bool = False

    def dump(self) -> str:
        return "".join("1" if flag else "0" for flag in self)


NO_BLOCK = PublicAccessBlock()
_BLOCKS = {"none": NO_BLOCK, "all": PublicAccessBlock(True, True, True, True)}


def read_block(text: str) -> PublicAccessBlock:
    """Return the block stored as `1010`; `none` and `all` as in the settings."""
    return _BLOCKS.get(text) or PublicAccessBlock(*(flag == "1" for flag in text))


class BucketDefaults(NamedTuple):
    """The settings of a bucket without its own. block: `none` or `all`. region: of the store."""

    ownership: str = OBJECT_WRITER
    block: str = "none"
    region: str = ""


NO_DEFAULTS = BucketDefaults()


class BucketAccess(NamedTuple):
    """The access settings of a bucket. owner: its account. read_acl, write_acl: Swift's lists, in their normal form."""

    owner: str
    acl: Acl
    policy: Policy | None = None
    ownership: str = OBJECT_WRITER
    block: PublicAccessBlock = NO_BLOCK
    read_acl: str = ""
    write_acl: str = ""
    requester_pays: bool = False

    @property
    def acls_disabled(self) -> bool:
        return self.ownership == BUCKET_OWNER_ENFORCED

    def list_for(self, word: str) -> str:
        """Return Swift's list that grants to `read`, `list` or `write`, without items that its block ignores."""
        text = self.write_acl if word == "write" else self.read_acl
        return without_public(text) if self.block.ignore_acls else text

    @property
    def lets_others_write(self) -> bool:
        """True if others may write, so that there may be objects of others."""
        by_policy = self.policy is not None and self.policy.lets_write
        return by_policy or self.acl.lets_others_write or bool(self.list_for("write"))


def of_container(name: Name, info: ContainerInfo, defaults: BucketDefaults = NO_DEFAULTS) -> BucketAccess:
    """Return the access settings of the container of a name. Raises MalformedPolicy."""
    sysmeta = info.sysmeta
    policy = documents.read(sysmeta, POLICY)
    assert name.container is not None
    return BucketAccess(
        name.account,
        acls.load(documents.read(sysmeta, ACL), name.account),
        parse(policy, name.container) if policy else None,
        documents.read(sysmeta, OWNERSHIP) or defaults.ownership,
        read_block(documents.read(sysmeta, PUBLIC_ACCESS) or defaults.block),
        info.read_acl,
        info.write_acl,
        documents.read(sysmeta, REQUEST_PAYMENT) == "Requester",
    )
