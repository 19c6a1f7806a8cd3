"""Log objects: which records make one, their keys, and what a delivery does that was cut short or finds no bucket."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from objstore.access.acl import LOG_DELIVERY, Acl, Grant, dump
from objstore.access.bucket import ACL, NO_DEFAULTS, BucketDefaults
from objstore.access.judge import OBJECT_ACL
from objstore.core.errors import NodeTimeout, QuotaExceeded
from objstore.core.names import Name
from objstore.layers import documents
from objstore.layers.bodies import ObjectBody
from objstore.layers.interface import ContainerOptions, Page, PutOptions, PutResult, ReadOptions
from objstore.layers.memory import MemoryLayer
from objstore.runtime import settings
from objstore.runtime.metrics import Metrics
from objstore.s3.bucket_logs.configuration import DELIVERY_TIME, EVENT_TIME, Logging
from objstore.s3.bucket_logs.delivery import Delivery, deliver, log_objects, object_key
from objstore.s3.bucket_logs.service import BucketLogs
from objstore.s3.bucket_logs.spool import SpooledRecord
from objstore.s3.settings import S3Settings
from objstore.web.context import RequestContext

SOURCE = Name("AUTH_a", "photos")
DAY = 86_400.0
BY_ACL = Acl("AUTH_a", (Grant(LOG_DELIVERY, "WRITE"),))
LOGGER = logging.getLogger("test")


class Layer(MemoryLayer):
    """A layer whose next writes fail with these errors."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception] = []
        self.writes = 0

    def put(self, context: RequestContext, name: Name, options: PutOptions, body: ObjectBody) -> PutResult:
        if name.container == "logs":
            self.writes += 1
            if self.failures:
                raise self.failures.pop(0)
        return super().put(context, name, options, body)


def make_target(layer: MemoryLayer, acl: Acl = BY_ACL) -> None:
    made = ContainerOptions(documents.headers(ACL, dump(acl, "AUTH_a")))
    layer.create_container(RequestContext(), Name("AUTH_a", "logs"), made)


def entry(
    line: str, seconds: float = 5.0, bucket: str = "photos", configuration: Logging | None = None
) -> SpooledRecord:
    return SpooledRecord("AUTH_a", bucket, (configuration or Logging("logs", "p/")).dump(), seconds, line)


def content(layer: MemoryLayer, key: str) -> bytes:
    return layer.open(RequestContext(), Name("AUTH_a", "logs", key), ReadOptions()).read()


@pytest.mark.parametrize(
    ("key_format", "key"),
    [
        ("", "p/2019-02-06-00-00-38-ID"),
        ("SimplePrefix", "p/2019-02-06-00-00-38-ID"),
        (EVENT_TIME, "p/AUTH_a/eu/photos/2019/02/06/2019-02-06-00-00-38-ID"),
        (DELIVERY_TIME, "p/AUTH_a/eu/photos/2019/02/06/2019-02-06-00-00-38-ID"),
    ],
)
def test_the_key_of_a_log_object(key_format: str, key: str) -> None:
    assert object_key(SOURCE, Logging("logs", "p/", key_format), "eu", 1549411238, "ID") == key


def test_records_of_a_bucket_and_configuration_make_an_object() -> None:
    other = Logging("logs", "q/")
    entries = [entry("1"), entry("2", bucket="cats"), entry("3", configuration=other), entry("4", DAY)]
    objects = log_objects(entries, "1000-x", 1000, "eu")
    assert [(made.source.container, made.content, made.records) for made in objects] == [
        ("photos", b"1\n4\n", 2),
        ("cats", b"2\n", 1),
        ("photos", b"3\n", 1),
    ]
    assert len({made.key for made in objects}) == 3


def test_keys_by_the_time_of_events_have_an_object_for_each_day() -> None:
    by_event = Logging("logs", "", EVENT_TIME)
    entries = [entry("1", DAY - 1, configuration=by_event), entry("2", DAY, configuration=by_event)]
    objects = log_objects(entries, "1000-x", 10_000_000, "eu")
    assert [made.content for made in objects] == [b"1\n", b"2\n"]
    assert [made.key[:49] for made in objects] == [
        "AUTH_a/eu/photos/1970/01/01/1970-01-01-00-00-00-" + objects[0].key[48],
        "AUTH_a/eu/photos/1970/01/02/1970-01-02-00-00-00-" + objects[1].key[48],
    ]


def test_a_file_makes_the_same_objects_again_and_another_file_others() -> None:
    first, again = (log_objects([entry("1")], "1000-x", 1000, "eu") for _ in range(2))
    assert first == again
    assert log_objects([entry("1")], "1000-y", 1000, "eu")[0].key != first[0].key


