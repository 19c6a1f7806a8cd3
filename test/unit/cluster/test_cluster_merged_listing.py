"""Listings that miss nothing that a majority of the replicas has taken."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.cluster.merged_listing import Row, list_majority, merged
from objstore.core.errors import NodeFailure, NotFound
from objstore.core.names import Name
from objstore.wire.messages import NodeRequest

_spec = importlib.util.spec_from_file_location("cluster_faults", Path(__file__).with_name("test_cluster_faults.py"))
assert _spec is not None and _spec.loader is not None
faults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faults)
CONTAINER = faults.CONTAINER


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return faults.Store(tmp_path, 4, 3, node_timeout="20")


def put(store: Any, key: str, lacking: int) -> None:
    """An object whose row one replica lacks."""
    store.net.faults = {store.primaries(CONTAINER)[lacking]: "down"}
    store.net.databases_too = True
    assert store("PUT", CONTAINER._replace(object=key), b"x").status == 201
    store.net.faults = {}


def names(store: Any, limit: int = 100, container: Name = CONTAINER) -> list[str]:
    place = store.cluster.place(container)
    request = NodeRequest("GET", place.partition, container, {}, f"limit={limit}")
    return [row["name"] for row in list_majority(store.cluster, place, request, limit)]


@given(st.sets(st.text("ab\u00e9\U0001f600", min_size=1, max_size=3)), st.integers(1, 5), st.data())
def test_pages_of_any_size_amount_to_all_that_replicas_list(keys: set[str], limit: int, data: st.DataObject) -> None:
    in_order = sorted(keys, key=str.encode)
    replicas = [[key for key in in_order if data.draw(st.booleans())] for _ in range(2)]
    replicas.append([key for key in in_order if not any(key in replica for replica in replicas)])
    found: list[str] = []
    while True:
        behind = found[-1].encode() if found else b""
        pages: list[list[Row]] = [
            [{"name": key} for key in replica if key.encode() > behind][:limit] for replica in replicas
        ]
        page = [row["name"] for row in merged(pages, limit)]
        found += page
        if len(page) < limit:
            break
    assert found == in_order


def test_each_row_is_listed_whichever_replica_lacks_it(store: Any) -> None:
    keys = [f"o{index}" for index in range(3)]
    for index, key in enumerate(keys):
        put(store, key, index)
    for away in store.primaries(CONTAINER):
        store.net.faults = {away: "down"}
        assert names(store) == keys
        assert [names(store, limit)[:1] for limit in (1, 2)] == [["o0"], ["o0"]]


def test_too_few_replicas_tell_nothing(store: Any) -> None:
    store.net.databases_too = True
    store.net.faults = dict.fromkeys(store.primaries(CONTAINER)[:2], "down")
    with pytest.raises(NodeFailure):
        names(store)


def test_a_container_that_is_not_there(store: Any) -> None:
    with pytest.raises(NotFound):
        names(store, container=Name("AUTH_t", "none"))
