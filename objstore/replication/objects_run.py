"""Runs: changes of any number of partitions in one body.

    run  = item*
    item = form partition length content

form is one byte, partition and length are unsigned numbers of 4 bytes, the highest byte first. The content is

    1    a record of a volume as it is there, see `store.packed.format`: it names its change, and has checksums of all
    2    a frame of `objects_messages`, of a change that is stored in a file
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from objstore.core.errors import InvalidInput
from objstore.replication.objects_messages import FrameReader

RECORD, FRAME = 1, 2
_HEAD = struct.Struct(">BII")
ITEM_SIZE = _HEAD.size  # bytes before the content


class RunItem(NamedTuple):
    """The head of an item. length: of the content that follows, in bytes."""

    form: int
    partition: int
    length: int


def encode_item(form: int, partition: int, content: Sequence[bytes]) -> list[bytes]:
    """Return an item as pieces."""
    return [_HEAD.pack(form, partition, sum(map(len, content))), *content]


class RunReader(FrameReader):
    """Reads items from a body in pieces; `content`, or `head` and `content`, must follow each."""

    def item(self) -> RunItem | None:
        """Return the head of the next item, None at the end of the body. Raises InvalidInput, BodyTruncated."""
        if not self._fill():
            return None
        item = RunItem(*_HEAD.unpack(self.content(_HEAD.size)))
        if item.form not in (RECORD, FRAME):
            raise InvalidInput(f"an item of unknown form {item.form}")
        return item
