"""Descriptions of devices."""

import pytest

from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.ring.search import matching, parse, parse_change, parse_new

FULL = {
    "id": 5,
    "region": 1,
    "zone": 2,
    "ip": "10.0.0.1",
    "port": 6200,
    "replication_ip": "10.1.0.1",
    "replication_port": 6300,
    "device": "sdb1",
    "meta": "rack 7_left",
}


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("d5r1z2-10.0.0.1:6200R10.1.0.1:6300/sdb1_rack 7_left", FULL),
        ("d5", {"id": 5}),
        ("r1z2", {"region": 1, "zone": 2}),
        ("-10.0.0.1", {"ip": "10.0.0.1"}),
        ("10.0.0.1/sdb1", {"ip": "10.0.0.1", "device": "sdb1"}),
        ("[2001:db8::1]:6200", {"ip": "2001:db8::1", "port": 6200}),
        ("z1-storage-1.example.org:6200", {"zone": 1, "ip": "storage-1.example.org", "port": 6200}),
        ("z1-[2001:DB8::0:1]:6200", {"zone": 1, "ip": "2001:db8::1", "port": 6200}),
        (":6200", {"port": 6200}),
        ("R:6300", {"replication_port": 6300}),
        ("/sdb1", {"device": "sdb1"}),
        ("_hdd", {"meta": "hdd"}),
    ],
)
def test_a_description_names_fields(value, fields):
    assert parse(value) == fields


@pytest.mark.parametrize("value", ["", "sdb1", "10.0.0", "r1z", "--zone", "d1 ", "z1-10.0.0.1:x", "/a/b"])
def test_anything_else_is_refused(value):
    with pytest.raises(InvalidInput):
        parse(value)


def test_a_new_device_needs_its_place_but_no_region():
    assert parse_new("z2-10.0.0.1:6200/sdb1", 3.0) == Node(-1, 1, 2, "10.0.0.1", 6200, "sdb1", weight=3.0)
    for value in ("r1z1-10.0.0.1/sdb1", "z1:6200/sdb1", "-10.0.0.1:6200/sdb1", "d1z1-10.0.0.1:6200/sdb1"):
        with pytest.raises(InvalidInput):
            parse_new(value, 1.0)


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("10.0.0.9:6201", {"ip": "10.0.0.9", "port": 6201}),
        ("[::1]", {"ip": "::1"}),
        ("R10.0.0.9:1/sdc_new", {"replication_ip": "10.0.0.9", "replication_port": 1, "device": "sdc", "meta": "new"}),
    ],
)
def test_a_change_may_leave_out_the_dash(value, fields):
    assert parse_change(value) == fields


@pytest.mark.parametrize("value", ["d3", "r2", "z1-10.0.0.1", "sdc"])
def test_a_change_of_region_zone_or_id_is_refused(value):
    with pytest.raises(InvalidInput):
        parse_change(value)


def test_all_named_fields_must_match():
    nodes = [Node(0, 1, 1, "h", 1, "a"), Node(1, 1, 2, "h", 1, "a"), Node(2, 1, 2, "h", 1, "b")]
    assert [node.id for node in matching(nodes, parse("z2"))] == [1, 2]
    assert [node.id for node in matching(nodes, parse("z2/a"))] == [1]
    assert matching(nodes, parse("d0z2")) == []
