"""/recon of a storage server's host."""

import hashlib
import json

import pytest

import objstore
from objstore.middleware.recon import filter_factory
from objstore.web.responses import Response, call


@pytest.fixture
def host(tmp_path):
    for path in ("node/d1/quarantined/objects/h1", "node/d1/quarantined/objects-1/h2", "node/d2/async_pending-1/abc"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "node/d1/quarantined/containers/h3").mkdir(parents=True)
    (tmp_path / "node/d2/async_pending").mkdir()
    (tmp_path / "node/d2/async_pending-1/abc/one").touch()
    (tmp_path / "node/d2/async_pending/two").touch()
    (tmp_path / "rings").mkdir()
    (tmp_path / "rings/object.ring").write_bytes(b"ring")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/object-replicator.json").write_text('{"duration": 3}')
    (tmp_path / "secret.json").write_text("{}")
    return filter_factory(
        {},
        devices=str(tmp_path / "node"),
        mount_check="false",
        ring_dir=str(tmp_path / "rings"),
        recon_cache_path=str(tmp_path / "cache"),
    )(Response(418))


def ask(app, path, method="GET"):
    answer = call(app, {"REQUEST_METHOD": method, "PATH_INFO": path})
    return answer.status, answer.read()


def told(app, topic):
    status, body = ask(app, f"/recon/{topic}")
    assert status == 200
    return json.loads(body)


def test_what_is_kept(host, tmp_path):
    assert told(host, "devices") == {str(tmp_path / "node"): ["d1", "d2"]}
    assert told(host, "quarantined") == {
        "accounts": 0,
        "containers": 1,
        "objects": 2,
        "policies": {"0": {"objects": 1}, "1": {"objects": 1}},
        "names": {"d1": {"containers": ["h3"], "objects": ["h1"], "objects-1": ["h2"]}},
    }
    assert told(host, "async") == {"async_pending": 2}
    md5 = hashlib.md5(b"ring").hexdigest()
    assert told(host, "ringmd5") == {str(tmp_path / "rings/object.ring"): md5}


def test_disks(host):
    first, _ = told(host, "diskusage")
    assert first["device"] == "d1" and first["mounted"] and 0 <= first["avail"] <= first["size"]
    assert told(host, "unmounted") == [] and isinstance(told(host, "mounted"), list)


def test_a_device_that_is_no_mount_point_is_told(tmp_path):
    (tmp_path / "d1").mkdir()
    app = filter_factory({}, devices=str(tmp_path))(Response(418))
    assert told(app, "unmounted") == [{"device": "d1", "mounted": False}]
    assert told(app, "diskusage")[0] == {"device": "d1", "mounted": False, "size": "", "used": "", "avail": ""}


def test_the_host_itself(host):
    assert told(host, "version") == {"version": objstore.__version__}
    assert told(host, "mem")["total"] > 0 and told(host, "load")["cpus"] > 0 and told(host, "time") > 1e9
    assert isinstance(told(host, "sockstat"), dict)


def test_what_daemons_tell(host):
    assert told(host, "object-replicator") == {"duration": 3}


@pytest.mark.parametrize("path", ["/recon/none", "/recon/../secret", "/recon/", "/recon/a/b", "/recon/.x"])
def test_what_nobody_tells(host, path):
    assert ask(host, path)[0] == 404


def test_a_host_without_anything(tmp_path):
    app = filter_factory({}, devices=str(tmp_path / "none"), ring_dir=str(tmp_path / "none"))(Response(418))
    assert told(app, "quarantined")["objects"] == 0 and told(app, "ringmd5") == {} and told(app, "diskusage") == []


def test_other_paths_and_methods(host):
    assert ask(host, "/d1/0/a")[0] == 418 and ask(host, "/recon/mem", "PUT")[0] == 405
