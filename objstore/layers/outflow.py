"""Contents of objects as contents of others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from objstore.core.errors import BodyTruncated, NodeFailure
from objstore.layers.interface import Reply

_PIECE = 1 << 20


class Outflow:
    """An open object as the body of another's PUT (`layers.bodies.ObjectBody`).

    Where the source fails or ends early, reading raises BodyTruncated, so that the PUT keeps nothing.
    """

    def __init__(self, source: Reply, size: int) -> None:
        self.length: int | None = size
        self._source = source
        self._pieces: Iterator[bytes] = iter(source.body)
        self._left = size
        self._piece: Any = b""

    def check(self) -> None:
        pass

    def read_chunk(self, most: int = _PIECE, /) -> Any:
        """Up to `most` bytes; b'' at the end."""
        while not self._piece:
            try:
                self._piece = next(self._pieces)
            except StopIteration:
                if self._left:
                    raise BodyTruncated(f"the source of a copy ended {self._left} bytes early") from None
                return b""
            except (NodeFailure, OSError) as failure:
                raise BodyTruncated(f"the source of a copy broke off: {failure}") from failure
            # A view of a buffer that is read into again, while what is returned waits in a queue.
            self._piece = bytes(self._piece)
            self._left -= len(self._piece)
        if len(self._piece) <= most:
            piece, self._piece = self._piece, b""
        else:
            whole = memoryview(self._piece)
            piece, self._piece = whole[:most], whole[most:]
        return piece

    def close(self) -> None:
        self._source.close()
