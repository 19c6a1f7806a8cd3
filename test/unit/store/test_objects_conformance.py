"""The suite that every object engine passes: what `objstore.store.interface` promises."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from objstore.core.errors import NotFound
from objstore.core.names import Location
from objstore.core.timestamps import Timestamp
from objstore.store.interface import ObjectData, ObjectInfo, ObjectMetadata
from objstore.store.objects.file_store import FileSettings, FileStore
from objstore.store.objects.memory_store import MemoryStore
from objstore.store.objects.space import Reserve
from objstore.store.packed.store import PackedStore

HERE = Location(0, "0123456789abcdef0123456789abcdef")
NAME = "/a/c/o"
LIMITS = {"packed": 1 << 30, "packed and files": 6}  # bytes of the largest object that is packed


@pytest.fixture(params=["file", "memory", *LIMITS])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    return new_store(request.param, tmp_path / "device")


def new_store(kind: str, root: Any) -> Any:
    if kind == "memory":
        return MemoryStore()
    root.mkdir()
    settings = FileSettings(Reserve(), ballast=0)
    if kind in LIMITS:
        return PackedStore(str(root), settings=settings, limit=LIMITS[kind], power=lambda: 3)
    return FileStore(str(root), settings=settings)


def kind_of(store: Any) -> str:
    if isinstance(store, PackedStore):
        return next(kind for kind, limit in LIMITS.items() if limit == store.limit)
    return "memory" if isinstance(store, MemoryStore) else "file"


def at(seconds: int) -> Timestamp:
    return Timestamp.from_seconds(seconds)


def put(
    store: Any, when: int, content: bytes = b"content", headers: dict[str, str] | None = None, name: str = NAME
) -> ObjectInfo:
    with store.create(HERE, len(content)) as writer:
        writer.write(content)
        return writer.commit(ObjectData(name, at(when), "text/plain", headers or {}))


def post(store: Any, when: int, headers: dict[str, str], content_type: str | None = None) -> None:
    store.post(HERE, ObjectMetadata(at(when), headers, content_type))


def read(store: Any, start: int = 0, stop: int = 1 << 60) -> bytes:
    reader = store.open(HERE)
    try:
        return b"".join(bytes(piece) for piece in reader.read(start, stop))
    finally:
        reader.close()


def state(store: Any) -> Any:
    """All that can be seen at a location."""
    try:
        return store.info(HERE), read(store)
    except NotFound as error:
        return error.timestamp


def test_what_was_put_is_read_back(store: Any) -> None:
    made = put(store, 1, b"hello", {"X-Object-Meta-Color": "blue"})
    info = store.info(HERE)
    assert info == made
    assert info == ObjectInfo(
        NAME, at(1), at(1), at(1), 5, hashlib.md5(b"hello").hexdigest(), "text/plain", {"X-Object-Meta-Color": "blue"}
    )
    assert read(store) == b"hello"


def test_nothing_there_is_not_found_without_a_timestamp(store: Any) -> None:
    for call in (store.open, store.info):
        with pytest.raises(NotFound) as caught:
            call(HERE)
        assert caught.value.timestamp is None


def test_deleted_is_not_found_with_the_tombstones_timestamp(store: Any) -> None:
    put(store, 1)
    store.delete(HERE, NAME, at(2))
    for call in (store.open, store.info):
        with pytest.raises(NotFound) as caught:
            call(HERE)
        assert caught.value.timestamp == at(2)


def test_a_tombstone_is_left_where_there_was_no_object(store: Any) -> None:
    store.delete(HERE, NAME, at(2))
    put(store, 1)
    assert state(store) == at(2)


def test_newer_data_replaces_a_tombstone(store: Any) -> None:
    store.delete(HERE, NAME, at(2))
    put(store, 3, b"again")
    assert read(store) == b"again"


def test_at_equal_timestamps_the_tombstone_wins_in_either_order(store: Any) -> None:
    put(store, 1)
    store.delete(HERE, NAME, at(1))
    assert state(store) == at(1)
    put(store, 1)
    assert state(store) == at(1)


def test_older_data_does_no_harm(store: Any) -> None:
    put(store, 5, b"new")
    put(store, 4, b"old")
    assert read(store) == b"new"
    store.delete(HERE, NAME, at(3))
    assert read(store) == b"new"


def test_the_same_put_twice_is_no_error(store: Any) -> None:
    first = put(store, 5, b"same")
    assert put(store, 5, b"same") == first
    assert read(store) == b"same"


def test_offsets_order_changes_of_one_time(store: Any) -> None:
    for offset, content in ((0, b"zero"), (2, b"two"), (1, b"one")):
        with store.create(HERE, None) as writer:
            writer.write(content)
            writer.commit(ObjectData(NAME, Timestamp(100, offset), "text/plain", {}))
    assert read(store) == b"two"


def test_an_open_reader_survives_an_overwrite_and_a_delete(store: Any) -> None:
    content = os.urandom(300_000)
    put(store, 1, content)
    reader = store.open(HERE)
    pieces = reader.read(0, len(content))
    first = bytes(next(pieces))
    put(store, 2, b"other")
    store.delete(HERE, NAME, at(3))
    assert first + b"".join(bytes(piece) for piece in pieces) == content
    assert reader.info.timestamp == at(1)
    reader.close()


@pytest.mark.parametrize("size", [0, 1, 4096, 65535, 65536, 65537, 131072, 524288, 524289, 3_000_001])
def test_content_of_any_size(store: Any, size: int) -> None:
    content = os.urandom(size)
    info = put(store, 1, content)
    assert (info.size, info.etag) == (size, hashlib.md5(content).hexdigest())
    assert read(store) == content


RANGES = [(0, 1), (0, 0), (5, 5), (65535, 65537), (65536, 65536 * 3), (1, 1_000_000), (999_999, 1_000_000)]


@pytest.mark.parametrize(("start", "stop"), [*RANGES, (999_999, 5_000_000), (2_000_000, 3_000_000), (600_000, 900_000)])
def test_ranges(store: Any, start: int, stop: int) -> None:
    content = os.urandom(1_000_000)
    put(store, 1, content)
    assert read(store, start, stop) == content[start:stop]


def test_ranges_of_a_small_object(store: Any) -> None:
    put(store, 1, b"0123456789")
    assert [read(store, *cut) for cut in ((2, 5), (9, 10), (0, 10), (5, 99), (10, 11))] == [
        b"234",
        b"9",
        b"0123456789",
        b"56789",
        b"",
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("piece", [1000, 65536, 200_000])
@pytest.mark.parametrize("known", [True, False])
def test_pieces_of_any_size_in_buffers_that_are_used_again(store: Any, kind: Any, piece: int, known: bool) -> None:
    content = os.urandom(700_001)
    with store.create(HERE, len(content) if known else None) as writer:
        for start in range(0, len(content), piece):
            buffer = bytearray(content[start : start + piece])
            writer.write(kind(buffer))
            buffer[:] = bytes(len(buffer))
        assert writer.size == len(content)
        assert writer.etag() == hashlib.md5(content).hexdigest()
        writer.commit(ObjectData(NAME, at(1), "text/plain", {}))
    assert read(store) == content


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_closed_without_commit_nothing_is_there(store: Any, size: int) -> None:
    put(store, 1, b"before")
    with store.create(HERE, size) as writer:
        writer.write(bytes(size // 2))
    with pytest.raises(RuntimeError), store.create(HERE, None) as writer:
        writer.write(bytes(size))
        raise RuntimeError
    assert read(store) == b"before"


def test_a_closed_writer_takes_nothing(store: Any) -> None:
    writer = store.create(HERE, 5)
    writer.close()
    with pytest.raises(ValueError):
        writer.write(b"x")
    with pytest.raises(ValueError):
        writer.commit(ObjectData(NAME, at(1), "text/plain", {}))


def test_an_etag_given_is_kept_and_one_not_computed_is_not_asked_for(store: Any) -> None:
    with store.create(HERE, 3, hashing=False) as writer:
        writer.write(b"abc")
        with pytest.raises(ValueError):
            writer.etag()
        writer.commit(ObjectData(NAME, at(1), "text/plain", {}, "given"))
    assert store.info(HERE).etag == "given"


def test_a_large_amount_of_metadata(store: Any) -> None:
    headers = {f"X-Object-Meta-{number}": "v" * 1000 for number in range(100)}
    content = os.urandom(100_000)
    put(store, 1, content, headers)
    assert store.info(HERE).metadata == headers
    assert read(store) == content
    post(store, 2, headers | {"X-Object-Meta-0": "other"})
    assert store.info(HERE).metadata["X-Object-Meta-0"] == "other"


def test_text_of_all_kinds_in_names_and_metadata(store: Any) -> None:
    odd = '\N{SNOWMAN} \U0001f600 \udcff\ud800 \x00 \n " \\ \x7f'
    put(store, 1, b"x", {"X-Object-Meta-Odd": odd}, name=f"/a/c/{odd}")
    info = store.info(HERE)
    assert (info.name, info.metadata) == (f"/a/c/{odd}", {"X-Object-Meta-Odd": odd})
    post(store, 2, {"X-Object-Meta-Odd": odd * 2}, odd)
    info = store.info(HERE)
    assert (info.content_type, info.metadata) == (odd, {"X-Object-Meta-Odd": odd * 2})


def test_a_post_replaces_what_a_post_may_replace(store: Any) -> None:
    put(store, 1, b"x", {"X-Object-Meta-A": "1", "X-Object-Sysmeta-S": "s", "X-Static-Large-Object": "True"})
    post(store, 2, {"X-Object-Meta-B": "2"})
    info = store.info(HERE)
    assert info.metadata == {"X-Object-Meta-B": "2", "X-Object-Sysmeta-S": "s", "X-Static-Large-Object": "True"}
    assert (info.timestamp, info.data_timestamp, info.content_type_timestamp) == (at(2), at(1), at(1))
    assert info.content_type == "text/plain"
    assert read(store) == b"x"


def test_a_post_to_nothing_is_not_found(store: Any) -> None:
    with pytest.raises(NotFound):
        post(store, 1, {})
    store.delete(HERE, NAME, at(2))
    with pytest.raises(NotFound) as caught:
        post(store, 3, {})
    assert caught.value.timestamp == at(2)


def test_a_post_older_than_the_data_does_no_harm(store: Any) -> None:
    put(store, 5)
    post(store, 4, {"X-Object-Meta-A": "1"}, "image/png")
    post(store, 5, {"X-Object-Meta-A": "1"}, "image/png")
    info = store.info(HERE)
    assert (info.metadata, info.content_type, info.timestamp) == ({}, "text/plain", at(5))


def test_newer_data_ends_a_post(store: Any) -> None:
    put(store, 1)
    post(store, 2, {"X-Object-Meta-A": "1"}, "image/png")
    put(store, 3)
    info = store.info(HERE)
    assert (info.metadata, info.content_type, info.timestamp) == ({}, "text/plain", at(3))


def test_metadata_outlives_data_that_arrives_late(store: Any) -> None:
    put(store, 1)
    post(store, 5, {"X-Object-Meta-A": "1"})
    put(store, 3, b"late")
    info = store.info(HERE)
    assert (info.metadata, info.timestamp, info.data_timestamp) == ({"X-Object-Meta-A": "1"}, at(5), at(3))
    assert read(store) == b"late"


def test_a_content_type_outlives_a_later_post_without_one(store: Any) -> None:
    put(store, 1)
    post(store, 2, {"X-Object-Meta-A": "1"}, "image/png")
    post(store, 3, {"X-Object-Meta-A": "2"})
    info = store.info(HERE)
    assert (info.content_type, info.content_type_timestamp, info.timestamp) == ("image/png", at(2), at(3))
    assert info.metadata == {"X-Object-Meta-A": "2"}


def test_posts_end_the_same_in_every_order(store: Any, tmp_path: Any) -> None:
    posts = [(2, {"X-Object-Meta-A": "2"}, "image/png"), (3, {"X-Object-Meta-A": "3"}, None), (4, {}, "image/gif")]
    seen = set()
    for number, order in enumerate(itertools.permutations([*posts, posts[0]])):
        fresh = new_store(kind_of(store), tmp_path / f"d{number}")
        put(fresh, 1)
        for change in order:
            post(fresh, *change)
        info = fresh.info(HERE)
        seen.add((info.content_type, info.content_type_timestamp, info.timestamp, str(info.metadata)))
    assert seen == {("image/gif", at(4), at(4), "{}")}


def changes() -> Iterator[tuple[str, Any]]:
    yield "put 1", lambda store: put(store, 1, b"one", {"X-Object-Meta-A": "1"})
    yield "post 2", lambda store: post(store, 2, {"X-Object-Meta-A": "2"}, "image/png")
    yield "delete 3", lambda store: store.delete(HERE, NAME, at(3))
    yield "put 4", lambda store: put(store, 4, b"four")
    yield "delete 4", lambda store: store.delete(HERE, NAME, at(4))


def test_data_and_tombstones_end_the_same_in_every_order(store: Any, tmp_path: Any) -> None:
    kinds = [change for name, change in changes() if not name.startswith("post")]
    for number, order in enumerate(itertools.permutations(kinds)):
        fresh = new_store(kind_of(store), tmp_path / f"d{number}")
        for change in order:
            change(fresh)
            change(fresh)
        assert state(fresh) == at(4)
