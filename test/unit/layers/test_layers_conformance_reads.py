"""The contract of reading objects, over each stack of layers."""

from __future__ import annotations

import hashlib
import time

import pytest
from harness.layer_stacks import Shelf

from objstore.core.errors import NotFound
from objstore.core.headers import DATA_TIMESTAMP, STORED_TIMESTAMP
from objstore.core.timestamps import Timestamp
from objstore.web.responses import http_date

DATA = b"0123456789"
ETAG = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def stored(shelf: Shelf) -> Shelf:
    """With an object `o`."""
    shelf.put("o", DATA, {"X-Object-Meta-Color": "blåg", "Content-Encoding": "x", "Content-Type": "a/b"})
    return shelf


def test_what_was_put_is_read(stored: Shelf) -> None:
    reply = stored.open("o")
    assert (reply.status, reply.read()) == (200, DATA)
    assert reply.headers["Content-Type"] == "a/b" and reply.headers["X-Object-Meta-Color"] == "blåg"
    assert reply.headers["Content-Encoding"] == "x" and reply.headers["Etag"] == ETAG
    assert reply.headers["Content-Length"] == "10"


def test_a_large_object_is_read(shelf: Shelf) -> None:
    data = bytes(range(256)) * 1200
    assert shelf.put("o", data).etag == hashlib.md5(data).hexdigest()
    assert shelf.read("o") == data
    assert shelf.open("o", {"Range": "bytes=300000-300009"}).read() == data[300000:300010]


def test_an_empty_object_is_read(shelf: Shelf) -> None:
    shelf.put("o")
    reply = shelf.open("o")
    assert (reply.status, reply.read(), reply.headers["Content-Length"]) == (200, b"", "0")


def test_headers_alone(stored: Shelf) -> None:
    reply = stored.open("o", head=True)
    assert (reply.status, reply.read(), reply.headers["Content-Length"]) == (200, b"", "10")


def test_headers_alone_ignore_a_range(stored: Shelf) -> None:
    reply = stored.open("o", {"Range": "bytes=0-1"}, head=True)
    assert (reply.status, reply.headers["Content-Length"]) == (200, "10")


@pytest.mark.parametrize("options", [{}, {"head": True}, {"newest": True}, {"raw": True}])
def test_a_name_that_was_never_stored(shelf: Shelf, options: dict[str, bool]) -> None:
    with pytest.raises(NotFound):
        shelf.open("o", **options)


def test_a_deleted_name_tells_when(stored: Shelf) -> None:
    written = stored.head("o")[STORED_TIMESTAMP]
    stored.delete("o")
    with pytest.raises(NotFound) as missing:
        stored.open("o")
    assert isinstance(missing.value.timestamp, Timestamp) and missing.value.timestamp.internal > written


def test_an_object_of_no_container(shelf: Shelf) -> None:
    shelf.container = shelf.container._replace(container="other")
    with pytest.raises(NotFound):
        shelf.open("o")


def test_names_are_any_text(shelf: Shelf) -> None:
    for name in ("a/b//c", "ü", "\U0001f600", "a b%20?#", "."):
        shelf.put(name, name.encode())
        assert shelf.read(name) == name.encode()
    assert len(shelf.names()) == 5


@pytest.mark.parametrize("raw", [False, True])
def test_the_newest_of_a_majority(stored: Shelf, raw: bool) -> None:
    assert stored.read("o", newest=True, raw=raw) == DATA


# Times


def test_the_times_of_an_object(shelf: Shelf) -> None:
    stamp = shelf.put("o").timestamp
    headers = shelf.head("o")
    assert Timestamp.parse(headers["X-Timestamp"]).raw == stamp.raw
    assert headers["Last-Modified"] == http_date(stamp.ceiling)
    assert Timestamp.parse(headers[DATA_TIMESTAMP]) == Timestamp.parse(headers[STORED_TIMESTAMP]) == stamp


def test_an_update_leaves_the_time_of_the_data(shelf: Shelf) -> None:
    stamp = shelf.put("o").timestamp
    shelf.update("o", {"X-Object-Meta-A": "1"})
    headers = shelf.head("o")
    assert Timestamp.parse(headers[DATA_TIMESTAMP]) == stamp < Timestamp.parse(headers[STORED_TIMESTAMP])


