"""Hosts that name accounts and containers."""

import pytest

from objstore.core.errors import ConfigError, NodeFailure
from objstore.core.names import Name
from objstore.middleware.domain_remap import filter_factory
from objstore.web.infos import AccountInfo, ContainerInfo
from objstore.web.responses import Response, call


class Layer:
    def __init__(self, *names, fails=False):
        self.names = set(names)
        self.fails = fails

    def container_info(self, context, name):
        if self.fails:
            raise NodeFailure("down")
        return ContainerInfo(204 if name in self.names else 404, 0, 0, 0, "", "", {}, {})

    def account_info(self, context, account):
        return AccountInfo(204 if Name(account) in self.names else 404, 0, 0, 0, {}, {})


class Below:
    """Remembers the path of a request."""

    def __init__(self, layer=None, bucket_domains=()):
        self.layer = layer or Layer()
        self.bucket_domains = bucket_domains
        self.environ = {}

    def __call__(self, environ, start_response):
        self.environ = environ
        return Response(200)(environ, start_response)


def remap(host, path="/", below=None, **conf):
    below = below or Below()
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": host}
    answer = call(filter_factory({}, **conf)(below), environ)
    if answer.status != 200:
        return answer.status
    assert below.environ["HTTP_HOST"] == host
    return below.environ["PATH_INFO"]


@pytest.mark.parametrize(
    ("host", "path", "mapped"),
    [
        ("c.AUTH-a.example.com", "/", "/v1/AUTH_a/c/"),
        ("c.AUTH_a.example.com", "/o/p", "/v1/AUTH_a/c/o/p"),
        ("c.auth-a.example.com:8080", "/o", "/v1/AUTH_a/c/o"),
        ("c.auth-a.example.com.", "/o", "/v1/AUTH_a/c/o"),
        ("c.auth-a.example.com.:80", "/o", "/v1/AUTH_a/c/o"),
        ("C.AUTH-A.EXAMPLE.COM", "/O", "/v1/AUTH_a/c/O"),
        ("auth-a.example.com", "/", "/v1/AUTH_a/"),
        ("auth-a.example.com", "/c/o", "/v1/AUTH_a/c/o"),
        ("auth-a-b_c.example.com", "/c", "/v1/AUTH_a-b_c/c"),
        ("c.auth-a.example.com", "/v1/o", "/v1/AUTH_a/c/v1/o"),
        ("c.auth-a.example.com", "//x", "/v1/AUTH_a/c//x"),
        ("c.auth-a.example.com", "/\xc3\xbc", "/v1/AUTH_a/c/\xc3\xbc"),
    ],
)
def test_hosts_become_paths(host, path, mapped):
    assert remap(host, path) == mapped


@pytest.mark.parametrize(
    "host",
    [
        "example.com", "EXAMPLE.com:80", "example.org", "myexample.com", "127.0.0.1:80", "[::1]:80", "localhost", "",
        "c.other-a.example.com", "a.example.com", "auth.example.com", "auth-.example.com", "autha.example.com",
    ],
)  # fmt: skip
def test_other_hosts_stay(host):
    assert remap(host, "/v1/AUTH_a/c/o") == "/v1/AUTH_a/c/o"


@pytest.mark.parametrize("host", ["x.c.auth-a.example.com", ".auth-a.example.com", "c..example.com", "..example.com"])
def test_hosts_that_name_nothing_are_refused(host):
    assert remap(host) == 400


def test_a_request_of_the_server_itself_stays():
    assert remap("c.auth-a.example.com", "*") == "*"


def test_several_domains_and_another_root():
    conf = {"storage_domain": "one.test, .Two.test", "path_root": "/v1.0/"}
    assert remap("c.auth-a.one.test", "/o", **conf) == remap("c.auth-a.two.test", "/o", **conf) == "/v1.0/AUTH_a/c/o"
    assert remap("c.auth-a.example.com", "/o", **conf) == "/o"


def test_reseller_prefixes():
    conf = {"reseller_prefixes": "AUTH, Service_, SERVICE_SPECIAL"}
    assert remap("c.service-a.example.com", **conf) == "/v1/Service_a/c/"
    assert remap("c.service_special-A.example.com", **conf) == "/v1/SERVICE_SPECIAL_a/c/"
    assert remap("c.other-a.example.com", **conf) == "/"
    assert remap("c.other-a.example.com", default_reseller_prefix="AUTH_") == "/v1/AUTH_other-a/c/"
    assert remap("a.example.com", default_reseller_prefix="AUTH") == "/v1/AUTH_a/"
    assert remap("c.auth-a.example.com", default_reseller_prefix="X") == "/v1/AUTH_a/c/"
    assert remap("c.plain.example.com", reseller_prefixes="AUTH, ''") == "/v1/plain/c/"


def test_paths_of_the_api_can_be_understood_as_such():
    mangling = {"mangle_client_paths": "yes"}
    assert remap("c.auth-a.example.com", "/v1/o", **mangling) == "/v1/AUTH_a/c/o"
    assert remap("c.auth-a.example.com", "/v1", **mangling) == "/v1/AUTH_a/c"
    assert remap("c.auth-a.example.com", "/v1x/o", **mangling) == "/v1/AUTH_a/c/v1x/o"
    assert remap("auth-a.example.com", "/v1/c/o", **mangling) == "/v1/AUTH_a/c/o"


def test_a_name_with_capitals_is_that_one_if_it_exists():
    below = Below(Layer(Name("AUTH_A", "Photos"), Name("AUTH_A")))
    assert remap("Photos.AUTH-A.example.com", below=below) == "/v1/AUTH_A/Photos/"
    assert remap("photos.AUTH-A.example.com", below=below) == "/v1/AUTH_a/photos/"
    assert remap("AUTH-A.example.com", below=below) == "/v1/AUTH_A/"
    assert remap("AUTH-B.example.com", below=below) == "/v1/AUTH_b/"
    assert remap("Photos.AUTH-A.example.com", below=Below(Layer(fails=True))) == "/v1/AUTH_a/photos/"


def test_hosts_of_buckets_win():
    below = Below(bucket_domains=("s3.example.com",))
    assert remap("auth-a.s3.example.com", below=below) == "/"
    assert remap("s3.example.com", below=below, default_reseller_prefix="AUTH") == "/"
    assert remap("c.auth-a.example.com", below=below) == "/v1/AUTH_a/c/"


@pytest.mark.parametrize("domain", ["s3.example.com", "web.s3.example.com"])
def test_a_domain_of_which_all_is_buckets_is_refused(domain):
    with pytest.raises(ConfigError, match=f"storage_domain {domain} belongs to the domains of filter:s3"):
        filter_factory({}, storage_domain=domain)(Below(bucket_domains=("s3.example.com",)))


def test_requests_are_counted_as_what_they_are():
    for host, path, kind in (
        ("c.auth-a.example.com", "/o/p/q", "object"),
        ("c.auth-a.example.com", "/", "container"),
        ("auth-a.example.com", "/", "account"),
        ("auth-a.example.com", "/c/o", "object"),
    ):
        below = Below()
        remap(host, path, below)
        assert below.environ["objstore.kind"] == kind


def test_info():
    assert filter_factory({})(Below()).info() == {"domain_remap": {"default_reseller_prefix": None}}
    made = filter_factory({}, default_reseller_prefix="AUTH")(Below())
    assert made.info() == {"domain_remap": {"default_reseller_prefix": "AUTH"}}
