"""Bodies larger than any buffer."""

from __future__ import annotations

import hashlib
import http.client
import os
from collections.abc import Iterator

from harness.client import Client
from harness.store import Store

MIB = 1 << 20
SIZE = 200
BLOCK = os.urandom(MIB)
GROWTH = 60 * MIB  # of all processes together, for any size


def blocks(count: int) -> Iterator[bytes]:
    """Blocks of 1 MiB, no two alike."""
    for number in range(count):
        yield number.to_bytes(8, "big") + BLOCK[8:]


def test_a_large_object_streams_in_and_out_in_constant_memory(owner: Client, container: str, store: Store) -> None:
    server = store.server
    owner.put(f"{container}/warm-up", b"".join(blocks(8)))
    owner.get(f"{container}/warm-up")
    before = server.memory() if server else 0
    most = 0

    def watched() -> Iterator[bytes]:
        nonlocal most
        for number, block in enumerate(blocks(SIZE)):
            if server and number % 20 == 0:
                most = max(most, server.memory())
            yield block

    path = f"{container}/large"
    put = owner.put(path, watched(), {"Content-Length": str(SIZE * MIB)})
    assert put.status == 201
    expected = hashlib.md5()
    for block in blocks(SIZE):
        expected.update(block)
    assert put["Etag"] == expected.hexdigest()

    connection = http.client.HTTPConnection(*owner.address, timeout=60)
    connection.request("GET", f"{owner.root}/{path}", headers={"X-Auth-Token": owner.token or ""})
    response = connection.getresponse()
    assert response.getheader("Content-Length") == str(SIZE * MIB)
    for number, block in enumerate(blocks(SIZE)):
        assert response.read(MIB) == block, number
        if server and number % 20 == 0:
            most = max(most, server.memory())
    assert response.read() == b""
    connection.close()
    assert most - before < GROWTH
