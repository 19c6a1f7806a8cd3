"""Filters whose work the proxy does now: pipelines that name them start as before, and their settings count."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.in_process import InProcess

from objstore.assembly.apps import proxy_app
from objstore.layers import stack
from objstore.layers.manifests import Manifests
from objstore.middleware import copy, manifests
from objstore.swift.app import ProxyApp


@pytest.fixture
def proxy(tmp_path: Path) -> ProxyApp:
    store = InProcess(tmp_path, devices=1, replicas=1, free_delay="7s")
    return proxy_app(store.conf, store.transports)


def test_copy_passes_all_on_and_sets_the_largest_source(proxy: ProxyApp) -> None:
    before = proxy.copies.max_size
    assert copy.filter_factory({})(proxy) is proxy
    assert proxy.copies.max_size == before
    assert copy.filter_factory({}, max_file_size="1K")(proxy) is proxy
    assert proxy.copies.max_size == 1024


def test_manifests_passes_all_on_and_sets_the_delay(proxy: ProxyApp) -> None:
    layer = stack.find(proxy.layer, Manifests)
    assert layer is not None and layer.reclaimer.delay == 7.0
    assert manifests.filter_factory({})(proxy) is proxy
    assert layer.reclaimer.delay == 7.0
    assert manifests.filter_factory({}, free_delay="2m")(proxy) is proxy
    assert layer.reclaimer.delay == 120.0
