"""Headers of manifests."""

from __future__ import annotations

from objstore.core.manifests import FORM, LARGE, MANIFEST, is_large, list_etag, referred, refers


def test_one_object_of_each_container_is_named() -> None:
    value = refers([("c,1", "a/b"), ("c,1", "x"), ("ö", "*"), ("d", "o")], 1000)
    assert value.isascii() and value.count(",") == 2
    assert referred(value) == ["c,1/a/b", "ö/*", "d/o"]


def test_containers_beyond_the_limit_are_marked() -> None:
    value = refers([("c1", "o"), ("c2", "o"), ("c3", "o")], 9)
    assert value == "c1/o,c2/o,*" and referred(value) == ["c1/o", "c2/o"]
    assert refers([], 9) == "" and referred("") == []
    assert refers([("c", "x" * 100)], 9) == "*"


def test_a_large_object_is_a_manifest_with_the_header_that_clients_cannot_set() -> None:
    assert is_large({MANIFEST: FORM, LARGE: "True"})
    assert not is_large({LARGE: "True"}) and not is_large({MANIFEST: FORM})
    assert list_etag({MANIFEST: FORM, LARGE: "True"}, "e") == "e" and list_etag({MANIFEST: FORM}, "e") == ""
