import pytest

from objstore.web.cors import EXPOSED, CorsSettings, preflight, response_headers

ALLOWED = ("GET", "HEAD", "PUT", "OPTIONS")
PLAIN = CorsSettings()
SITE = "http://site.example"


def ask(meta, origin=SITE, method="GET", settings=PLAIN, **more):
    headers = {"Origin": origin, "Access-Control-Request-Method": method, **more}
    return preflight(headers, meta, ALLOWED, settings)


def test_options_without_origin_tells_the_methods():
    answer = preflight({}, {}, ALLOWED, PLAIN)
    assert answer.status == 200
    assert answer.headers == {"Allow": "GET, HEAD, PUT, OPTIONS"}


def test_options_of_an_account_tells_the_methods():
    assert ask(None).headers == {"Allow": "GET, HEAD, PUT, OPTIONS"}


@pytest.mark.parametrize(
    ("meta", "settings", "status"),
    [
        ({}, PLAIN, 401),
        ({"access-control-allow-origin": SITE}, PLAIN, 200),
        ({"access-control-allow-origin": f"http://other  {SITE}"}, PLAIN, 200),
        ({"access-control-allow-origin": "http://site.example.org"}, PLAIN, 401),
        ({"access-control-allow-origin": "*"}, PLAIN, 200),
        ({}, CorsSettings(allow_origin=(SITE,)), 200),
        ({}, CorsSettings(allow_origin=("*",)), 200),
        ({}, CorsSettings(strict=False), 401),
    ],
)
def test_preflight_is_answered_by_the_origins_allowed(meta, settings, status):
    assert ask(meta, settings=settings).status == status


def test_preflight_for_a_method_the_resource_lacks_is_refused():
    meta = {"access-control-allow-origin": "*"}
    assert ask(meta, method="COPY").status == 401
    assert preflight({"Origin": SITE}, meta, ALLOWED, PLAIN).status == 401


def test_preflight_echoes_origin_and_headers():
    meta = {"access-control-allow-origin": SITE, "access-control-max-age": "5"}
    answer = ask(meta, **{"Access-Control-Request-Headers": "x-auth-token, x-foo,,x-foo"})
    assert answer.headers == {
        "Allow": "GET, HEAD, PUT, OPTIONS",
        "Access-Control-Allow-Origin": SITE,
        "Access-Control-Allow-Methods": "GET, HEAD, PUT, OPTIONS",
        "Access-Control-Allow-Headers": "x-auth-token, x-foo",
        "Access-Control-Max-Age": "5",
        "Vary": "Origin, Access-Control-Request-Headers",
    }


def test_preflight_open_to_all_needs_no_vary():
    answer = ask({"access-control-allow-origin": " * "})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in answer.headers


def test_actual_request_exposes_metadata_and_what_container_and_cluster_name():
    meta = {"access-control-allow-origin": SITE, "access-control-expose-headers": "x-one etag"}
    names = ("Etag", "X-Object-Meta-Color", "X-Container-Object-Count", "X-Container-Meta-Foo")
    answer = response_headers(SITE, meta, names, CorsSettings(expose_headers=("x-two",)))
    assert answer["Access-Control-Expose-Headers"].split(", ") == [
        *EXPOSED,
        "x-object-meta-color",
        "x-container-meta-foo",
        "x-one",
        "x-two",
    ]
    assert answer["Access-Control-Allow-Origin"] == SITE
    assert answer["Vary"] == "Origin"


def test_actual_request_of_a_foreign_origin_gets_headers_only_where_not_strict():
    assert response_headers(SITE, {}, (), PLAIN) == {}
    assert response_headers(SITE, {}, (), CorsSettings(strict=False))["Access-Control-Allow-Origin"] == SITE


def test_actual_request_to_a_container_open_to_all():
    answer = response_headers(SITE, {"access-control-allow-origin": "*"}, (), PLAIN)
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in answer
