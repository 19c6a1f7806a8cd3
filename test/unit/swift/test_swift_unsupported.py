"""Requests for features that the proxy lacks, and features that were announced."""

import pytest

from objstore.core.errors import NotSupported
from objstore.swift.unsupported import FEATURES, HEADERS, QUERIES, Unsupported
from objstore.web import features


def environ(method="POST", path="/v1/a/c", query="", **headers):
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **headers}


WEB_INDEX = {"HTTP_X_CONTAINER_META_WEB_INDEX": "index.html"}


def test_every_header_and_query_belongs_to_a_feature():
    assert {*HEADERS.values(), *QUERIES.values(), "formpost"} == set(FEATURES)


def test_a_feature_is_refused_until_it_is_announced():
    unsupported = Unsupported()
    with pytest.raises(NotSupported, match="Static web"):
        unsupported.check(environ(**WEB_INDEX))
    unsupported.support("staticweb")
    unsupported.check(environ(**WEB_INDEX))
    with pytest.raises(NotSupported, match="Quotas"):
        unsupported.check(environ(HTTP_X_CONTAINER_META_QUOTA_BYTES="5"))


def test_queries_quotas_of_policies_and_forms():
    quota = environ(path="/v1/a", HTTP_X_ACCOUNT_QUOTA_BYTES_POLICY_GOLD="1")
    form = environ(CONTENT_TYPE="multipart/form-data; boundary=x", CONTENT_LENGTH="5")
    query = environ("GET", query="version-id=1")
    for feature, request in (("quotas", quota), ("formpost", form), ("versions", query)):
        unsupported = Unsupported()
        with pytest.raises(NotSupported):
            unsupported.check(request)
        unsupported.support(feature)
        unsupported.check(request)


def test_an_unknown_feature_is_ignored():
    Unsupported().support("of a later version")


def test_a_filter_announces_to_the_end_of_its_pipeline():
    class Proxy:
        def __init__(self):
            self.names = []
            self.support = self.names.append

    class Filter:
        def __init__(self, app):
            self.app = app

    proxy = Proxy()
    features.announce(Filter(Filter(proxy)), "staticweb")
    assert proxy.names == ["staticweb"]
    features.announce(Filter(None), "staticweb")
