"""The contract of changing objects, over each stack of layers."""

from __future__ import annotations

import hashlib
import time

import pytest
from harness.layer_stacks import Shelf

from objstore.core.errors import (
    BodyTruncated,
    ChecksumMismatch,
    Conflict,
    ContainerReplaced,
    InvalidInput,
    NoContainer,
    NotFound,
    PreconditionFailed,
)
from objstore.core.headers import DELETE_TIMESTAMP
from objstore.core.manifests import MANIFEST_OWNS, owns
from objstore.core.timestamps import Timestamp
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ContainerOptions, PutOptions, RenameSource
from objstore.web.context import RequestContext
from objstore.web.write_conditions import WriteCondition

EXISTS = WriteCondition(if_match="*")
NEW = WriteCondition(if_none_match="*")
PAST = Timestamp.from_seconds(1_500_000_000)


def of_etag(data: bytes) -> WriteCondition:
    return WriteCondition(if_match=f'"{hashlib.md5(data).hexdigest()}"')


# PUT


def test_a_put_replaces_data_and_all_metadata(shelf: Shelf) -> None:
    shelf.put("o", b"one", {"X-Object-Meta-A": "1", "X-Object-Sysmeta-B": "2"})
    shelf.put("o", b"two", {"X-Object-Meta-C": "3"})
    headers = shelf.head("o")
    assert shelf.read("o") == b"two" and headers["X-Object-Meta-C"] == "3"
    assert not {"X-Object-Meta-A", "X-Object-Sysmeta-B"} & headers.keys()


def test_changes_of_a_name_are_dated_one_after_the_other(shelf: Shelf) -> None:
    stamps = [shelf.put("o").timestamp for _ in range(5)]
    assert stamps == sorted(set(stamps))


def test_a_header_that_is_not_for_keeping_is_not_kept(shelf: Shelf) -> None:
    shelf.put("o", b"", {"X-Anything": "1", "Content-Encoding": "", "X-Object-Sysmeta-Empty": ""})
    assert not {"X-Anything", "Content-Encoding", "X-Object-Sysmeta-Empty"} & shelf.head("o").keys()


def test_user_metadata_may_be_empty(shelf: Shelf) -> None:
    shelf.put("o", b"", {"X-Object-Meta-A": "", "X-Object-Meta-B": "1"})
    headers = shelf.head("o")
    assert (headers["X-Object-Meta-A"], headers["X-Object-Meta-B"]) == ("", "1")
    shelf.update("o", {"X-Object-Meta-B": ""})
    headers = shelf.head("o")
    assert headers["X-Object-Meta-B"] == "" and "X-Object-Meta-A" not in headers


def test_metadata_that_no_answer_could_have(shelf: Shelf) -> None:
    with pytest.raises(InvalidInput):
        shelf.put("o", b"", {"X-Object-Meta-A": "a\nb"})
    shelf.put("o")
    with pytest.raises(InvalidInput):
        shelf.update("o", {"X-Object-Meta-A": "a\rb"})


@pytest.mark.parametrize("quote", ["", '"'])
def test_the_body_must_have_the_etag_that_is_asked_for(shelf: Shelf, quote: str) -> None:
    assert shelf.put("o", b"one", etag=f"{quote}{hashlib.md5(b'one').hexdigest()}{quote}").etag
    with pytest.raises(ChecksumMismatch):
        shelf.put("o", b"two", etag=hashlib.md5(b"one").hexdigest())
    assert shelf.read("o") == b"one"


class Short(BytesBody):
    """Announces more than comes."""

    def __init__(self) -> None:
        super().__init__(b"abc")
        self.length = 9


class Unannounced(BytesBody):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.length = None


def test_a_body_that_breaks_off_leaves_what_was_there(shelf: Shelf) -> None:
    shelf.put("o", b"one")
    with pytest.raises(BodyTruncated):
        shelf.layer.put(shelf.context, shelf.name("o"), PutOptions({"Content-Type": "a/b"}), Short())
    assert shelf.read("o") == b"one"


