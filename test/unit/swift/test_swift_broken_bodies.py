"""A body that breaks off leaves nothing in memory that only a collection would free."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.in_process import InProcess

from objstore.core.errors import BodyTruncated
from objstore.core.names import Name
from objstore.runtime import green
from objstore.store.objects.writer import FileWriter
from objstore.web.responses import call


class Breaking(io.RawIOBase):
    """A body that breaks off after `size` bytes."""

    def __init__(self, size: int) -> None:
        self._size = size

    def read_chunk(self, limit: int = 1 << 20) -> bytes:
        if not self._size:
            raise BodyTruncated("the client is gone")
        piece = bytes(min(self._size, limit))
        self._size -= len(piece)
        return piece

    def readinto(self, buffer: Any) -> int:
        piece = self.read_chunk(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[InProcess]:
    store = InProcess(tmp_path)
    store("PUT", Name("a"))
    store("PUT", Name("a", "c"))
    gc.collect()
    gc.disable()
    yield store
    gc.enable()


@pytest.mark.parametrize("size", [1000, 300_000, 3_000_000])
@pytest.mark.parametrize("announced", [10_000_000, None])
def test_broken_upload_is_freed_at_once(store: InProcess, size: int, announced: int | None) -> None:
    # Each left its pieces to a collector that practically never ran.
    environ: dict[str, Any] = {"REQUEST_METHOD": "PUT", "PATH_INFO": "/v1/a/c/o", "objstore.preauthorized": True}
    if announced is None:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    else:
        environ["CONTENT_LENGTH"] = str(announced)
    for _ in range(3):
        try:
            call(store.proxy, {**environ, "wsgi.input": Breaking(size)})
        except BodyTruncated:
            pass
    green.sleep(0.2)
    assert not [thing for thing in gc.get_objects() if isinstance(thing, FileWriter)]


def test_upload_whose_client_is_gone_asks_no_node(store: InProcess) -> None:
    def check() -> None:
        raise BodyTruncated("the client is gone")

    environ: dict[str, Any] = {"REQUEST_METHOD": "PUT", "PATH_INFO": "/v1/a/c/o", "objstore.preauthorized": True}
    sent = {"CONTENT_LENGTH": "10000000", "wsgi.input": Breaking(3_000_000), "objstore.check_body": check}
    assert call(store.proxy, {**environ, **sent}).status == 499
    assert ("PUT", "o") not in [(method, name.object) for method, _, name in store.net.asked]
