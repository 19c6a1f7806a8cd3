"""Requests about a share of a device: partitions and single databases, in the place of names."""

from __future__ import annotations

import pytest

from objstore.core.errors import InvalidInput
from objstore.core.nodes import Node
from objstore.wire.messages import REPLICATE, NodeRequest, Share, parse_share_path, target

NODE = Node(0, 1, 1, "127.0.0.1", 6200, "d1")


@pytest.mark.parametrize("share", [Share("object"), Share("container", "0" * 32)])
def test_what_is_sent_is_what_is_read(share: Share) -> None:
    sent = target(NODE, NodeRequest(REPLICATE, 17, share, {}, "step=compare"))
    path, _, query = sent.partition("?")
    assert parse_share_path(path) == ("d1", 17, share.hash)
    assert query == "step=compare"


def test_a_request_about_many_partitions_names_the_device_alone() -> None:
    sent = target(NODE, NodeRequest(REPLICATE, None, Share("object"), {}, "step=compare-many"))
    assert sent == "/d1?step=compare-many"
    assert parse_share_path("/d1") == ("d1", None, "")


@pytest.mark.parametrize("path", ["", "/", "d1", "/d1/x", "/d1/", "//17", "/d1/17/", "/d1/17/hash/more", "d1/17"])
def test_other_paths_are_no_shares(path: str) -> None:
    with pytest.raises(InvalidInput):
        parse_share_path(path)