def test_a_body_of_unknown_length(shelf: Shelf) -> None:
    data = bytes(300_000)
    shelf.layer.put(shelf.context, shelf.name("o"), PutOptions({"Content-Type": "a/b"}), Unannounced(data))
    assert shelf.read("o") == data


@pytest.mark.parametrize("data", [b"small", bytes(100_000)])
def test_headers_that_are_known_when_the_body_was_read(shelf: Shelf, data: bytes) -> None:
    shelf.put("o", data, late=lambda: {"X-Object-Sysmeta-Sum": "1"})
    assert shelf.head("o")["X-Object-Sysmeta-Sum"] == "1"


def test_no_object_without_a_container(shelf: Shelf) -> None:
    shelf.container = shelf.container._replace(container="other")
    for change in (lambda: shelf.put("o"), lambda: shelf.update("o", {}), lambda: shelf.delete("o")):
        with pytest.raises(NoContainer):
            change()


# Conditions


def test_a_put_on_a_condition(shelf: Shelf) -> None:
    shelf.put("o", b"one", condition=NEW)
    with pytest.raises(PreconditionFailed) as failed:
        shelf.put("o", b"two", condition=NEW)
    assert not failed.value.missing
    shelf.put("o", b"two", condition=of_etag(b"one"))
    with pytest.raises(PreconditionFailed):
        shelf.put("o", b"three", condition=of_etag(b"one"))
    assert shelf.read("o") == b"two"


def test_a_condition_on_what_is_not_there(shelf: Shelf) -> None:
    with pytest.raises(PreconditionFailed) as failed:
        shelf.put("o", b"", condition=EXISTS)
    assert failed.value.missing
    shelf.put("o")
    shelf.delete("o")
    with pytest.raises(PreconditionFailed):
        shelf.put("o", b"", condition=EXISTS)
    shelf.put("o", b"", condition=NEW)


def test_a_condition_on_an_expired_object_is_one_on_nothing(shelf: Shelf) -> None:
    shelf.put("o", b"", {"X-Delete-At": str(int(time.time()) - 5)})
    with pytest.raises(PreconditionFailed):
        shelf.put("o", b"", condition=EXISTS)
    shelf.put("o", b"new", condition=NEW)
    assert shelf.read("o") == b"new"


def test_a_large_body_on_a_condition(shelf: Shelf) -> None:
    shelf.put("o", bytes(200_000), condition=NEW)
    with pytest.raises(PreconditionFailed):
        shelf.put("o", bytes(100_000), condition=NEW)
    assert len(shelf.read("o")) == 200_000


def test_an_update_and_a_deletion_on_a_condition(shelf: Shelf) -> None:
    shelf.put("o", b"one")
    with pytest.raises(PreconditionFailed):
        shelf.update("o", {"X-Object-Meta-A": "1"}, condition=of_etag(b"two"))
    with pytest.raises(PreconditionFailed):
        shelf.delete("o", condition=of_etag(b"two"))
    assert "X-Object-Meta-A" not in shelf.head("o")
    shelf.update("o", {"X-Object-Meta-A": "1"}, condition=of_etag(b"one"))
    assert shelf.head("o")["X-Object-Meta-A"] == "1"
    assert shelf.delete("o", condition=of_etag(b"one")).existed


# Final timestamps


def test_a_final_timestamp_is_that_of_the_change(shelf: Shelf) -> None:
    assert shelf.put("o", timestamp=PAST).timestamp == PAST
    assert Timestamp.parse(shelf.head("o")["X-Timestamp"]) == PAST


