"""Rows, and how two rows of one name become one.

Joining is commutative, associative and idempotent (the join of a semilattice: each part is a
maximum in a total order), so that databases given the same rows in any order, any number of
times, hold the same.
"""

from __future__ import annotations

from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.core.timestamps import ZERO, Timestamp


class ObjectRow(NamedTuple):
    """An object, or its tombstone, as a container knows it; the key is (name, policy_index).

    timestamp: of the data or deletion. size in bytes. etag: hex MD5, or the value that listings show instead. The other
    two timestamps are those of the content type and the metadata; None, or one before the data, means the time of the
    data. elsewhere: the bytes are counted in another container of the account too, and are not reported to the account.
    referenced: bytes of other objects for which this one stands, less its own: listings show the sum of both sizes.
    fields: further keys of the row in listings, a JSON object as `core.listed.checked_fields` returns it; '' for none.
    """

    name: str
    timestamp: Timestamp
    deleted: bool = False
    size: int = 0
    content_type: str = ""
    etag: str = ""
    policy_index: int = 0
    content_type_timestamp: Timestamp | None = None
    meta_timestamp: Timestamp | None = None
    elsewhere: bool = False
    referenced: int = 0
    fields: str = ""

    def normal(self) -> ObjectRow:
        """The same with every timestamp given, and nothing said of the data of a tombstone.

        Raises InvalidInput for a name that is no UTF-8.
        """
        check_text(self.name)
        typed, meta = self.content_type_timestamp, self.meta_timestamp
        if typed is None or typed < self.timestamp:
            typed = self.timestamp
        if meta is None or meta < self.timestamp:
            meta = self.timestamp
        if self.deleted:
            return ObjectRow(self.name, self.timestamp, True, 0, self.content_type, "", self.policy_index, typed, meta)
        return self._replace(content_type_timestamp=typed, meta_timestamp=meta)


def join_objects(one: ObjectRow, other: ObjectRow) -> ObjectRow:
    """The newest of two normal rows of one key.

    Data: by time, a deletion before data of the same time. Content type and metadata: each by
    its own time, as a POST may have set them on data older than what the other row knows.
    """
    data = max(one, other, key=_data_order)
    typed = max(one, other, key=_type_order)
    return ObjectRow(
        data.name,
        data.timestamp,
        data.deleted,
        data.size,
        typed.content_type,
        data.etag,
        data.policy_index,
        typed.content_type_timestamp,
        max(one.meta_timestamp or ZERO, other.meta_timestamp or ZERO),
        data.elsewhere,
        data.referenced,
        data.fields,
    )


def _data_order(row: ObjectRow) -> tuple[Timestamp, bool, str, int, bool, int, str]:
    return row.timestamp, row.deleted, row.etag, row.size, row.elsewhere, row.referenced, row.fields


def _type_order(row: ObjectRow) -> tuple[Timestamp, str]:
    return row.content_type_timestamp or ZERO, row.content_type


class ContainerRow(NamedTuple):
    """A container as an account knows it; the key is its name.

    put_timestamp, delete_timestamp: when it was last created and deleted. The rest is what the
    container reported at `reported_at` (ZERO: at put_timestamp); bytes_used in bytes.
    """

    name: str
    put_timestamp: Timestamp
    delete_timestamp: Timestamp = ZERO
    object_count: int = 0
    bytes_used: int = 0
    policy_index: int = 0
    reported_at: Timestamp = ZERO

    @property
    def deleted(self) -> bool:
        """A container with objects exists, even if a deletion is recorded."""
        return self.delete_timestamp > self.put_timestamp and self.object_count == 0

    def normal(self) -> ContainerRow:
        """The same with `reported_at` given. Raises InvalidInput for a name that is no UTF-8."""
        check_text(self.name)
        if self.reported_at == ZERO:
            return self._replace(reported_at=max(self.put_timestamp, self.delete_timestamp))
        return self


def join_containers(one: ContainerRow, other: ContainerRow) -> ContainerRow:
    """The newest of two normal rows of one name: creation, deletion and report each by its own time."""
    report = max(one, other, key=_report_order)
    return ContainerRow(
        one.name,
        max(one.put_timestamp, other.put_timestamp),
        max(one.delete_timestamp, other.delete_timestamp),
        report.object_count,
        report.bytes_used,
        report.policy_index,
        report.reported_at,
    )


def _report_order(row: ContainerRow) -> tuple[Timestamp, int, int, int]:
    return row.reported_at, row.object_count, row.bytes_used, row.policy_index


def read_timestamp(text: str) -> Timestamp:
    """The timestamp of an internal form that this program wrote; several times faster than parse."""
    return Timestamp(int(text[:10] + text[11:16]), int(text[17:], 16) if len(text) > 16 else 0)


def check_text(text: str) -> None:
    """Raises InvalidInput for text that UTF-8 cannot say."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"not UTF-8: {text[:200]!r}") from None
