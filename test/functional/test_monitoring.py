"""What operators watch a store by: the metrics that dashboard and alert rules ask for are there."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from harness.client import Client
from harness.processes import wait_until
from harness.store import Store

ETC = Path(__file__).parents[2] / "etc"
# Only where storage servers have a port of their own.
OF_STORAGE_SERVERS = "objstore_server_"


def names_in(text: str) -> set[str]:
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bobjstore_[a-z_]+", text)}


def test_dashboard_and_alerts_ask_for_metrics_that_are_there(store: Store, owner: Client, container: str) -> None:
    if store.server is None:
        pytest.skip("/metrics answers this host alone")
    owner.put(f"{container}/object", b"content")
    assert owner.get(f"{container}/object").body == b"content"
    dashboard = (ETC / "grafana-dashboard.json").read_text()
    assert json.loads(dashboard)["panels"]
    wanted = names_in(dashboard) | names_in((ETC / "prometheus-alerts.yml").read_text())
    wanted = {name for name in wanted if not name.startswith(OF_STORAGE_SERVERS)}
    assert len(wanted) > 12

    def missing() -> set[str]:
        with urllib.request.urlopen(f"{store.endpoint}/metrics", timeout=10) as answer:
            told = re.findall(r"^# TYPE (\S+)", answer.read().decode(), re.MULTILINE)
        return wanted - set(told)

    wait_until(lambda: not missing(), "every daemon to have told of a pass", 60)
