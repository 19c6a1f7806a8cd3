"""Headers that must not pass between clients and servers."""

import pytest

from objstore.core.errors import ConfigError
from objstore.middleware.gatekeeper import filter_factory
from objstore.web.requests import headers
from objstore.web.responses import Response, call

PRIVATE = [
    "X-Backend-Storage-Policy-Index",
    "X-Account-Sysmeta-Key",
    "X-Container-Sysmeta-Versions",
    "X-Object-Sysmeta-Etag",
    "X-Object-Transient-Sysmeta-Crypto",
]
# Other spellings of these, and what no client has a reason to send.
NO_CLIENTS = [
    "X-Remove-Container-Sysmeta-S3-Policy-0",
    "x-remove-container-sysmeta-s3-public-access-0",
    "X_Remove_Container_Sysmeta_S3_Versioning_0",
    "X-Remove-Account-Sysmeta-Core-Access-Control",
    "X-Remove-Object-Sysmeta-Etag",
    "X-Remove-Backend-Anything",
    "X_Backend_Storage_Policy_Index",
    "X-Backend",
    "X-Object-Transient-Sysmeta",
    "X-Put-Timestamp",
    "X-Objstore-Anything",
]
CLIENTS = [
    "Range",
    "If-None-Match",
    "Destination",
    "Etag",
    "X-Auth-Token",
    "X-Amz-Meta-Color",
    "X-Object-Meta-Sysmeta-Color",
    "X-Container-Read",
    "X-Remove-Container-Read",
    "X-Remove-Container-Meta-Color",
    "X-Remove-Account-Meta-Color",
    "X-Copy-From-Account",
    "X-Delete-At",
    "X-Newest",
    "X-Storage-Policy",
    "X-Forwarded-For",
    "X-Trans-Id-Extra",
]


def seen_below(sent, **conf):
    """The request headers that pass."""
    seen = {}

    def app(environ, start_response):
        seen.update(headers(environ))
        return Response(200)(environ, start_response)

    environ = {"REQUEST_METHOD": "PUT", "PATH_INFO": "/v1/a"}
    environ |= {"HTTP_" + name.upper().replace("-", "_"): value for name, value in sent.items()}
    call(filter_factory({}, **conf)(app), environ)
    return seen


@pytest.mark.parametrize("name", PRIVATE)
def test_private_headers_pass_in_neither_direction(name):
    assert seen_below({name: "1", "X-Object-Meta-Color": "red"}) == {"X-Object-Meta-Color": "red"}
    app = filter_factory({})(Response(200, {name: "1", name.lower(): "1", "X-Object-Meta-Color": "red"}))
    answer = call(app, {"REQUEST_METHOD": "GET", "PATH_INFO": "/v1/a"})
    assert answer.headers == {"X-Object-Meta-Color": "red", "Content-Length": "0"}


@pytest.mark.parametrize("name", NO_CLIENTS)
def test_a_header_that_is_not_the_clients_does_not_pass_inward(name):
    """X-Remove-Container-Sysmeta-* once passed, and deleted the policy of a bucket."""
    assert seen_below({name: "1"}) == {}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_header_of_clients_passes_inward(name):
    assert seen_below({name: "1"}) == {name: "1"}


def test_the_settings_name_further_headers():
    further = "X-Example-*, X-Other"
    assert seen_below({"X-Example-A": "1", "X-Other": "2"}, further_headers=further) == {
        "X-Example-A": "1",
        "X-Other": "2",
    }
    assert seen_below({"X-Examples": "1", "X-Other-One": "2"}, further_headers=further) == {}


@pytest.mark.parametrize(
    "name", ["X-Backend-Keep-Segments", "X-B*", "x_object_sysmeta_*", "X-*", "*", "X-Timestamp", "X-Remove-*", "X-*-A"]
)
def test_the_settings_cannot_let_in_what_is_ours(name):
    with pytest.raises(ConfigError):
        filter_factory({}, further_headers=name)


def test_a_clients_timestamp_is_put_aside_unless_the_settings_let_it_pass():
    assert seen_below({"X-Timestamp": "1"}) == {"X-Backend-Inbound-X-Timestamp": "1"}
    assert seen_below({"X-Timestamp": "1"}, shunt_inbound_x_timestamp="no") == {"X-Timestamp": "1"}


def test_a_client_cannot_send_what_shunting_makes():
    assert seen_below({"X-Backend-Inbound-X-Timestamp": "1"}) == {}


def test_reserved_names_are_for_those_whom_the_settings_let():
    assert "X-Backend-Allow-Reserved-Names" not in seen_below({"X-Allow-Reserved-Names": "true"})
    seen = seen_below({"X-Allow-Reserved-Names": "true"}, allow_reserved_names_header="yes")
    assert seen == {"X-Backend-Allow-Reserved-Names": "true"}


def test_the_timestamp_of_a_response_passes():
    answer = call(filter_factory({})(Response(200, {"X-Timestamp": "1"})), {"REQUEST_METHOD": "GET", "PATH_INFO": "/"})
    assert answer.headers["X-Timestamp"] == "1"
