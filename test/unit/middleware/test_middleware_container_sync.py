"""Requests of other clusters, and the targets that clients set, over a proxy in this process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from harness.in_process import InProcess

from objstore.access.identity import Realm
from objstore.core.container_sync import SignedRequest, SyncRealm, new_auth
from objstore.core.errors import ConfigError
from objstore.core.names import Name
from objstore.middleware.container_sync import ContainerSync, filter_factory
from objstore.web.responses import Answer, call

HERE = SyncRealm("Here", ("secret",), {"ONE": "http://one.example/v1/", "TWO": "http://two.example/v1/"})
WHEN = "1700000000.12345"
OBJECT = "/v1/a/c/o ü"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    store = InProcess(tmp_path_factory.mktemp("store"), devices=1, replicas=1)
    for name, headers in (("c", {"X_Container_Sync_Key": "user"}), ("open", {})):
        assert store("PUT", Name("a", name), **headers).status == 201
    yield store


@pytest.fixture(scope="module")
def app(store: InProcess) -> ContainerSync:
    return ContainerSync(store.proxy, realms=lambda: {"HERE": HERE}, current=("HERE", "TWO"))


def send(app: ContainerSync, method: str, path: str, body: bytes = b"", **environ: str) -> Answer:
    native = path.encode().decode("latin-1")
    answer = call(
        app,
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": native,
            "QUERY_STRING": "",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "objstore.realm": Realm(("a",)),
            **environ,
        },
    )
    answer.body = [answer.read()]
    return answer


def signed(method: str, path: str = OBJECT, realm: SyncRealm = HERE, key: str = "user", when: str = WHEN) -> str:
    return new_auth(realm, SignedRequest(method, quote(path), when), key)


def test_a_signed_change_is_made_at_its_time(app: ContainerSync) -> None:
    inbound = {"HTTP_X_BACKEND_INBOUND_X_TIMESTAMP": WHEN, "HTTP_X_AUTH_TOKEN": "AUTH_tk_of_another_cluster"}
    put = send(app, "PUT", OBJECT, b"data", HTTP_X_CONTAINER_SYNC_AUTH=signed("PUT"), **inbound)
    assert put.status == 201
    head = send(app, "HEAD", OBJECT, HTTP_X_CONTAINER_SYNC_AUTH=signed("HEAD", when="0"))
    assert head.headers["X-Timestamp"] == WHEN
    again = send(app, "PUT", OBJECT, b"other", HTTP_X_CONTAINER_SYNC_AUTH=signed("PUT"), **inbound)
    assert again.status == 409
    later = "1700000001.00000"
    inbound["HTTP_X_BACKEND_INBOUND_X_TIMESTAMP"] = later
    auth = signed("DELETE", when=later)
    assert send(app, "DELETE", OBJECT, HTTP_X_CONTAINER_SYNC_AUTH=auth, **inbound).status == 204
    assert send(app, "HEAD", OBJECT, HTTP_X_CONTAINER_SYNC_AUTH=signed("HEAD", when="0")).status == 404


OTHERS = {
    "method": signed("DELETE"),
    "path": signed("PUT", "/v1/a/c/other"),
    "user": signed("PUT", key="guess"),
    "key": signed("PUT", realm=HERE._replace(keys=("guess",))),
    "realm": signed("PUT", realm=HERE._replace(name="elsewhere")),
    "time": signed("PUT", when="1700000000.12346"),
    "short": "Here nonce",
    "long": "Here nonce signature more",
    "empty": "",
    "no text": "Here \xff \xff",
}


@pytest.mark.parametrize("auth", OTHERS.values(), ids=OTHERS)
def test_any_other_signature_is_refused_even_with_a_token(app: ContainerSync, auth: str) -> None:
    sent = {"HTTP_X_CONTAINER_SYNC_AUTH": auth, "HTTP_X_BACKEND_INBOUND_X_TIMESTAMP": WHEN}
    assert send(app, "PUT", OBJECT, b"data", **sent).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/a/open/o"), ("PUT", "/v1/a/missing/o"), ("PUT", "/v1/a/c"), ("DELETE", "/v1/a/c"), ("POST", OBJECT)],
)
def test_a_signature_is_for_objects_of_containers_with_a_key(app: ContainerSync, method: str, path: str) -> None:
    auth = signed(method, path)
    sent = {"HTTP_X_CONTAINER_SYNC_AUTH": auth, "HTTP_X_BACKEND_INBOUND_X_TIMESTAMP": WHEN}
    assert send(app, method, path, **sent).status == 401


def test_a_time_that_is_none_is_refused(app: ContainerSync) -> None:
    sent = {"HTTP_X_CONTAINER_SYNC_AUTH": signed("PUT", when="soon"), "HTTP_X_BACKEND_INBOUND_X_TIMESTAMP": "soon"}
    assert send(app, "PUT", OBJECT, b"data", **sent).status == 400


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("//here/two/b/d", 201),
        ("//HERE/One/b/d", 201),
        ("", 201),
        ("//other/two/b/d", 400),
        ("//here/three/b/d", 400),
        ("http://host/v1/b/d", 400),
        ("//here/two/b", 400),
        ("//here/two/b/d/e", 400),
    ],
)
def test_only_a_known_cluster_can_be_a_target(app: ContainerSync, target: str, status: int) -> None:
    owner = {"objstore.preauthorized": "yes"}
    path = f"/v1/a/{quote(target, safe='') or 'none'}"
    answer = send(app, "PUT", path, HTTP_X_CONTAINER_SYNC_TO=target, **owner)
    assert answer.status == status


def test_info_names_the_clusters_and_no_key(app: ContainerSync) -> None:
    clusters = {"ONE": {}, "TWO": {"current": True}}
    assert app.info() == {"container_sync": {"realms": {"HERE": {"clusters": clusters}}}}


@pytest.mark.parametrize("current", ["realm/cluster", "//realm", "//realm/cluster/more", "//realm/"])
def test_a_name_of_this_cluster_that_is_none_is_a_config_error(current: str) -> None:
    with pytest.raises(ConfigError, match="//realm/cluster"):
        filter_factory({"log_to": "none"}, current=current)
