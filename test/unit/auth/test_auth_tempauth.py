import base64
import json
import logging

import pytest
from harness.layer_over_app import LayerOverApp

from objstore.access.identity import Identity, Realm
from objstore.auth import hashing
from objstore.auth.tempauth import TempAuth, filter_factory
from objstore.auth.users import User
from objstore.auth.users_file import editing
from objstore.core.errors import ConfigError
from objstore.swift.permission import Permissions
from objstore.web.context import RequestContext
from objstore.web.infos import ContainerInfo, from_headers
from objstore.web.requests import api_name, header
from objstore.web.responses import Response, call

CONF = {
    "log_to": "none",
    "token_key": "0123456789abcdef",
    "user_admin_admin": "admin .admin .reseller_admin",
    "user_test_tester": "testing .admin",
    "user_test_tester3": "testing3",
    "user_test2_tester2": "testing2 .admin",
    "user_reader_reader": "reading .reseller_reader",
}


class Storage:
    """The end of a pipeline: it asks whether a request may pass, and answers with what it knows."""

    def __init__(self):
        self.layer = LayerOverApp(self)
        self.permissions = Permissions(self.layer)
        self.acls = {}  # container path to ACL
        self.account_acl = ""
        self.seen = None

    def __call__(self, environ, start_response):
        if "objstore.source" not in environ:  # a client's request, not one for an info
            self.seen = environ
        named = api_name(environ["PATH_INFO"])
        if named is None:
            return Response(404)(environ, start_response)
        name = named[1]
        acl = self.acls.get(name.of_container.path, "") if name.container else ""
        info = from_headers(ContainerInfo, 204, {"X-Container-Read": acl, "X-Container-Write": acl})
        refusal = self.permissions.refusal(environ, RequestContext.of(environ), name, info)
        if refusal is not None:
            return refusal(environ, start_response)
        answer = {}
        if name.container is None:
            posted = header(environ, "X-Account-Sysmeta-Core-Access-Control", default="-")
            if posted != "-":
                self.account_acl = posted
            if self.account_acl:
                answer["X-Account-Sysmeta-Core-Access-Control"] = self.account_acl
        return Response(204, answer)(environ, start_response)


def request(app, method, path, **headers):
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "HTTP_HOST": "store.example:8080",
        "SERVER_NAME": "0.0.0.0",
        "SERVER_PORT": "8080",
        "wsgi.url_scheme": "http",
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }
    answer = call(app, environ)
    answer.close()
    return answer


def login(app, user, key, path="/auth/v1.0"):
    answer = request(app, "GET", path, x_auth_user=user, x_auth_key=key)
    assert answer.status == 200
    return answer.headers["X-Auth-Token"]


def pipeline(**conf):
    storage = Storage()
    return filter_factory({}, **{**CONF, **conf})(storage), storage


@pytest.fixture
def system():
    return pipeline()


@pytest.mark.parametrize("path", ["/auth/v1.0", "/auth/v1.0/", "/auth/v1", "/auth/auth"])
def test_login_answers_with_token_and_url(system, path):
    answer = request(system[0], "GET", path, x_auth_user="test:tester", x_auth_key="testing")
    assert answer.status == 200
    assert answer.headers["X-Auth-Token"] == answer.headers["X-Storage-Token"]
    assert answer.headers["X-Auth-Token"].startswith("AUTH_tk")
    assert 86390 <= int(answer.headers["X-Auth-Token-Expires"]) <= 86400
    assert answer.headers["X-Storage-Url"] == "http://store.example:8080/v1/AUTH_test"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/auth/v1.0", {"x_storage_user": "test:tester", "x_storage_pass": "testing"}),
        ("/auth/v1/test/auth", {"x_storage_user": "tester", "x_storage_pass": "testing"}),
        ("/auth/v1/test/auth", {"x_auth_user": "test:tester", "x_auth_key": "testing"}),
    ],
)
def test_other_forms_of_login(system, path, headers):
    assert request(system[0], "GET", path, **headers).status == 200


