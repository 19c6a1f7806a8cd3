"""The filter for bulk requests over a layer in memory: order, limits, failures, heartbeats, clients that go."""

import io
import json
import logging
import tarfile
import time

import pytest

from objstore.core.errors import Conflict, InvalidInput, LimitExceeded, NodeFailure, NoSpace
from objstore.core.limits import DEFAULT_LIMITS
from objstore.core.names import Name
from objstore.layers.bodies import BytesBody
from objstore.layers.interface import ContainerOptions, PutOptions, ReadOptions
from objstore.layers.memory import MemoryLayer
from objstore.layers.passing import Passing
from objstore.runtime import green
from objstore.runtime.threads import ThreadPool
from objstore.swift.bulk import decompression
from objstore.swift.bulk.deletion import BadName, ListedName, parse_line
from objstore.swift.bulk.extraction import ExtractionTarget, Piped
from objstore.swift.bulk.filter import Bulk, filter_factory
from objstore.swift.bulk.report import BulkReport, with_heartbeats
from objstore.swift.bulk.settings import BulkSettings
from objstore.web.context import RequestContext
from objstore.web.responses import Response, call

BOX = Name("AUTH_a", "box")
LOGGER = logging.getLogger("test")


class Slow(Passing):
    """A layer whose changes take a while and may fail. most: changes at once. failures: by object name."""

    def __init__(self, inner, seconds=0.0):
        super().__init__(inner)
        self.seconds = seconds
        self.now = self.most = 0
        self.done = []
        self.failures = {}

    def _change(self, name):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            green.sleep(self.seconds)
            if name.object in self.failures:
                raise self.failures[name.object]
        finally:
            self.now -= 1
        self.done.append(name.object)

    def put(self, context, name, options, body):
        self._change(name)
        return self.inner.put(context, name, options, body)

    def delete(self, context, name, options):
        self._change(name)
        return self.inner.delete(context, name, options)


class App:
    def __init__(self, layer):
        self.layer = layer
        self.limits = DEFAULT_LIMITS
        self.features = []
        self.support = self.features.append

    def __call__(self, environ, start_response):
        return Response(299)(environ, start_response)


@pytest.fixture
def layer():
    made = Slow(MemoryLayer())
    made.create_container(RequestContext(), BOX, ContainerOptions({}))
    return made


def filter_over(layer, **settings):
    return Bulk(App(layer), BulkSettings(**settings), layer, DEFAULT_LIMITS, LOGGER)


def environ(method, path, query, body, **headers):
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_ACCEPT": "application/json",
        **headers,
    }


def extract(bulk, body, path="/v1/AUTH_a/box", format="tar", **headers):
    return json.loads(call(bulk, environ("PUT", path, f"extract-archive={format}", body, **headers)).read())


def delete(bulk, *names):
    body = "".join(f"{name}\n" for name in names).encode()
    return json.loads(call(bulk, environ("POST", "/v1/AUTH_a", "bulk-delete", body)).read())


def archive(*members):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def read(layer, key):
    return layer.open(RequestContext(), Name("AUTH_a", "box", key), ReadOptions()).read()


def put(layer, key):
    layer.inner.put(RequestContext(), Name("AUTH_a", "box", key), PutOptions({"Content-Type": "a/b"}), BytesBody(b"x"))


# The filter


def test_other_requests_pass(layer):
    bulk = filter_over(layer)
    for method, path, query in (
        ("GET", "/v1/AUTH_a", "bulk-delete"),
        ("PUT", "/v1/AUTH_a/box", "format=json"),
        ("PUT", "/v1/AUTH_a/box", ""),
        ("POST", "/v1/AUTH_a/box", "extract-archive=tar"),
        ("POST", "/info", "bulk-delete"),
        ("PUT", "/v1/AUTH_a/box/o", "x=bulk-delete"),
    ):
        assert call(bulk, environ(method, path, query, b"")).status == 299
    trusted = environ("POST", "/v1/AUTH_a", "bulk-delete", b"", **{"objstore.preauthorized": True})
    assert call(bulk, trusted).status == 299
    assert bulk.app.features == ["bulk"]


def test_a_query_that_is_not_utf8_is_refused(layer):
    assert call(filter_over(layer), environ("PUT", "/v1/AUTH_a/box", "extract-archive=tar&a=%ff", b"")).status == 400


def test_settings_are_of_the_section(layer):
    bulk = filter_factory({}, max_deletes_per_request="2")(App(layer))
    assert bulk.info()["bulk_delete"]["max_deletes_per_request"] == 2
    assert delete(bulk, "box/a", "box/b", "box/c")["Response Status"] == "413 Request Entity Too Large"


