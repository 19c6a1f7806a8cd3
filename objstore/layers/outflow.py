"""The content of an object as that of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from objstore.core.errors import BodyTruncated, NodeFailure
from objstore.layers.interface import Reply

_PIECE = 1 << 20


class Outflow:
    """An open object as the body of another's PUT (`layers.bodies.ObjectBody`).

    If the source fails or ends early, reading raises BodyTruncated, so that the PUT stores nothing.
    """

    def __init__(self, source: Reply, size: int) -> None:
        self.length: int | None = size
        self._source = source
        self._pieces: Iterator[bytes] = iter(source.body)
        self._remaining = size
        self._piece: Any = b""

    def check(self) -> None:
        pass

    def read_chunk(self, limit: int = _PIECE, /) -> Any:
        """Return up to `limit` bytes; b'' at the end."""
        while not self._piece:
            try:
                self._piece = next(self._pieces)
            except StopIteration:
                if self._remaining:
                    raise BodyTruncated(f"the source of a copy ended {self._remaining} bytes early") from None
                return b""
            except (NodeFailure, OSError) as failure:
                raise BodyTruncated(f"the source of a copy ended early: {failure}") from failure
            # It is a view of a buffer that is used again while the returned piece waits in a queue.
            self._piece = bytes(self._piece)
            self._remaining -= len(self._piece)
        if len(self._piece) <= limit:
            piece, self._piece = self._piece, b""
        else:
            whole = memoryview(self._piece)
            piece, self._piece = whole[:limit], whole[limit:]
        return piece

    def close(self) -> None:
        self._source.close()