@pytest.mark.parametrize(
    ("path", "headers", "realm"),
    [
        ("/auth/v1.0", {}, "unknown"),
        ("/auth/v1.0", {"x_auth_user": "test:tester"}, "unknown"),
        ("/auth/v1.0", {"x_auth_user": "test:tester", "x_auth_key": "wrong"}, "test"),
        ("/auth/v1.0", {"x_auth_user": "test:nobody", "x_auth_key": "testing"}, "test"),
        ("/auth/v1.0", {"x_auth_user": "tester", "x_auth_key": "testing"}, "unknown"),
        ("/auth/v1/test2/auth", {"x_auth_user": "test:tester", "x_auth_key": "testing"}, "test2"),
        ("/auth/v1/test/auth", {"x_auth_key": "testing"}, "test"),
        ("/auth/v1.0", {"x_auth_user": "t\u00c3\u00a9st:x", "x_auth_key": "\u00ff"}, "t%C3%A9st"),
    ],
)
def test_wrong_login_is_challenged(system, path, headers, realm):
    answer = request(system[0], "GET", path, **headers)
    assert answer.status == 401
    assert answer.headers["Www-Authenticate"] == f'Swift realm="{realm}"'


def test_login_knows_its_paths_and_methods(system):
    assert request(system[0], "GET", "/auth/v2.0").status == 400
    assert request(system[0], "GET", "/auth/").status == 400
    assert request(system[0], "GET", "/auth/v1/test").status == 400
    assert request(system[0], "POST", "/auth/v1.0").status == 405
    assert request(system[0], "HEAD", "/auth/v1.0", x_auth_user="test:tester", x_auth_key="testing").status == 200


def test_auth_prefix_and_scheme_are_settings():
    app, _ = pipeline(auth_prefix="login", storage_url_scheme="https")
    answer = request(app, "GET", "/login/v1.0", x_auth_user="test:tester", x_auth_key="testing")
    assert answer.headers["X-Storage-Url"] == "https://store.example:8080/v1/AUTH_test"
    with pytest.raises(ConfigError, match="auth_prefix"):
        pipeline(auth_prefix="/")


def test_storage_url_of_a_user_may_be_elsewhere():
    app, _ = pipeline(
        user_far_one="k .admin https://far.example/v1/AUTH_moved", user_far_two="k .admin $HOST/v1/AUTH_x"
    )
    one = request(app, "GET", "/auth/v1.0", x_auth_user="far:one", x_auth_key="k")
    assert one.headers["X-Storage-Url"] == "https://far.example/v1/AUTH_moved"
    two = request(app, "GET", "/auth/v1.0", x_auth_user="far:two", x_auth_key="k")
    assert two.headers["X-Storage-Url"] == "http://store.example:8080/v1/AUTH_x"
    assert request(app, "GET", "/v1/AUTH_x", x_auth_token=two.headers["X-Auth-Token"]).status == 204


def test_a_token_key_is_needed():
    with pytest.raises(ConfigError, match="token_key"):
        pipeline(token_key="")
    with pytest.raises(ConfigError, match="16"):
        pipeline(token_key="short")


@pytest.mark.parametrize(
    ("user", "method", "path", "status", "owner"),
    [
        ("test:tester", "GET", "/v1/AUTH_test", 204, True),
        ("test:tester", "POST", "/v1/AUTH_test", 204, True),
        ("test:tester", "PUT", "/v1/AUTH_test/c", 204, True),
        ("test:tester", "DELETE", "/v1/AUTH_test/c/o", 204, True),
        ("test:tester", "PUT", "/v1/AUTH_test", 403, False),
        ("test:tester", "DELETE", "/v1/AUTH_test", 403, False),
        ("test:tester", "GET", "/v1/AUTH_test2", 403, False),
        ("test:tester", "GET", "/v1/AUTH_test2/c", 403, False),
        ("test:tester", "GET", "/v1/OTHER_test/c", 403, False),
        ("test:tester3", "GET", "/v1/AUTH_test", 403, False),
        ("test:tester3", "GET", "/v1/AUTH_test/c/o", 403, False),
        ("admin:admin", "PUT", "/v1/AUTH_test", 204, True),
        ("admin:admin", "DELETE", "/v1/AUTH_test", 204, True),
        ("admin:admin", "GET", "/v1/AUTH_test/c", 204, True),
        ("admin:admin", "GET", "/v1/AUTH_", 403, False),
        ("admin:admin", "GET", "/v1/AUTH_.auth", 403, False),
        ("admin:admin", "GET", "/v1/OTHER_test", 403, False),
        ("reader:reader", "GET", "/v1/AUTH_test/c/o", 204, False),
        ("reader:reader", "HEAD", "/v1/AUTH_test", 204, False),
        ("reader:reader", "PUT", "/v1/AUTH_test/c/o", 403, False),
        (None, "GET", "/v1/AUTH_test", 401, False),
        (None, "GET", "/v1/AUTH_test/c/o", 401, False),
        (None, "GET", "/v1/OTHER/c/o", 401, False),
    ],
)
def test_who_may_do_what(system, user, method, path, status, owner):
    app, storage = system
    keys = {"admin:admin": "admin", "test:tester": "testing", "test:tester3": "testing3", "reader:reader": "reading"}
    headers = {"x_auth_token": login(app, user, keys[user])} if user else {}
    answer = request(app, method, path, **headers)
    assert answer.status == status
    assert bool(storage.seen.get("objstore.owner")) is owner
    assert storage.seen.get("REMOTE_USER") == user
    if status == 401:
        assert answer.headers["Www-Authenticate"].startswith('Swift realm="')