def test_a_read_of_one_version(shelf: Shelf) -> None:
    shelf.put("o", b"one")
    version = shelf.head("o")[DATA_TIMESTAMP]
    shelf.update("o", {})
    assert shelf.read("o", version=version) == b"one"
    shelf.put("o", b"two")
    assert shelf.open("o", version=version).status == 412


def test_an_object_whose_time_has_come_is_not_there(shelf: Shelf) -> None:
    due = int(time.time()) - 10
    shelf.put("o", DATA, {"X-Delete-At": str(due)})
    with pytest.raises(NotFound):
        shelf.open("o")
    reply = shelf.open("o", expired=True)
    assert reply.read() == DATA and reply.headers["X-Delete-At"] == str(due)


# Conditions


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If-Match": f'"{ETAG}"'}, 200),
        ({"If-Match": f'"x", "{ETAG}"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f'W/"{ETAG}"'}, 412),
        ({"If-Match": '"x"'}, 412),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": f'W/"{ETAG}"'}, 304),
        ({"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
        ({"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 412),
        ({"If-Unmodified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
        ({"If-Match": '"x"', "Range": "bytes=90-"}, 412),
        ({"If-Modified-Since": "yesterday"}, 200),
    ],
)
@pytest.mark.parametrize("head", [False, True])
def test_conditions(stored: Shelf, conditions: dict[str, str], status: int, head: bool) -> None:
    reply = stored.open("o", conditions, head=head)
    assert reply.status == status and reply.headers["Etag"] == ETAG
    assert reply.read() == (DATA if status == 200 and not head else b"")


@pytest.mark.parametrize("conditions", [{"If-Match": '"x"'}, {"If-None-Match": "*"}])
def test_no_condition_makes_a_missing_object_another_outcome(shelf: Shelf, conditions: dict[str, str]) -> None:
    with pytest.raises(NotFound):
        shelf.open("o", conditions)


# Ranges


@pytest.mark.parametrize(
    ("asked", "span"),
    [("0-0", "0-0"), ("2-4", "2-4"), ("7-", "7-9"), ("-3", "7-9"), ("-99", "0-9"), ("8-99", "8-9"), ("0-9", "0-9")],
)
def test_one_range(stored: Shelf, asked: str, span: str) -> None:
    reply = stored.open("o", {"Range": f"bytes={asked}"})
    first, last = map(int, span.split("-"))
    assert (reply.status, reply.read()) == (206, DATA[first : last + 1])
    assert reply.headers["Content-Range"] == f"bytes {span}/10"
    assert reply.headers["Content-Length"] == str(last + 1 - first)


@pytest.mark.parametrize("asked", ["10-", "-0", "99-100"])
def test_a_range_that_fits_nowhere(stored: Shelf, asked: str) -> None:
    reply = stored.open("o", {"Range": f"bytes={asked}"})
    assert (reply.status, reply.headers["Content-Range"], reply.read()) == (416, "bytes */10", b"")


@pytest.mark.parametrize("asked", ["bytes=4-2", "bytes=x", "lines=0-1", "bytes=0-1,3-4"])
def test_a_header_that_is_no_single_range_brings_all(stored: Shelf, asked: str) -> None:
    reply = stored.open("o", {"Range": asked})
    assert (reply.status, reply.read()) == (200, DATA)


def test_a_range_counts_only_if_the_object_is_the_same(stored: Shelf) -> None:
    date = stored.head("o")["Last-Modified"]
    for same in (f'"{ETAG}"', date):
        assert stored.open("o", {"Range": "bytes=1-2", "If-Range": same}).status == 206
    for other in ('"x"', f'W/"{ETAG}"', "*", "Mon, 01 Jan 2001 00:00:00 GMT"):
        assert stored.open("o", {"Range": "bytes=1-2", "If-Range": other}).status == 200


# Policies


def test_an_object_under_another_policy_than_its_container_s(shelf: Shelf) -> None:
    shelf.put("o", b"silver", policy=1)
    assert shelf.read("o", policy=1) == b"silver"
    with pytest.raises(NotFound):
        shelf.open("o")
    assert shelf.names() == []
