"""Etags in quotes."""

import pytest

from objstore.core.errors import NodeFailure
from objstore.middleware.etag_quoter import EtagQuoter, filter_factory
from objstore.web.infos import AccountInfo, ContainerInfo
from objstore.web.responses import Response, call


class Below:
    """A proxy and its layer. container, account: the choices that are stored; None: the layer fails."""

    def __init__(self, container="", account="", **headers):
        self.layer = self
        self.container, self.account = container, account
        self.headers = headers
        self.environ = {}

    def __call__(self, environ, start_response):
        self.environ = environ
        headers = {name.replace("_", "-"): value for name, value in self.headers.items()}
        return Response(200, headers)(environ, start_response)

    def container_info(self, context, name):
        if self.container is None:
            raise NodeFailure("down")
        return ContainerInfo(204, 0, 0, 0, "", "", {}, {"rfc-compliant-etags": self.container})

    def account_info(self, context, account):
        return AccountInfo(204, 0, 0, 0, {}, {"rfc-compliant-etags": self.account})


def ask(below, path="/v1/a/c/o", method="GET", by_default=False, **environ):
    return call(EtagQuoter(below, by_default), {"REQUEST_METHOD": method, "PATH_INFO": path, **environ}).headers


@pytest.mark.parametrize(
    ("container", "account", "by_default", "quoted"),
    [
        ("True", "", False, True), ("", "True", False, True), ("False", "True", True, False),
        ("", "False", True, False), ("", "", True, True), ("", "", False, False), ("True", "False", False, True),
        (None, "True", False, False), (None, "", True, True),
    ],
)  # fmt: skip
def test_who_decides(container, account, by_default, quoted):
    assert ask(Below(container, account, Etag="abc"), by_default=by_default)["Etag"] == ('"abc"' if quoted else "abc")


@pytest.mark.parametrize("tag", ['"abc"', 'W/"abc"', '"abc-3"'])
def test_a_quoted_etag_stays(tag):
    assert ask(Below("True", Etag=tag))["Etag"] == tag


@pytest.mark.parametrize("path", ["/v1/a", "/info", "/", "/v1/a/c/%", "/v1/a/c/\xff"])
def test_other_answers_stay(path):
    below = Below("True", Etag="abc", X_Other="x")
    headers = ask(below, path)
    assert headers["X-Other"] == "x"
    assert headers["Etag"] == ('"abc"' if path == "/v1/a/c/%" else "abc")


@pytest.mark.parametrize("kind", ["Account", "Container"])
@pytest.mark.parametrize(
    ("sent", "stored"), [("true", "True"), (" YES ", "True"), ("no", "False"), ("x", "False"), ("", ""), ("  ", "")]
)
def test_a_choice_becomes_system_metadata(kind, sent, stored):
    below = Below()
    key = f"HTTP_X_{kind.upper()}_RFC_COMPLIANT_ETAGS"
    path = "/v1/a" if kind == "Account" else "/v1/a/c"
    ask(below, path, "POST", **{key: sent})
    assert below.environ[f"HTTP_X_{kind.upper()}_SYSMETA_RFC_COMPLIANT_ETAGS"] == stored
    assert key not in below.environ


def test_a_removal_loses_against_a_choice():
    below = Below()
    removal, choice = "HTTP_X_REMOVE_CONTAINER_RFC_COMPLIANT_ETAGS", "HTTP_X_CONTAINER_RFC_COMPLIANT_ETAGS"
    ask(below, "/v1/a/c", "PUT", **{removal: "x"})
    assert below.environ["HTTP_X_CONTAINER_SYSMETA_RFC_COMPLIANT_ETAGS"] == ""
    ask(below, "/v1/a/c", "PUT", **{removal: "x", choice: "true"})
    assert below.environ["HTTP_X_CONTAINER_SYSMETA_RFC_COMPLIANT_ETAGS"] == "True"


def test_the_choice_is_shown():
    assert (
        ask(Below(X_Container_Sysmeta_Rfc_Compliant_Etags="True"), "/v1/a/c")["X-Container-Rfc-Compliant-Etags"]
        == "True"
    )
    assert "X-Account-Rfc-Compliant-Etags" not in ask(Below(), "/v1/a")


def test_info():
    assert filter_factory({}, enable_by_default="yes")(Below()).info() == {"etag_quoter": {"enable_by_default": True}}