# Extraction


def test_small_files_are_stored_at_once_up_to_the_limit(layer):
    layer.seconds = 0.01
    found = extract(filter_over(layer, extract_concurrency=5), archive(*((f"{n}", b"%d" % n) for n in range(40))))
    assert found["Number Files Created"] == 40
    assert layer.most == 5
    assert [read(layer, f"{n}") for n in range(40)] == [b"%d" % n for n in range(40)]


def test_objects_of_one_name_are_stored_in_order(layer):
    layer.seconds = 0.002
    members = [("same", b"%d" % n) for n in range(5)] + [("same", b"large" * 50_000), ("same", b"last")]
    assert extract(filter_over(layer), archive(*members))["Number Files Created"] == 7
    assert read(layer, "same") == b"last"


def test_a_refused_member_does_not_end_the_extraction(layer):
    layer.failures = {"b": LimitExceeded("quota"), "c": Conflict(), "large": NoSpace()}
    members = [("a", b"1"), ("b", b"2"), ("c", b"3"), ("large", b"4" * 900_000), ("d", b"5")]
    found = extract(filter_over(layer), archive(*members))
    assert found["Number Files Created"] == 2
    assert sorted(found["Errors"]) == [
        ["box/b", "400 Bad Request"],
        ["box/c", "409 Conflict"],
        ["box/large", "507 Insufficient Storage"],
    ]
    assert found["Response Status"] == "502 Bad Gateway"
    assert read(layer, "d") == b"5"


def test_an_unexpected_exception_is_an_error_of_its_member(layer):
    layer.failures = {"b": KeyError("bug"), "large": KeyError("bug")}
    found = extract(filter_over(layer), archive(("a", b"1"), ("b", b"2"), ("large", b"3" * 900_000), ("c", b"4")))
    assert sorted(found["Errors"]) == [
        ["box/b", "500 Internal Server Error"],
        ["box/large", "500 Internal Server Error"],
    ]
    assert found["Number Files Created"] == 2


def test_failures_have_a_limit(layer):
    layer.failures = {f"{n}": Conflict() for n in range(100)}
    found = extract(
        filter_over(layer, max_failed_extractions=5, extract_concurrency=1),
        archive(*((f"{n}", b"") for n in range(100))),
    )
    assert 5 <= len(found["Errors"]) <= 7
    assert found["Response Status"] == "400 Bad Request"


def test_containers_have_a_limit(layer):
    bulk = filter_over(layer, max_containers_per_extraction=3)
    found = extract(bulk, archive(*((f"c{n}/o", b"") for n in range(10))), "/v1/AUTH_a")
    assert found["Number Files Created"] == 3
    assert "More than 3 containers" in found["Response Body"]


def test_a_file_larger_than_an_object_is_refused_and_skipped(layer):
    bulk = Bulk(App(layer), BulkSettings(), layer, DEFAULT_LIMITS._replace(max_file_size=1000), LOGGER)
    found = extract(bulk, archive(("large", b"x" * 70_000), ("small", b"y")))
    assert found["Errors"] == [["box/large", "413 Request Entity Too Large"]]
    assert found["Number Files Created"] == 1


def test_memory_is_bounded_by_the_pieces_that_wait():
    body = Piped(1 << 30, lambda: None)
    count = 0
    while body.has_room:
        body.put(b"x" * 1000)
        count += 1
    assert count < 10
    assert bytes(body.read_chunk(400)) == b"x" * 400
    assert len(body.read_chunk(5000)) == 600
    assert body.has_room


@pytest.mark.parametrize(
    ("target", "name", "path"),
    [
        (ExtractionTarget("a", "c", "p"), b"./x", b"c/p/x"),
        (ExtractionTarget("a", "c"), b"/x", b"c/x"),
        (ExtractionTarget("a"), b"c/x", b"c/x"),
        (ExtractionTarget("a", "c", "/q"), b"e", b"c//q/e"),
        (ExtractionTarget("a", "c"), b"../x", b"c/../x"),
        (ExtractionTarget("a"), b"x", b"x"),
    ],
)
def test_names_of_members_below_their_target(target, name, path):
    assert target.path(name) == path


# Heartbeats, and clients that go


def answer_pieces(bulk, request):
    """Return the pieces of the body as they come, with seconds."""
    start = time.monotonic()
    answer = call(bulk, request)
    return [(time.monotonic() - start, bytes(piece)) for piece in answer.body]


