"""What the storage servers answer to proxies, on real files and databases."""

import hashlib
import json
from types import SimpleNamespace

import pytest

from objstore.assembly.apps import storage_servers
from objstore.cluster.cluster import Transports
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.core.timestamps import Timestamp
from objstore.runtime.cluster_conf import FILE_NAME
from objstore.store.spool import Spool
from objstore.wire.local import LocalTransport
from objstore.wire.messages import NodeRequest, UpdateTarget

ACCOUNT, CONTAINER, OBJECT = Name("AUTH_t"), Name("AUTH_t", "c"), Name("AUTH_t", "c", "o ü")
HERE = ("127.0.0.1", 6200)
HOST = Node(-1, 0, 0, *HERE, "d1")


@pytest.fixture
def host(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / FILE_NAME).write_text("[hash]\nprefix = a\n")
    device = tmp_path / "devices" / "d1"
    device.mkdir(parents=True)
    conf = {
        "ring_dir": str(tmp_path / "etc"),
        "devices": str(tmp_path / "devices"),
        "mount_check": "no",
        "log_to": "none",
    }
    transports = Transports(None)
    local = LocalTransport(storage_servers(conf, transports).by_kind)
    transports.use_local(local, frozenset({HERE}))

    def ask(method, name, body=b"", query="", device="d1", **headers):
        sent = {header.replace("_", "-"): value for header, value in headers.items()}
        return local.call(HOST._replace(device=device), NodeRequest(method, 3, name, sent, query, body))

    assert ask("PUT", CONTAINER, X_Timestamp="1.00000").status == 201
    return SimpleNamespace(ask=ask, device=device)


def target(name, *nodes):
    return UpdateTarget(name, 3, tuple(enumerate(nodes))).encode()


def put(host, stamp="10.00000", body=b"hello", **headers):
    return host.ask("PUT", OBJECT, body, X_Timestamp=stamp, Content_Type="a/b", **headers)


def test_an_object_comes_back_as_it_was_put(host):
    answer = put(host, X_Object_Meta_Color="blue", X_Object_Sysmeta_S="s", X_Unknown="dropped")
    assert (answer.status, answer.headers["Etag"]) == (201, hashlib.md5(b"hello").hexdigest())
    got = host.ask("GET", OBJECT)
    assert (got.status, got.read()) == (200, b"hello")
    assert got.headers["X-Object-Meta-Color"] == "blue" and got.headers["X-Object-Sysmeta-S"] == "s"
    assert "X-Unknown" not in got.headers
    assert got.headers["X-Timestamp"] == "0000000010.00000"
    assert host.ask("HEAD", OBJECT).headers["Content-Length"] == "5"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_a_change_older_than_what_is_stored_is_told_what_that_is(host, method):
    put(host)
    answer = host.ask(method, OBJECT, X_Timestamp="9.00000")
    assert (answer.status, answer.headers["X-Backend-Timestamp"]) == (409, "0000000010.00000")
    assert host.ask("GET", OBJECT).read() == b"hello"


def test_a_change_without_a_timestamp_is_refused(host):
    assert host.ask("PUT", OBJECT).status == 400
    assert host.ask("PUT", OBJECT, X_Timestamp="yesterday").status == 400


def test_a_deleted_object_is_missing_since_when(host):
    put(host)
    assert host.ask("DELETE", OBJECT, X_Timestamp="11.00000").status == 204
    answer = host.ask("GET", OBJECT)
    assert (answer.status, answer.headers["X-Backend-Timestamp"]) == (404, "0000000011.00000")
    assert host.ask("DELETE", OBJECT, X_Timestamp="12.00000").status == 404
    assert host.ask("POST", OBJECT, X_Timestamp="13.00000").status == 404


def test_a_post_replaces_user_metadata_and_keeps_the_rest(host):
    put(host, X_Object_Meta_A="1", X_Object_Sysmeta_S="s")
    assert host.ask("POST", OBJECT, X_Timestamp="11.00000", X_Object_Meta_B="2").status == 202
    headers = host.ask("GET", OBJECT).headers
    assert "X-Object-Meta-A" not in headers
    assert (headers["X-Object-Meta-B"], headers["X-Object-Sysmeta-S"], headers["Content-Type"]) == ("2", "s", "a/b")
    assert headers["X-Backend-Data-Timestamp"] == "0000000010.00000"
    assert headers["X-Backend-Timestamp"] == "0000000011.00000"