def test_a_final_timestamp_that_is_not_newer_loses(shelf: Shelf) -> None:
    shelf.put("o", b"one", timestamp=PAST.next())
    for stamp in (PAST, PAST.next()):
        with pytest.raises(Conflict):
            shelf.put("o", b"two", timestamp=stamp)
        with pytest.raises(Conflict):
            shelf.delete("o", timestamp=stamp)
        with pytest.raises(Conflict):
            shelf.update("o", {}, timestamp=stamp)
    assert shelf.read("o") == b"one"


def test_a_deletion_of_a_name_that_was_never_there_counts(shelf: Shelf) -> None:
    assert not shelf.delete("o", timestamp=PAST.next()).existed
    with pytest.raises(Conflict):
        shelf.put("o", timestamp=PAST)
    shelf.put("o", timestamp=PAST.next().next())


# Updates


def test_an_update_replaces_the_metadata_that_it_may(shelf: Shelf) -> None:
    headers = {"X-Object-Meta-A": "1", "X-Object-Sysmeta-B": "2", "Content-Encoding": "gzip"}
    shelf.put("o", b"data", headers | {"Content-Type": "a/b", "X-Delete-At": "9999999999"})
    shelf.update("o", {"X-Object-Meta-C": "3", "X-Object-Sysmeta-B": "4"})
    headers = shelf.head("o")
    assert headers["X-Object-Meta-C"] == "3" and headers["X-Object-Sysmeta-B"] == "2"
    assert headers["Content-Type"] == "a/b"
    assert not {"X-Object-Meta-A", "Content-Encoding", "X-Delete-At"} & headers.keys()
    assert shelf.read("o") == b"data"


def test_an_update_may_bring_another_type(shelf: Shelf) -> None:
    shelf.put("o", b"", {"Content-Type": "a/b"})
    shelf.update("o", {"Content-Type": "c/d"})
    assert shelf.head("o")["Content-Type"] == "c/d" and shelf.rows()[0]["content_type"] == "c/d"


def test_no_update_without_an_object(shelf: Shelf) -> None:
    with pytest.raises(NotFound):
        shelf.update("o", {})
    shelf.put("o", b"", {"X-Delete-At": str(int(time.time()) - 5)})
    with pytest.raises(NotFound):
        shelf.update("o", {})


def test_an_update_of_an_expired_object_brings_it_back(shelf: Shelf) -> None:
    shelf.put("o", b"data", {"X-Delete-At": str(int(time.time()) - 5)})
    shelf.update("o", {"X-Object-Meta-A": "1"}, expired=True)
    assert shelf.read("o") == b"data"
    headers = shelf.head("o")
    assert headers["X-Object-Meta-A"] == "1" and "X-Delete-At" not in headers
    with pytest.raises(NotFound):
        shelf.update("missing", {}, expired=True)


# Deletions


def test_a_deletion_says_if_there_was_an_object(shelf: Shelf) -> None:
    shelf.put("o")
    assert shelf.delete("o").existed
    assert not shelf.delete("o").existed
    assert shelf.names() == []


def test_an_expired_object_did_not_exist(shelf: Shelf) -> None:
    shelf.put("o", b"", {"X-Delete-At": str(int(time.time()) - 5)})
    assert shelf.names() == ["o"]  # until it is deleted
    assert not shelf.delete("o").existed
    assert shelf.names() == []


def test_a_deletion_of_what_expires_at_a_time(shelf: Shelf) -> None:
    due = int(time.time()) - 5
    shelf.put("o", b"", {"X-Delete-At": str(due)})
    for other in (due + 1, 0):
        with pytest.raises(PreconditionFailed):
            shelf.delete("o", delete_at=other)
    assert shelf.delete("o", delete_at=due).existed
    with pytest.raises(PreconditionFailed):
        shelf.delete("o", delete_at=due)


# Segments


def test_a_change_returns_the_segments_of_the_manifest_that_it_replaces(shelf: Shelf) -> None:
    owned = owns("parts", "u1/")
    for change in (shelf.put, shelf.delete):
        shelf.put("o", b"", {MANIFEST_OWNS: owned})
        assert change("o", keep_segments=True).segments == (owned,)
        assert change("o", keep_segments=True).segments == ()