def test_a_deletion_that_takes_long_sends_spaces(layer):
    layer.seconds = 0.5
    put(layer, "a")
    request = environ("POST", "/v1/AUTH_a", "bulk-delete", b"box/a\n")
    pieces = answer_pieces(filter_over(layer, yield_frequency=0.1), request)
    assert [piece for _, piece in pieces[:-1]] == [b" "] * (len(pieces) - 1)
    assert len(pieces) >= 4
    last = pieces[-1][1]
    assert last.startswith(b"\r\n\r\n")
    assert json.loads(b"".join(piece for _, piece in pieces))["Number Deleted"] == 1


@pytest.mark.parametrize("content", [b"x", b"x" * 300_000])
def test_an_extraction_that_takes_long_sends_spaces(layer, content):
    layer.seconds = 0.5
    request = environ("PUT", "/v1/AUTH_a/box", "extract-archive=tar", archive(("a", content)))
    pieces = answer_pieces(filter_over(layer, yield_frequency=0.1), request)
    assert [piece for _, piece in pieces[:3]] == [b" "] * 3
    assert json.loads(b"".join(piece for _, piece in pieces))["Number Files Created"] == 1


def test_members_that_are_skipped_leave_turns_to_others_and_send_spaces(layer):
    info = tarfile.TarInfo("d")
    info.type = tarfile.DIRTYPE
    request = environ("PUT", "/v1/AUTH_a/box", "extract-archive=tar", info.tobuf() * 20_000)
    turns = []

    def other():
        while True:
            turns.append(time.monotonic())
            green.sleep(0)

    thread = green.spawn(other)
    pieces = answer_pieces(filter_over(layer, yield_frequency=0.01), request)
    green.kill(thread)
    assert pieces[0][1] == b" "
    assert json.loads(b"".join(piece for _, piece in pieces))["Number Skipped"] == 20_000
    assert len(turns) > 50


def test_quick_answers_have_no_spaces(layer):
    request = environ("POST", "/v1/AUTH_a", "bulk-delete", b"box/a\n")
    ((_, only),) = answer_pieces(filter_over(layer), request)
    assert only.startswith(b"{")


def test_a_deletion_ends_when_its_client_has_gone(layer):
    layer.seconds = 0.05
    for number in range(100):
        put(layer, f"{number}")
    body = b"".join(b"box/%d\n" % number for number in range(100))
    bulk = filter_over(layer, yield_frequency=0.02, delete_concurrency=2)
    answer = call(bulk, environ("POST", "/v1/AUTH_a", "bulk-delete", body))
    assert bytes(next(iter(answer.body))) == b" "
    answer.close()
    green.sleep(0.3)
    done = len(layer.done)
    green.sleep(0.3)
    assert len(layer.done) == done < 20


def test_an_extraction_ends_when_its_client_has_gone(layer):
    layer.seconds = 0.05
    bulk = filter_over(layer, yield_frequency=0.02, extract_concurrency=2)
    body = archive(*((f"{number}", b"x") for number in range(100)), ("large", b"y" * 3_000_000))
    answer = call(bulk, environ("PUT", "/v1/AUTH_a/box", "extract-archive=tar", body))
    assert bytes(next(iter(answer.body))) == b" "
    answer.close()
    green.sleep(0.3)
    assert len(layer.done) < 20
    assert layer.now == 0


def test_work_is_closed_with_the_answer():
    closed = []

    def work():
        try:
            while True:
                yield
        finally:
            closed.append(True)

    body = with_heartbeats(work(), BulkReport("x", (), 200), "text/plain", 0.0)
    assert next(body) == b" "
    body.close()
    assert closed == [True]


# Deletion


@pytest.mark.parametrize(
    ("line", "item"),
    [
        (b"/c/o", ListedName("c", "o")),
        (b"c/o/p\r", ListedName("c", "o/p")),
        (b" c ", ListedName("c", None)),
        (b"c/", ListedName("c", None)),
        (b"/c/a%2Fb%0A", ListedName("c", "a/b\n")),
        (b"c/o?version-id=1%2E5", ListedName("c", "o", "1.5")),
        (b"c/o?version-id=1&x=2", ListedName("c", "o?version-id=1&x=2")),
        (b"c/o?x", ListedName("c", "o?x")),
        (b"", None),
        (b"//x", ListedName("", "x")),
        (b"/", BadName("/", 403)),
        (b"c/%ff", BadName("/c/%FF", 412)),
        (b"c/%00", BadName("/c/%00", 412)),
        (b"c?version-id=1", BadName("/c", 400)),
    ],
)
def test_lines_of_a_list(line, item):
    assert parse_line(line) == item


