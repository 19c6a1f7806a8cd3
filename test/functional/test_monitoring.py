"""What operators watch a store by: the metrics that dashboard and alert rules ask for are there."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from harness.client import Client
from harness.processes import wait_until
from harness.s3 import boto_client
from harness.store import Store

ETC = Path(__file__).parents[2] / "etc"
# Only where storage servers have a port of their own.
OF_STORAGE_SERVERS = "objstore_server_"


def names_in(text: str) -> set[str]:
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bobjstore_[a-z0-9_]+", text)}


def test_dashboard_and_alerts_ask_for_metrics_that_are_there(store: Store, owner: Client, container: str) -> None:
    if store.server is None:
        pytest.skip("/metrics answers this host alone")
    owner.put(f"{container}/object", b"content")
    assert owner.get(f"{container}/object").body == b"content"
    boto_client(store.endpoint, store.user, store.key).list_buckets()
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


def test_requests_of_s3_are_counted_by_operation_and_by_kind(store: Store, container: str) -> None:
    """They were all of the kind `other`, which no panel shows."""
    if store.server is None:
        pytest.skip("/metrics answers this host alone")
    s3 = boto_client(store.endpoint, store.user, store.key)

    def count(series: str) -> float:
        with urllib.request.urlopen(f"{store.endpoint}/metrics", timeout=10) as answer:
            found = re.search(rf"^{re.escape(series)} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    put = 'objstore_s3_requests_total{operation="PutObject",status="200"}'
    kind = 'objstore_requests_total{kind="object",method="PUT",status="200"}'
    before = count(put), count(kind)
    bucket = container.rpartition("/")[2].lower().replace("_", "-")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="key")
    s3.delete_bucket(Bucket=bucket)
    wait_until(lambda: (count(put), count(kind)) > before, "the request to be counted", 20)


def test_a_browser_is_shown_a_page_and_a_program_an_error(store: Store) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent": "Mozilla/5.0"}
    with urllib.request.urlopen(urllib.request.Request(f"{store.endpoint}/", headers=browser), timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert b"S3 API" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{store.endpoint}/", timeout=10)
    assert raised.value.code == 403
    assert b"<Code>AccessDenied</Code>" in raised.value.read()