@pytest.mark.parametrize(
    ("acl", "user", "path", "referrer", "status"),
    [
        ("test:tester3", "test:tester3", "c/o", "", 204),
        ("test:tester3", "test:tester3", "c", "", 204),
        ("test2", "test:tester3", "c/o", "", 403),
        ("test", "test:tester3", "c/o", "", 204),
        ("*:*", "test:tester3", "c/o", "", 204),
        ("*:*", None, "c/o", "", 401),
        (".r:*", None, "c/o", "", 204),
        (".r:*", None, "c", "", 401),
        (".r:*,.rlistings", None, "c", "", 204),
        (".rlistings", None, "c", "", 401),
        (".r:.example.com", None, "c/o", "http://a.example.com/", 204),
        (".r:.example.com", None, "c/o", "http://a.example.org/", 401),
        (".r:*", "test:tester3", "c", "", 403),
        (".r:*,test:tester3", "test:tester3", "c", "", 204),
    ],
)
def test_container_acls_let_others_in(system, acl, user, path, referrer, status):
    app, storage = system
    storage.acls["/AUTH_test/c"] = acl
    headers = {"x_auth_token": login(app, user, "testing3")} if user else {}
    assert request(app, "GET", f"/v1/AUTH_test/{path}", referer=referrer, **headers).status == status
    assert not storage.seen.get("objstore.owner")


def test_referrers_never_write(system):
    app, storage = system
    storage.acls["/AUTH_test/c"] = ".r:*"
    assert request(app, "PUT", "/v1/AUTH_test/c/o").status == 401


ACCOUNT_ACL = json.dumps({"admin": ["boss:b"], "read-write": ["writer:w"], "read-only": ["test2"]})


@pytest.mark.parametrize(
    ("user", "allowed", "refused"),
    [
        ("boss:b", "GET  POST  PUT c  DELETE c  PUT c/o  GET c/o", "PUT  DELETE"),
        ("writer:w", "GET  HEAD  PUT c  POST c  DELETE c  PUT c/o  GET c/o  DELETE c/o", "POST  PUT  DELETE"),
        ("test2:tester2", "GET  HEAD c  GET c/o", "POST  PUT c  PUT c/o  DELETE c/o  POST c"),
        ("test:tester3", "", "GET  GET c  GET c/o"),
    ],
)
def test_account_acls_have_three_levels(user, allowed, refused):
    app, _ = pipeline(user_boss_b="testing3", user_writer_w="testing3", user_test2_tester2="testing3")
    owner = login(app, "test:tester", "testing")
    assert request(app, "POST", "/v1/AUTH_test", x_auth_token=owner, x_account_access_control=ACCOUNT_ACL).status == 204
    token = login(app, user, "testing3")
    for what, good in ((allowed, True), (refused, False)):
        for line in filter(None, what.split("  ")):
            method, _, rest = line.partition(" ")
            answer = request(app, method, f"/v1/AUTH_test/{rest}".rstrip("/"), x_auth_token=token)
            assert answer.status == (204 if good else 403), line
            shown = "X-Account-Access-Control" in answer.headers
            assert shown is (good and user == "boss:b" and not rest)


