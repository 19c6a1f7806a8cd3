"""/metrics of a proxy."""

import logging

import pytest

from objstore.core.errors import ConfigError
from objstore.middleware.metrics import filter_factory
from objstore.middleware.proxy_logging import ProxyLogging
from objstore.runtime.log import NoLines
from objstore.runtime.metrics import Metrics
from objstore.web.responses import Response, call

LOGGER = logging.getLogger("test")


def pipeline(registry, **conf):
    return filter_factory({}, **conf)(ProxyLogging(Response(200), lines=NoLines(), registry=registry))


def ask(app, path="/metrics", address="127.0.0.1", **environ):
    answer = call(app, {"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": address} | environ)
    return answer, answer.read()


COUNTED = b'objstore_requests_total{kind="account",method="GET",status="200"} 1.0'


def test_what_the_filters_below_have_counted():
    app = pipeline(Metrics(LOGGER))
    ask(app, "/v1/AUTH_t")
    answer, page = ask(app)
    assert COUNTED in page and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_all_workers_of_a_directory(tmp_path):
    other = Metrics(LOGGER, str(tmp_path))
    ask(pipeline(other), "/v1/AUTH_t")
    other.publish()
    assert COUNTED in ask(pipeline(Metrics(LOGGER, str(tmp_path)), metrics_directory=str(tmp_path)))[1]


@pytest.mark.parametrize(
    ("address", "environ", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("10.0.0.1", {}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
    ],
)
def test_only_this_host_may_ask(address, environ, status):
    assert ask(pipeline(Metrics(LOGGER)), address=address, **environ)[0].status == status


def test_other_networks_may_be_let():
    assert ask(pipeline(Metrics(LOGGER), metrics_networks="10.0.0.0/8"), address="10.1.2.3")[0].status == 200
    with pytest.raises(ConfigError, match="metrics_networks"):
        filter_factory({}, metrics_networks="everyone")


def test_it_can_be_switched_off():
    assert ask(pipeline(Metrics(LOGGER), expose_metrics="no"))[1] == b""


def test_a_storage_server_tells_of_its_devices(tmp_path):
    (tmp_path / "d1/quarantined/objects/h1").mkdir(parents=True)
    (tmp_path / "d1/async_pending/abc").mkdir(parents=True)
    (tmp_path / "d1/async_pending/abc/one").touch()

    class Server:
        server_name = "object-server"

    conf = {"devices": str(tmp_path), "mount_check": "no"}
    page = ask(filter_factory({}, **conf)(Server()))[1].decode()
    for line in (
        'objstore_device_mounted{device="d1"} 1.0',
        'objstore_device_async_pending{device="d1"} 1.0',
        'objstore_device_quarantined{device="d1",kind="objects"} 1.0',
        'objstore_device_quarantined{device="d1",kind="accounts"} 0.0',
        'objstore_device_size_bytes{device="d1"} ',
    ):
        assert line in page


@pytest.mark.parametrize(("wanted", "shown"), [("auto", False), ("yes", True), ("no", False)])
def test_a_proxy_tells_of_devices_only_where_it_is_asked_to(wanted, shown, tmp_path):
    (tmp_path / "d1").mkdir()
    conf = {"devices": str(tmp_path), "mount_check": "no", "device_metrics": wanted}
    page = ask(filter_factory({}, **conf)(Response(404)))[1]
    assert (b"objstore_device_size_bytes" in page) == shown
