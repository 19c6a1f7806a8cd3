"""The proxy's pure decisions: quorum, node order, error limiting; and what clients may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.cluster import quorum
from objstore.cluster.error_limit import ErrorLimiter
from objstore.cluster.node_order import Timings, in_order, parse_affinity
from objstore.core.errors import InvalidInput, LimitExceeded
from objstore.core.limits import Limits
from objstore.core.names import Name
from objstore.core.nodes import Node
from objstore.web import constraints


@pytest.mark.parametrize(
    ("statuses", "replicas", "verdict"),
    [
        ([201], 1, 201),
        ([507], 1, 507),
        ([503], 1, 503),
        ([201, 201, 503], 3, 201),
        ([201, 503, 503], 3, 503),
        ([507, 507, 507], 3, 507),
        ([507, 503, 507], 3, 503),
        ([201, 404, 503], 3, 503),
        ([404, 404, 204], 3, 404),
        ([202, 201, 201], 3, 201),
        ([201, 202, 202], 3, 202),
        ([201, 422, 422], 3, 422),
        ([201, 201], 3, 201),
        ([201], 3, 503),
        ([201, 201], 4, 503),
        ([201, 503], 2, 503),
        ([], 3, 503),
    ],
)
def test_the_majority_decides(statuses, replicas, verdict):
    assert quorum.verdict(statuses, replicas) == verdict


@given(st.lists(st.sampled_from([201, 202, 404, 409, 503, 507]), max_size=5), st.integers(1, 5))
def test_once_decided_no_further_answer_changes_the_class(statuses, replicas):
    statuses = statuses[:replicas]
    if quorum.decided(statuses, replicas):
        before = quorum.verdict(statuses, replicas) // 100
        more = [*statuses, *[201] * (replicas - len(statuses))]
        assert before == 5 or quorum.verdict(more, replicas) // 100 == before


def node(number, region=1, zone=1):
    return Node(number, region, zone, f"10.0.0.{number}", 6200, "d")


def test_affinity_comes_before_locality_and_speed():
    nodes = [node(1, 2), node(2, 1, 2), node(3, 1, 1), node(4, 1, 1)]
    timings = Timings()
    timings.add(nodes[3], 0.5)
    order = in_order(nodes, parse_affinity("r1z1=100, r1=200"), lambda one: one.id == 1, timings)
    assert [one.id for one in order] == [3, 4, 2, 1]


def test_nodes_of_this_process_come_first_among_equals():
    order = in_order([node(1), node(2), node(3)], {}, lambda one: one.id == 3, None)
    assert order[0].id == 3


@pytest.mark.parametrize("text", ["r1", "z1=3", "r1z1=x", "r1z1=1;r2=2"])
def test_affinity_that_says_nothing_is_refused(text):
    with pytest.raises(ValueError):
        parse_affinity(text)


def test_a_node_is_left_alone_after_failures_and_tried_again_when_they_have_faded():
    now = [0.0]
    limiter = ErrorLimiter(limit=3, half_life=60, now=lambda: now[0])
    for _ in range(4):
        limiter.failed(node(1))
    assert limiter.limited(node(1)) and not limiter.limited(node(2))
    now[0] = 60.0
    assert not limiter.limited(node(1))


def test_a_full_device_is_left_alone_at_once_and_a_good_answer_clears():
    limiter = ErrorLimiter(limit=10, half_life=60, now=lambda: 0.0)
    limiter.shut_out(node(1))
    assert limiter.limited(node(1))
    limiter.answered(node(1))
    assert not limiter.limited(node(1))


LIMITS = Limits()


@pytest.mark.parametrize(
    ("name", "good"),
    [
        (Name("a" * 256, "c" * 256, "ü" * 512), True),
        (Name("a", "c", "ü" * 513), False),
        (Name("a", "c" * 257), False),
        (Name("a" * 257), False),
        (Name("a", "€" * 85), True),
        (Name("a", "€" * 86), False),
    ],
)
def test_names_are_measured_in_bytes(name, good):
    if good:
        constraints.check_name(name, LIMITS)
    else:
        with pytest.raises(LimitExceeded):
            constraints.check_name(name, LIMITS)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Object-Meta-": "v"},
        {"X-Object-Meta-" + "A" * 129: "v"},
        {"X-Object-Meta-A": "v" * 257},
        {f"X-Object-Meta-{number}": "v" for number in range(91)},
        {f"X-Object-Meta-{number}": "v" * 256 for number in range(17)},
        {"X-Anything": "v" * 8193},
    ],
    ids=["no name", "long name", "long value", "too many", "too much", "long header"],
)
def test_metadata_beyond_the_limits_is_refused(headers):
    with pytest.raises(InvalidInput):
        constraints.check_metadata("Object", headers, LIMITS)


def test_metadata_at_the_limits_is_accepted():
    constraints.check_metadata("Object", {"X-Object-Meta-" + "A" * 128: "v" * 256}, LIMITS)
    constraints.check_metadata("Object", {f"X-Object-Meta-{number:02}": "v" for number in range(90)}, LIMITS)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"X-Delete-At": "2000"}, 2000),
        ({"X-Delete-After": "10"}, 1010),
        ({"X-Delete-After": "10", "X-Delete-At": "5000"}, 1010),
        ({"X-Delete-At": "9" * 30}, 9_999_999_999),
    ],
)
def test_expiry_is_read(headers, seconds):
    assert constraints.delete_at(headers, 1000.5) == seconds


@pytest.mark.parametrize(
    "headers", [{"X-Delete-At": "1000"}, {"X-Delete-At": "soon"}, {"X-Delete-After": "0"}, {"X-Delete-After": "-1"}]
)
def test_expiry_in_the_past_or_unreadable_is_refused(headers):
    with pytest.raises(InvalidInput):
        constraints.delete_at(headers, 1000.5)


@pytest.mark.parametrize(
    ("headers", "name", "kind"),
    [
        ({"Content-Type": "a/b"}, "x.png", "a/b"),
        ({}, "x.png", "image/png"),
        ({}, "dir.d/x", "application/octet-stream"),
        ({}, "x.TXT", "text/plain"),
        ({"Content-Type": "a/b", "X-Detect-Content-Type": "true"}, "x.html", "text/html"),
    ],
)
def test_content_types_are_given_or_guessed(headers, name, kind):
    assert constraints.content_type(headers, name) == kind