def test_a_body_that_is_not_what_its_etag_says_is_refused(host):
    assert put(host, Etag="0" * 32).status == 422
    assert host.ask("GET", OBJECT).status == 404


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ({"Range": "bytes=1-2"}, 206, b"el"),
        ({"Range": "bytes=-2"}, 206, b"lo"),
        ({"Range": "bytes=3-99"}, 206, b"lo"),
        ({"Range": "bytes=9-"}, 416, None),
        ({"Range": "bytes=0-0,2-2"}, 200, b"hello"),
        ({"Range": "lines=1-2"}, 200, b"hello"),
        ({"If_None_Match": "5d41402abc4b2a76b9719d911017c592"}, 304, None),
        ({"If_Match": "other"}, 412, None),
        ({"X_Backend_If_Data_Timestamp": "10.00000"}, 200, b"hello"),
        ({"X_Backend_If_Data_Timestamp": "9.00000"}, 412, None),
    ],
)
def test_ranges_and_conditions_are_judged(host, asked, status, body):
    put(host)
    answer = host.ask("GET", OBJECT, **asked)
    got = answer.read()
    assert answer.status == status
    assert body is None or got == body


def test_a_refusal_says_its_own_length(host):
    """A range that fits nowhere was answered with the object's length: over HTTP no answer at all, or a 500."""
    put(host)
    answer = host.ask("GET", OBJECT, Range="bytes=9-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */5")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert int(answer.headers["Content-Length"]) == len(answer.read())


def test_an_expired_object_is_gone_but_for_those_who_remove_it(host):
    put(host, X_Delete_At="20")
    assert host.ask("GET", OBJECT).status == 404
    assert host.ask("GET", OBJECT, X_Backend_Even_Expired="1").read() == b"hello"
    assert host.ask("DELETE", OBJECT, X_Timestamp="30.00000", X_If_Delete_At="21").status == 412
    assert host.ask("DELETE", OBJECT, X_Timestamp="30.00000", X_If_Delete_At="20").status == 204


@pytest.mark.parametrize(("device", "status"), [("d2", 507), ("..", 507)])
def test_a_device_that_is_not_there_is_unavailable(host, device, status):
    assert host.ask("GET", OBJECT, device=device).status == status


def test_methods_that_there_are_not_are_named(host):
    answer = host.ask("PATCH", OBJECT)
    assert answer.status == 405 and "PUT" in answer.headers["Allow"]
    assert host.ask("OPTIONS", OBJECT).status == 200


def test_a_container_hears_of_its_objects(host):
    answer = put(host, X_Backend_Container_Update=target(CONTAINER, HOST))
    assert answer.headers["X-Backend-Container-Updated"] == "0"
    (row,) = json.loads(host.ask("GET", CONTAINER).read())
    assert (row["name"], row["bytes"], row["content_type"]) == ("o ü", 5, "a/b")
    assert row["last_modified"] == "1970-01-01T00:00:10.000000"
    host.ask("DELETE", OBJECT, X_Timestamp="11.00000", X_Backend_Container_Update=target(CONTAINER, HOST))
    assert json.loads(host.ask("GET", CONTAINER).read()) == []
    assert host.ask("HEAD", CONTAINER).headers["X-Container-Object-Count"] == "0"


def test_what_a_container_cannot_be_told_is_spooled_and_counts_as_told(host):
    other = Name("AUTH_t", "missing")
    answer = put(host, X_Backend_Container_Update=target(other, HOST))
    assert (answer.status, answer.headers["X-Backend-Container-Updated"]) == (201, "0")
    (update,) = Spool(str(host.device)).iter()
    assert update.payload["container"] == other.path
    assert (update.payload["row"]["name"], update.timestamp) == ("o ü", Timestamp.parse("10"))


