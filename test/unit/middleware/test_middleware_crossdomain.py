"""/crossdomain.xml."""

from xml.etree import ElementTree

import pytest

from objstore.core.errors import ConfigError
from objstore.middleware.crossdomain import filter_factory
from objstore.web.responses import Response, call


class Below:
    def __init__(self, bucket=False):
        self.names_bucket = lambda environ: bucket

    def __call__(self, environ, start_response):
        return Response(299)(environ, start_response)


def ask(path="/crossdomain.xml", method="GET", below=None, **conf):
    app = filter_factory({}, **conf)(below or Below())
    answer = call(app, {"REQUEST_METHOD": method, "PATH_INFO": path})
    return answer.status, answer.headers, answer.read()


def test_the_policy_is_a_document():
    status, headers, body = ask()
    assert (status, headers["Content-Type"]) == (200, "application/xml")
    (element,) = ElementTree.fromstring(body)
    assert (element.tag, element.attrib) == ("allow-access-from", {"domain": "*", "secure": "false"})
    assert body.startswith(b'<?xml version="1.0"?>\n<!DOCTYPE cross-domain-policy SYSTEM ')
    status, headers, nothing = ask(method="HEAD")
    assert (status, headers["Content-Length"], nothing) == (200, str(len(body)), b"")


def test_a_policy_of_several_lines():
    policy = '<allow-access-from domain="a.example.com" />\n<allow-access-from domain="b.example.com" secure="true" />'
    assert len(ElementTree.fromstring(ask(cross_domain_policy=policy)[2])) == 2


@pytest.mark.parametrize("policy", ["<allow", "<a></b>", "</cross-domain-policy><x>", "a & b"])
def test_a_policy_that_is_not_xml_is_refused(policy):
    with pytest.raises(ConfigError, match="cross_domain_policy"):
        ask(cross_domain_policy=policy)


def test_other_requests_pass():
    assert ask("/crossdomain.xml/x")[0] == ask("/")[0] == ask(method="PUT")[0] == 299
    assert ask(below=Below(bucket=True))[0] == 299  # a key of a bucket


def test_info():
    assert filter_factory({})(Below()).info() == {"crossdomain": {}}