def test_account_acl_is_a_header_for_owners_and_sysmeta_below(system):
    app, storage = system
    token = login(app, "test:tester", "testing")
    acl = '{ "read-only": ["b", "\\u00e4"] }'
    assert request(app, "POST", "/v1/AUTH_test", x_auth_token=token, x_account_access_control=acl).status == 204
    assert storage.account_acl == '{"read-only":["b","\\u00e4"]}'
    assert "HTTP_X_ACCOUNT_ACCESS_CONTROL" not in storage.seen
    answer = request(app, "HEAD", "/v1/AUTH_test/", x_auth_token=token)
    assert answer.headers["X-Account-Access-Control"] == storage.account_acl
    assert request(app, "POST", "/v1/AUTH_test", x_auth_token=token, x_account_access_control="{}").status == 204
    assert storage.account_acl == ""


def test_bad_account_acl_is_400_and_changes_nothing(system):
    app, storage = system
    token = login(app, "test:tester", "testing")
    answer = request(app, "POST", "/v1/AUTH_test", x_auth_token=token, x_account_access_control='{"owner":[]}')
    assert answer.status == 400
    assert storage.account_acl == ""


def test_bad_token_is_refused_at_once(system):
    app, storage = system
    answer = request(app, "GET", "/v1/AUTH_test", x_auth_token="AUTH_tkbad")
    assert answer.status == 401
    assert answer.headers["Www-Authenticate"] == 'Swift realm="AUTH_test"'
    assert storage.seen is None


def test_token_of_another_system_passes_on(system):
    app, storage = system
    request(app, "GET", "/v1/OTHER_test", x_auth_token="OTHER_tk1")
    assert storage.seen is not None

    def other(environ, start_response):
        environ["objstore.realm"] = Realm(("OTHER_",))
        environ["objstore.identity"] = Identity("other:user", (), ("OTHER_test",))
        return app(environ, start_response)

    assert request(other, "GET", "/v1/OTHER_test", x_auth_token="OTHER_tk1").status == 204
    assert request(other, "GET", "/v1/AUTH_test", x_auth_token="OTHER_tk1").status == 403


def test_storage_token_is_a_token_too(system):
    app, _ = system
    assert request(app, "GET", "/v1/AUTH_test", x_storage_token=login(app, "test:tester", "testing")).status == 204


def test_preauthorized_requests_pass(system):
    app, _ = system

    def above(environ, start_response):
        environ["objstore.preauthorized"] = True
        return app(environ, start_response)

    assert request(above, "GET", "/v1/AUTH_test", x_auth_token="AUTH_tkbad").status == 204


def test_service_accounts_need_both_tokens():
    app, storage = pipeline(
        reseller_prefix="AUTH, SERVICE",
        SERVICE_require_group=".service",
        user_glance_glance="serving .service",
    )
    token = login(app, "test:tester", "testing")
    service = login(app, "glance:glance", "serving")
    assert request(app, "GET", "/v1/SERVICE_test", x_auth_token=token).status == 403
    assert request(app, "GET", "/v1/SERVICE_test", x_auth_token=token, x_service_token="AUTH_tkbad").status == 403
    assert request(app, "GET", "/v1/SERVICE_test", x_auth_token=service).status == 403
    assert request(app, "GET", "/v1/SERVICE_test", x_auth_token=token, x_service_token=service).status == 204
    assert storage.seen["objstore.owner"]
    assert request(app, "GET", "/v1/AUTH_test", x_auth_token=token).status == 204


def test_empty_prefix():
    app, _ = pipeline(reseller_prefix="")
    answer = request(app, "GET", "/auth/v1.0", x_auth_user="test:tester", x_auth_key="testing")
    assert answer.headers["X-Storage-Url"].endswith("/v1/test")
    assert request(app, "GET", "/v1/test/c", x_auth_token=answer.headers["X-Auth-Token"]).status == 204
    assert request(app, "GET", "/v1/test/c", x_auth_token="foreign").status == 401
    assert request(app, "GET", "/v1/test/c").status == 401


def test_names_of_any_letters():
    name = "\u00e5ngstr\u00f6m_1:\u00fcser_2"
    setting = "user64_" + "_".join(base64.b64encode(part.encode()).decode().rstrip("=") for part in name.split(":"))
    app, storage = pipeline(**{setting: "key .admin"})
    native = name.encode().decode("latin-1")
    answer = request(app, "GET", "/auth/v1.0", x_auth_user=native, x_auth_key="key")
    assert answer.headers["X-Storage-Url"] == "http://store.example:8080/v1/AUTH_%C3%A5ngstr%C3%B6m_1"
    token = answer.headers["X-Auth-Token"]
    assert token.isascii()
    account = "/v1/AUTH_" + native.partition(":")[0]
    assert request(app, "GET", account, x_auth_token=token).status == 204
    assert storage.seen["REMOTE_USER"] == native