def test_a_row_that_a_container_refuses_is_reported_and_not_spooled(host):
    # Spooled, it would bring the container back when the proxy has taken the object back long ago.
    assert host.ask("DELETE", CONTAINER, X_Timestamp="5.00000").status == 204
    life = {"X_Backend_Container_Life": "0000000000.00000"}
    answer = put(host, X_Backend_Container_Update=target(CONTAINER, HOST), **life)
    assert (answer.status, answer.headers["X-Backend-Container-Refused"]) == (201, "0")
    assert list(Spool(str(host.device)).iter()) == []
    assert host.ask("HEAD", CONTAINER).status == 404


def test_a_row_that_waits_in_the_spool_is_for_any_life_of_its_container(host):
    missing = Name("AUTH_t", "missing")
    answer = put(host, X_Backend_Container_Update=target(missing, HOST), X_Backend_Container_Life="0000000000.00000")
    assert (answer.headers["X-Backend-Container-Refused"], answer.headers["X-Backend-Container-Spooled"]) == ("", "0")
    (update,) = Spool(str(host.device)).iter()
    assert "X-Backend-Container-Life" not in update.payload["headers"]


def test_a_container_is_shut_while_it_is_empty(host):
    assert host.ask("POST", CONTAINER, query="shut=1").status == 204
    row = {"X_Backend_Container_Life": "0000000000.00000", "X_Backend_Container_Update": target(CONTAINER, HOST)}
    assert put(host, **row).headers["X-Backend-Container-Refused"] == "0"
    assert host.ask("POST", CONTAINER, query="shut=0").status == 204
    assert "X-Backend-Container-Refused" not in put(host, stamp="11.00000", **row).headers
    assert host.ask("POST", CONTAINER, query="shut=1").status == 409
    assert host.ask("POST", Name("AUTH_t", "missing"), query="shut=1").status == 404


def test_an_expiring_object_is_queued_for_the_expirer(host):
    queue = Name(".expiring_objects", "0000086400")
    put(host, X_Delete_At="9999999999", X_Backend_Expiry_Update=target(queue, HOST))
    (row,) = json.loads(host.ask("GET", queue).read())
    assert row["name"] == f"9999999999-{OBJECT.path[1:]}"


def test_a_container_is_made_once_and_deleted_when_empty(host):
    assert host.ask("PUT", CONTAINER, X_Timestamp="2.00000").status == 202
    put(host, X_Backend_Container_Update=target(CONTAINER, HOST))
    assert host.ask("DELETE", CONTAINER, X_Timestamp="20.00000").status == 409
    host.ask("DELETE", OBJECT, X_Timestamp="21.00000", X_Backend_Container_Update=target(CONTAINER, HOST))
    assert host.ask("DELETE", CONTAINER, X_Timestamp="22.00000").status == 204
    answer = host.ask("GET", CONTAINER)
    assert (answer.status, answer.headers["X-Backend-Timestamp"]) == (404, "0000000022.00000")
    assert host.ask("PUT", CONTAINER, X_Timestamp="23.00000").status == 201


def test_the_policy_of_a_container_does_not_change(host):
    answer = host.ask("PUT", CONTAINER, X_Timestamp="2.00000", X_Backend_Storage_Policy_Index="1")
    assert (answer.status, answer.headers["X-Backend-Storage-Policy-Index"]) == (409, "0")


def test_an_account_hears_of_its_containers(host):
    assert host.ask("PUT", ACCOUNT, X_Timestamp="1.00000").status == 201
    update = {"X_Backend_Account_Update": target(ACCOUNT, HOST)}
    host.ask("PUT", Name("AUTH_t", "d"), X_Timestamp="5.00000", **update)
    (row,) = json.loads(host.ask("GET", ACCOUNT).read())
    assert (row["name"], row["count"], row["storage_policy"]) == ("d", 0, "Policy-0")
    host.ask("DELETE", Name("AUTH_t", "d"), X_Timestamp="6.00000", **update)
    assert json.loads(host.ask("GET", ACCOUNT).read()) == []


