"""Renaming: the new name is written and the old one deleted in one stroke."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from objstore.core.names import Name
from objstore.runtime import green
from objstore.web.responses import call

_spec = importlib.util.spec_from_file_location("cluster_faults", Path(__file__).with_name("test_cluster_faults.py"))
assert _spec is not None and _spec.loader is not None
faults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faults)
BODIES = pytest.mark.parametrize("body", [b"small", bytes(200_000)], ids=["small", "large"])


@pytest.fixture(params=[1, 3])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return faults.Store(tmp_path, 4, request.param)


def named(name: str) -> Name:
    return Name("AUTH_t", "c", name)


def content(store: Any, name: str) -> bytes | None:
    answer = store("GET", named(name), X_Newest="true")
    body = bytes(answer.read())
    return body if answer.status == 200 else None


def rename(store: Any, old: str, new: str, body: bytes, etag: str = "", trusted: bool = True, **headers: str) -> int:
    environ = {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": f"/v1{named(new).path}",
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_X_BACKEND_RENAME_SOURCE": quote(old),
        "HTTP_X_BACKEND_RENAME_ETAG": etag or hashlib.md5(body).hexdigest(),
        "wsgi.input": io.BytesIO(body),
        **headers,
    }
    if trusted:
        environ["objstore.preauthorized"] = True
    return call(store.app, environ).status


@BODIES
def test_the_new_name_is_there_and_the_old_one_gone(store: Any, body: bytes) -> None:
    old = "alter Name / %25"
    store("PUT", named(old), body)
    assert rename(store, old, "new", body) == 201
    assert (content(store, old), content(store, "new")) == (None, body)
    assert b'"new"' in store.listed()
    assert b"alter" not in store.listed()
    assert rename(store, "new", old, body) == 201
    assert (content(store, old), content(store, "new")) == (body, None)


@BODIES
def test_an_old_name_that_is_not_what_it_was_ends_it(store: Any, body: bytes) -> None:
    assert rename(store, "old", "new", body) == 409
    store("PUT", named("old"), b"other")
    assert rename(store, "old", "new", body) == 409
    assert (content(store, "old"), content(store, "new")) == (b"other", None)
    green.sleep(0.05)
    assert store("PUT", named("old"), b"free", If_Match="*").status == 201
    assert store("PUT", named("new"), b"free", If_None_Match="*").status == 201


@BODIES
def test_a_condition_on_the_new_name(store: Any, body: bytes) -> None:
    store("PUT", named("old"), body)
    store("PUT", named("new"), b"there")
    assert rename(store, "old", "new", body, HTTP_IF_NONE_MATCH="*") == 412
    assert (content(store, "old"), content(store, "new")) == (body, b"there")
    assert rename(store, "old", "new", body, HTTP_IF_MATCH=hashlib.md5(b"there").hexdigest()) == 201
    assert (content(store, "old"), content(store, "new")) == (None, body)


def test_of_many_renamings_of_one_object_one_succeeds(store: Any) -> None:
    for number in range(5):
        body = b"%d" % number
        store("PUT", named("old"), body)
        waits = [green.spawn(rename, store, "old", f"new{number}-{one}", body) for one in range(6)]
        assert sorted(wait.wait() for wait in waits) == [201] + [409] * 5
        assert [content(store, f"new{number}-{one}") for one in range(6)].count(body) == 1
        assert content(store, "old") is None


def test_two_that_swap_names_do_not_wait_for_each_other_for_ever(store: Any) -> None:
    for _ in range(5):
        store("PUT", named("a"), b"a")
        store("PUT", named("b"), b"b")
        waits = [green.spawn(rename, store, "a", "b", b"a"), green.spawn(rename, store, "b", "a", b"b")]
        statuses = sorted(wait.wait() for wait in waits)
        assert statuses == [201, 409]
        assert (content(store, "a"), content(store, "b")) in ((None, b"a"), (b"b", None))


def test_clients_cannot_ask_for_it(store: Any) -> None:
    store("PUT", named("old"), b"x")
    assert rename(store, "old", "new", b"x", trusted=False) == 201
    assert content(store, "old") == b"x"


def test_a_name_cannot_be_renamed_to_itself(store: Any) -> None:
    store("PUT", named("old"), b"x")
    assert rename(store, "old", "old", b"x") == 400
    assert rename(store, "", "old", b"x", HTTP_X_BACKEND_RENAME_SOURCE="") == 400