def test_users_of_a_file_may_change_while_it_runs(tmp_path):
    path = str(tmp_path / "users.json")
    user = {"users": {"test:filed": {"key": "one", "groups": [".admin"]}}}
    (tmp_path / "users.json").write_text(json.dumps(user))
    app, _ = pipeline(users_file=path, users_check_interval="0")
    token = login(app, "test:filed", "one")
    assert request(app, "GET", "/v1/AUTH_test", x_auth_token=token).status == 204
    with editing(path) as known:
        known["test:filed"] = known["test:filed"]._replace(groups=())
    assert request(app, "GET", "/v1/AUTH_test", x_auth_token=token).status == 403
    with editing(path) as known:
        known["test:filed"] = known["test:filed"]._replace(key="two", groups=(".admin",))
    assert request(app, "GET", "/v1/AUTH_test", x_auth_token=token).status == 401
    assert request(app, "GET", "/auth/v1.0", x_auth_user="test:filed", x_auth_key="one").status == 401
    token = login(app, "test:filed", "two")
    with editing(path) as known:
        del known["test:filed"]
    assert request(app, "GET", "/v1/AUTH_test", x_auth_token=token).status == 401
    assert login(app, "test:tester", "testing")


def test_hashed_keys_log_in(tmp_path):
    path = str(tmp_path / "users.json")
    with editing(path) as known:
        known["test:hashed"] = User("test:hashed", hashing.hashed("k\u00e9y"), (".admin",))
    app, _ = pipeline(users_file=path, users_check_interval="0")
    for _ in range(2):  # the second time it is remembered
        assert login(app, "test:hashed", "k\u00c3\u00a9y")
    assert request(app, "GET", "/auth/v1.0", x_auth_user="test:hashed", x_auth_key="key").status == 401
    assert request(app, "GET", "/auth/v1.0", x_auth_user="test:nobody", x_auth_key="key").status == 401
    with editing(path) as known:
        known["test:hashed"] = User("test:hashed", hashing.hashed("other"))
    assert request(app, "GET", "/auth/v1.0", x_auth_user="test:hashed", x_auth_key="k\u00c3\u00a9y").status == 401


def test_users_with_a_pair_of_keys_alone_do_not_log_in(tmp_path):
    path = str(tmp_path / "users.json")
    with editing(path) as known:
        known["test:s3"] = User("test:s3", access_key="A", secret_key="S")
    app, _ = pipeline(users_file=path, users_check_interval="0")
    for key in ("", "S"):
        assert request(app, "GET", "/auth/v1.0", x_auth_user="test:s3", x_auth_key=key).status == 401
    assert app.access_keys.find("A").identity.account == "AUTH_test"


def test_access_keys_for_filters_before_and_after(system):
    app, storage = system
    request(app, "GET", "/v1/AUTH_test")
    keys = storage.seen["objstore.access_keys"]
    assert keys is app.access_keys
    found = keys.find("test:tester")
    assert (found.secret_key, found.identity.account, found.identity.user) == ("testing", "AUTH_test", "test:tester")
    assert keys.find("test:nobody") is None


def test_identity_of_a_filter_before_is_judged_here(system):
    app, _ = system
    identity = app.access_keys.find("test:tester").identity

    def signed(environ, start_response):
        environ["objstore.identity"] = identity
        return app(environ, start_response)

    assert request(signed, "GET", "/v1/AUTH_test").status == 204
    assert request(signed, "GET", "/v1/AUTH_test2").status == 403


def test_refused_logins_are_logged_without_the_key(caplog):
    app, _ = pipeline(log_name="tempauth-test")
    logger = logging.getLogger("objstore.tempauth-test")
    logger.addHandler(caplog.handler)
    try:
        request(app, "GET", "/auth/v1.0", x_auth_user="test:tester", x_auth_key="secret-guess")
    finally:
        logger.removeHandler(caplog.handler)
    assert "test:tester" in caplog.text
    assert "secret-guess" not in caplog.text


def test_info_tells_of_account_acls(system):
    assert isinstance(system[0], TempAuth)
    assert system[0].info() == {"tempauth": {"account_acls": True}}