def test_metadata_is_set_replaced_and_removed_by_key(host):
    host.ask("POST", CONTAINER, X_Timestamp="5.00000", X_Container_Meta_A="1", X_Container_Read=".r:*")
    host.ask("POST", CONTAINER, X_Timestamp="6.00000", X_Container_Meta_A="", X_Container_Meta_B="2")
    host.ask("POST", CONTAINER, X_Timestamp="4.00000", X_Container_Meta_B="late")
    headers = host.ask("HEAD", CONTAINER).headers
    assert "X-Container-Meta-A" not in headers
    assert (headers["X-Container-Meta-B"], headers["X-Container-Read"]) == ("2", ".r:*")


@pytest.mark.parametrize("body", [b"", b"[1]", b'[{"name": "x"}]', b"\xff"])
def test_rows_that_are_none_are_refused(host, body):
    assert host.ask("POST", CONTAINER, body, query="rows=1", X_Timestamp="5.00000").status == 400


def test_a_container_that_is_put_again_says_nothing_against_totals_reported_since(host):
    """A database made just now, in the place of one that is away, does not know what the container holds."""
    assert host.ask("PUT", ACCOUNT, X_Timestamp="1.00000").status == 201
    row = {"name": "c", "put_timestamp": "1.00000", "delete_timestamp": "0.00000", "object_count": 1000}
    row |= {"bytes_used": 5, "policy_index": 0}
    assert host.ask("POST", ACCOUNT, json.dumps([row]).encode(), query="rows=1", X_Timestamp="30.00000").status == 202
    update = {"X_Backend_Account_Update": target(ACCOUNT, HOST)}
    assert host.ask("PUT", CONTAINER, X_Timestamp="20.00000", **update).status == 202
    totals = host.ask("HEAD", ACCOUNT).headers
    assert (totals["X-Account-Container-Count"], totals["X-Account-Object-Count"]) == ("1", "1000")
    assert host.ask("DELETE", CONTAINER, X_Timestamp="40.00000", **update).status == 204
    assert host.ask("HEAD", ACCOUNT).headers["X-Account-Container-Count"] == "0"


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "\x01"])
def test_an_item_that_no_answer_can_have_is_not_stored(host, value):
    sent = {"X_Object_Meta_A": value}
    assert host.ask("PUT", OBJECT, b"x", X_Timestamp="2.00000", **sent).status == 400
    assert host.ask("GET", OBJECT).status == 404
    assert host.ask("PUT", OBJECT, b"x", X_Timestamp="3.00000").status == 201
    assert host.ask("POST", OBJECT, X_Timestamp="4.00000", **sent).status == 400
    assert host.ask("PUT", OBJECT, b"x", X_Timestamp="5.00000", Content_Type=f"a/{value}").status == 400
    assert host.ask("POST", CONTAINER, X_Timestamp="4.00000", X_Container_Meta_A=value).status == 400


def test_an_object_stored_with_such_an_item_is_read_without_it(host, monkeypatch):
    """It was a 500 for good: for those that were stored before items were checked."""
    with monkeypatch.context() as patched:
        patched.setattr("objstore.core.metadata.check_sendable", lambda headers: None)
        bad = {"X_Object_Meta_A": "a\r\nSet-Cookie: b", "X_Object_Meta_B": "good"}
        assert host.ask("PUT", OBJECT, b"x", X_Timestamp="2.00000", **bad).status == 201
    answer = host.ask("GET", OBJECT)
    assert (answer.status, answer.read()) == (200, b"x")
    assert "X-Object-Meta-A" not in answer.headers
    assert answer.headers["X-Object-Meta-B"] == "good"


@pytest.mark.parametrize("header", ["X_Backend_Storage_Policy_Index", "X_Backend_Twin_Partition"])
@pytest.mark.parametrize("number", ["x", "9" * 5000, "\xb2"])
def test_an_internal_number_that_is_none_is_refused(host, header, number):
    assert host.ask("PUT", OBJECT, b"x", X_Timestamp="2.00000", **{header: number}).status == 400


@pytest.mark.parametrize("body", [b'[{"name": "a", "size": 1e999}]', b"[" * 5000, b"[[]]", b"[1]", b'["a"]'])
def test_rows_that_cannot_be_taken_apart_are_refused(host, body):
    assert host.ask("POST", CONTAINER, body, query="rows=1", X_Timestamp="2.00000").status == 400
    assert host.ask("POST", ACCOUNT, body, query="rows=1", X_Timestamp="2.00000").status in (400, 404)