def test_a_second_delivery_writes_nothing_twice() -> None:
    layer = Layer()
    make_target(layer)
    [made] = log_objects([entry("1")], "1000-x", 1000, "eu")
    assert deliver(layer, made, NO_DEFAULTS) == (Delivery.DELIVERED, "")
    assert deliver(layer, made._replace(content=b"other"), NO_DEFAULTS) == (Delivery.DELIVERED, "")
    assert content(layer, made.key) == b"1\n"


def test_a_log_object_has_the_grants_of_its_configuration() -> None:
    layer = Layer()
    make_target(layer)
    grants = (Grant("AUTH_b", "READ"),)
    [made] = log_objects([entry("1", configuration=Logging("logs", "", "", grants))], "1000-x", 1000, "eu")
    deliver(layer, made, NO_DEFAULTS)
    reply = layer.open(RequestContext(), made.target, ReadOptions(head=True))
    assert "AUTH_b" in reply.headers[OBJECT_ACL]
    enforced = BucketDefaults("BucketOwnerEnforced")
    assert deliver(layer, made, enforced)[0] is Delivery.REFUSED  # its ACL lets nobody in any more


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(NodeTimeout("slow"), Delivery.DELAYED), (QuotaExceeded("full"), Delivery.REFUSED)],
)
def test_a_failed_delivery(failure: Exception, outcome: Delivery) -> None:
    layer = Layer()
    make_target(layer)
    layer.failures = [failure]
    [made] = log_objects([entry("1")], "1000-x", 1000, "eu")
    assert deliver(layer, made, NO_DEFAULTS)[0] is outcome


def test_a_missing_bucket_takes_nothing() -> None:
    [made] = log_objects([entry("1")], "1000-x", 1000, "eu")
    assert deliver(Layer(), made, NO_DEFAULTS)[0] is Delivery.REFUSED


# The passes of a worker


def service(layer: MemoryLayer, path: Path, registry: Metrics, now: list[float], **options: str) -> BucketLogs:
    conf = {"bucket_log_spool": str(path / "spool"), **options}
    values = settings.read(S3Settings, conf, "filter:s3")
    return BucketLogs(layer, values, NO_DEFAULTS, LOGGER, registry, now=lambda: now[0])


def test_a_pass_delivers_what_is_due_and_removes_it(tmp_path: Path) -> None:
    layer, registry, now = Layer(), Metrics(LOGGER), [1000.0]
    make_target(layer)
    logs = service(layer, tmp_path, registry, now)
    logs.add(entry("1"))
    logs.run_pass()
    assert layer.writes == 0
    now[0] += 300
    logs.run_pass()
    logs.run_pass()
    assert layer.writes == 1 and list((tmp_path / "spool").iterdir()) == []
    assert b"objstore_s3_log_records_delivered_total 1.0" in registry.render()


def test_a_delayed_file_comes_again_and_delivered_objects_stay_as_they_are(tmp_path: Path) -> None:
    layer, registry, now = Layer(), Metrics(LOGGER), [1000.0]
    make_target(layer)
    logs = service(layer, tmp_path, registry, now, bucket_log_object_size="1")
    logs.add(entry("1"))
    logs.add(entry("2", bucket="cats"))
    layer.failures = [NodeTimeout("slow")]
    logs.run_pass()
    assert layer.writes == 2 and len(list((tmp_path / "spool").iterdir())) == 1
    now[0] += 60
    logs.run_pass()
    rows: list[dict[str, Any]] = layer.list_objects(RequestContext(), Name("AUTH_a", "logs"), Page()).rows
    assert len(rows) == 2 and list((tmp_path / "spool").iterdir()) == []


def test_records_that_no_bucket_takes_are_dropped_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Metrics(LOGGER)
    logs = service(Layer(), tmp_path, registry, [1000.0], bucket_log_object_size="1")
    logs.add(entry("1"))
    logs.run_pass()
    assert list((tmp_path / "spool").iterdir()) == []
    assert b"objstore_s3_log_records_dropped_total 1.0" in registry.render()
    assert "the log of photos for logs dropped: there is no such bucket" in caplog.text


def test_a_full_spool_drops_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = Metrics(LOGGER)
    logs = service(Layer(), tmp_path, registry, [1000.0], bucket_log_spool_size="150")
    logs.add(entry("1"))
    logs.add(entry("x" * 100))
    assert b"objstore_s3_log_records_dropped_total 1.0" in registry.render()
    assert "the spool is full" in caplog.text