# Renames


def test_a_renamed_object_is_under_the_new_name_alone(shelf: Shelf) -> None:
    owned = owns("parts", "u1/")
    etag = shelf.put("old", b"data", {MANIFEST_OWNS: owned}).etag
    result = shelf.put("new", b"data", rename=RenameSource("old", etag), keep_segments=True)
    assert shelf.read("new") == b"data" and shelf.names() == ["new"] and result.segments == (owned,)
    with pytest.raises(NotFound):
        shelf.open("old")


def test_a_rename_of_what_is_not_as_it_was(shelf: Shelf) -> None:
    shelf.put("old", b"data")
    for source in (RenameSource("old", "0" * 32), RenameSource("missing")):
        with pytest.raises(Conflict):
            shelf.put("new", b"data", rename=source)
    assert shelf.names() == ["old"]


@pytest.mark.parametrize("source", ["new", ""])
def test_a_rename_needs_another_name(shelf: Shelf, source: str) -> None:
    shelf.put("new", b"data")
    with pytest.raises(InvalidInput):
        shelf.put("new", b"data", rename=RenameSource(source))


def test_a_rename_on_a_condition_of_the_new_name(shelf: Shelf) -> None:
    shelf.put("old", b"data")
    shelf.put("new", b"there")
    with pytest.raises(PreconditionFailed):
        shelf.put("new", b"data", rename=RenameSource("old"), condition=NEW)
    assert shelf.names() == ["new", "old"]


# Lives of the container


def test_an_object_that_depends_on_a_life_of_its_container(shelf: Shelf) -> None:
    first = shelf.life
    shelf.put("o", life=first, listed=True)
    shelf.delete("o")
    shelf.layer.delete_container(shelf.context, shelf.container)
    with pytest.raises(NoContainer):
        shelf.put("o", life=first)
    shelf.layer.create_container(shelf.context, shelf.container, ContainerOptions({}))
    assert shelf.life > first
    with pytest.raises(ContainerReplaced):
        shelf.put("o", life=first)
    assert shelf.names() == []
    with pytest.raises(NotFound):
        shelf.open("o")
    headers = shelf.layer.container(shelf.context, shelf.container).headers
    assert headers[DELETE_TIMESTAMP] == shelf.life


class Deleting(BytesBody):
    """Deletes the container while it is read, and perhaps makes it again."""

    def __init__(self, shelf: Shelf, again: bool) -> None:
        super().__init__(b"x" * 100_000)
        self._shelf: Shelf | None = shelf
        self._again = again

    def read_chunk(self, most: int = 1 << 20, /) -> bytes:
        shelf, self._shelf = self._shelf, None
        if shelf is not None:
            shelf.layer.delete_container(shelf.context, shelf.container)
            if self._again:
                shelf.layer.create_container(shelf.context, shelf.container, ContainerOptions({}))
        return super().read_chunk(most)


def test_a_container_that_is_deleted_while_an_object_comes(shelf: Shelf) -> None:
    with pytest.raises(NoContainer) as failed:
        shelf.layer.put(shelf.context, shelf.name("o"), PutOptions({"Content-Type": "a/b"}), Deleting(shelf, False))
    assert failed.value.ended


def test_a_container_that_is_made_again_while_an_object_comes(shelf: Shelf) -> None:
    body = Deleting(shelf, True)
    shelf.layer.put(shelf.context, shelf.name("o"), PutOptions({"Content-Type": "a/b"}), body)
    assert shelf.names() == ["o"]
    body = Deleting(shelf, True)
    shelf.delete("o")
    with pytest.raises(ContainerReplaced):
        options = PutOptions({"Content-Type": "a/b"}, life=shelf.life)
        shelf.layer.put(RequestContext(), shelf.name("o"), options, body)
    assert shelf.names() == []
