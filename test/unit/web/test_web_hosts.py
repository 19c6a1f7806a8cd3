"""Hosts as the Host header names them."""

import pytest

from objstore.web.hosts import below, domains, host_name, port_of


@pytest.mark.parametrize(
    ("header", "name", "port"),
    [
        ("www.example.com", "www.example.com", ""),
        ("WWW.Example.com:8080", "WWW.Example.com", ":8080"),
        ("www.example.com.", "www.example.com", ""),
        ("www.example.com.:80", "www.example.com", ":80"),
        ("localhost", "localhost", ""),
        ("127.0.0.1", "", ""),
        ("127.0.0.1:8080", "", ":8080"),
        ("[::1]", "", ""),
        ("[::1]:80", "", ":80"),
        ("1.2.3", "1.2.3", ""),
        ("host1", "host1", ""),
        ("", "", ""),
        (".", "", ""),
    ],
)
def test_the_name_in_a_header(header, name, port):
    assert (host_name(header), port_of(header)) == (name, port)


def test_domains_are_in_one_form_the_longest_first():
    assert domains([".Example.com", "web.example.com.", "", "example.com"]) == ("web.example.com", "example.com")


def test_what_stands_before_a_domain():
    among = domains(["example.com", "web.example.com"])
    assert below("C.AUTH-a.Web.Example.com", among) == "C.AUTH-a"
    assert below("web.example.com", among) == ""
    assert below("a.example.com", among) == "a"
    assert below("myexample.com", among) is None
    assert below("", among) is None
    assert below("a", ()) is None