def test_deletions_run_at_once_up_to_the_limit(layer):
    layer.seconds = 0.01
    for number in range(40):
        put(layer, f"{number}")
    found = delete(filter_over(layer, delete_concurrency=7), *(f"box/{number}" for number in range(40)))
    assert (found["Number Deleted"], layer.most) == (40, 7)


def test_failed_deletions_have_a_limit(layer):
    layer.failures = {f"{number}": NodeFailure() for number in range(100)}
    bulk = filter_over(layer, max_failed_deletes=10, delete_concurrency=2)
    found = delete(bulk, *(f"box/{number}" for number in range(100)))
    assert 10 <= len(found["Errors"]) <= 12
    assert found["Response Status"] == "400 Bad Request"
    assert "More than 10 names" in found["Response Body"]


def test_a_server_error_is_the_status_of_the_whole(layer):
    layer.failures = {"a": NodeFailure(), "b": KeyError("bug")}
    put(layer, "c")
    found = delete(filter_over(layer), "box/a", "box/b", "box/c")
    assert (found["Response Status"], found["Number Deleted"]) == ("502 Bad Gateway", 1)
    assert sorted(found["Errors"]) == [["/box/a", "503 Service Unavailable"], ["/box/b", "500 Internal Server Error"]]


def test_a_container_that_is_not_empty_yet_is_tried_again(layer):
    put(layer, "a")
    tries = []

    def delete_container(context, name):
        tries.append(name)
        if len(tries) < 3:
            raise Conflict
        return True

    layer.delete_container = delete_container
    assert delete(filter_over(layer), "box")["Errors"] == [["/box", "409 Conflict"]]
    tries.clear()
    assert delete(filter_over(layer, delete_container_retry_count=3), "box")["Number Deleted"] == 1
    assert len(tries) == 3


# Decompression


@pytest.mark.parametrize("format", [name for name in decompression.available_formats() if name != "tar"])
def test_each_step_of_a_decompression_is_bounded(format):
    import bz2
    import lzma
    import zlib

    import zstandard

    data = bytes(40 << 20)
    packed = {
        "tar.gz": lambda: zlib.compress(data, wbits=31),
        "tar.bz2": lambda: bz2.compress(data),
        "tar.xz": lambda: lzma.compress(data, preset=0),
        "tar.zst": lambda: zstandard.ZstdCompressor().compress(data),
    }[format]()
    read = decompression.opened(format, BytesBody(packed), decompression.Growth(0), 72 << 20, ThreadPool("test", 1))
    size = 0
    while piece := read():
        assert len(piece) <= 9 << 20
        size += len(piece)
    assert size == len(data)


def test_a_decompressor_that_needs_too_much_memory_is_refused():
    import lzma

    body = BytesBody(lzma.compress(b"x" * 100, preset=9))
    read = decompression.opened("tar.xz", body, decompression.Growth(0), 1 << 20, ThreadPool("test", 1))
    with pytest.raises(Exception, match="invalid compressed data"):
        read()


def test_growth_is_limited_after_a_free_part():
    growth = decompression.Growth(10)
    growth.received(1)
    growth.produced(64 << 20)
    with pytest.raises(LimitExceeded, match="10 times"):
        growth.produced(1)
    unlimited = decompression.Growth(0)
    unlimited.produced(1 << 40)


# Guards of other filters


def guarded(check):
    return {"objstore.guards": (check,)}


def test_guards_are_asked_about_each_name(layer):
    asked = []

    def check(permitted):
        asked.append((permitted.method, permitted.name.object))
        if permitted.name.object == "b":
            raise InvalidInput("a name that is not allowed")

    found = extract(filter_over(layer), archive(("a", b"1"), ("b", b"2"), ("c", b"3")), **guarded(check))
    assert found["Errors"] == [["box/b", "400 Bad Request"]]
    assert (found["Number Files Created"], found["Response Body"]) == (2, "")
    assert asked == [("PUT", name) for name in "abc"]
    request = environ("POST", "/v1/AUTH_a", "bulk-delete", b"box/a\nbox/b\n", **guarded(check))
    assert json.loads(call(filter_over(layer), request).read())["Errors"] == [["/box/b", "400 Bad Request"]]


def test_an_error_of_a_guard_is_that_of_its_name(layer):
    def check(permitted):
        raise NodeFailure("the counts cannot be read")

    found = extract(filter_over(layer), archive(("a", b"1"), ("b", b"2")), **guarded(check))
    assert found["Errors"] == [[f"box/{name}", "503 Service Unavailable"] for name in "ab"]
